package segment

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// counts: a status is written at most once a minute because a number of members changed. An import moves it in steps,
// a few seconds apart.
var counts = reconciling.Counts{Every: time.Minute, Settle: 3 * time.Second, Strip: withoutCounts}

// digestDigits of a definition are shown; people compare them by eye.
const digestDigits = 12

// withoutCounts removes the numbers.
func withoutCounts(o v1alpha1.Object) {
	status := &o.(*v1alpha1.Segment).Status
	status.Members, status.LastBuilt = nil, nil
}

// report writes what is known of a segment whose definition is stored. It is in force when its membership has been built
// by that definition; a suspended one keeps the membership that it has.
func report(pass *reconciling.Pass, object *v1alpha1.Segment, definition store.SegmentDefinition, state store.SegmentState) error {
	object.Status.Members = state.Members
	object.Status.Definition = state.BuiltDigest[:min(len(state.BuiltDigest), digestDigits)]
	object.Status.LastBuilt = nil
	if state.ChangedAt != nil {
		// The API keeps whole seconds: a finer time would differ from itself.
		changed := metav1.NewTime(state.ChangedAt.Truncate(time.Second))
		object.Status.LastBuilt = &changed
	}
	switch {
	case object.Spec.Suspend:
		pass.InForce("The membership stays as it is while spec.suspend is true.")
	case state.BuiltDigest != definition.Digest:
		return &reconciling.Waiting{
			Reason: v1alpha1.BuildingReason, Progressing: true, Message: "The definition is accepted. A worker is to build the membership.",
		}
	default:
		pass.InForce("The membership is kept current.")
	}
	return nil
}
