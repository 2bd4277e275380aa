package socialsource

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// counts: a status is written at most once a minute because posts came in.
var counts = reconciling.Counts{Every: time.Minute, Settle: 3 * time.Second, Strip: withoutCounts}

// withoutCounts removes the numbers.
func withoutCounts(o v1alpha1.Object) {
	status := &o.(*v1alpha1.SocialSource).Status
	status.Brought, status.LastBrought, status.Rejected, status.Gaps, status.LastGap = nil, nil, nil, nil, nil
}

// report writes what is known of a source that is in force as it is declared.
func report(pass *reconciling.Pass, object *v1alpha1.SocialSource, state store.SourceState, address string) {
	object.Status.Address = address
	reportListening(pass, object, state)
	switch {
	case object.Spec.Suspend:
		pass.InForce("Nothing is fetched while spec.suspend is true. What is stored stays.")
	case state.Condition == store.SourceSuspended:
		pass.InForce("Nothing is fetched while the CRMTenant is suspended. What is stored stays.")
	case object.Spec.Webhook != nil:
		pass.InForce("Other systems can post to status.address.")
	default:
		pass.InForce("The source is listened to.")
	}
}

// reportListening writes how it goes.
func reportListening(pass *reconciling.Pass, object *v1alpha1.SocialSource, state store.SourceState) {
	status := &object.Status
	status.State = v1alpha1.SourceState(state.Condition)
	status.Brought, status.Rejected, status.Gaps = &state.Brought, &state.Rejected, &state.Gaps
	status.LastBrought, status.LastGap = moment(state.LastBrought), gap(state.LastGap)
	switch {
	case status.State == v1alpha1.SourceSuspended:
		pass.WithoutCondition(v1alpha1.HealthyCondition)
	case status.State == v1alpha1.SourceFailing:
		pass.Healthy(false, string(state.Reason), state.Message)
	case state.Reason != "":
		pass.Healthy(true, string(state.Reason), state.Message)
	case status.State == v1alpha1.SourceListening && state.Moved != "":
		pass.Healthy(true, v1alpha1.SourceMovedReason, moved(state.Moved))
	case status.State == v1alpha1.SourceListening:
		pass.Healthy(true, v1alpha1.ListeningReason, "What comes in is stored.")
	default:
		pass.Healthy(true, v1alpha1.NotReadYetReason, "A worker is to read it.")
	}
}

// moved tells where a source is read that is declared to be elsewhere.
func moved(to string) string {
	message := "What comes in is stored. It has moved for ever to " + to + ": write that into the spec."
	if strings.HasSuffix(to, "?…") {
		message += " Its query is not shown, for keys stand in such: ask the address that the spec has where it leads to."
	}
	return message
}

// moment is a time as the API keeps it, in whole seconds: a finer one would differ from itself.
func moment(at *time.Time) *metav1.Time {
	if at == nil || at.IsZero() {
		return nil
	}
	whole := metav1.NewTime(at.Truncate(time.Second))
	return &whole
}

func gap(g *listen.Gap) *v1alpha1.SourceGap {
	if g == nil {
		return nil
	}
	return &v1alpha1.SourceGap{From: moment(&g.From), To: metav1.NewTime(g.To.Truncate(time.Second)), Reason: g.Reason}
}
