package gitops

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// TestForcedReapply deletes and creates each object of a half-sent campaign, as kubectl replace --force, Argo CD's Force
// and Replace, and Flux's force do, and then all of them at once, with and without waiting for their end.
func TestForcedReapply(t *testing.T) {
	v := newTeam(t)
	v.halfSent(v.applied)
	before := v.memory()
	for _, o := range v.all() {
		uid := v.live(o).GetUID()
		v.must([]*unstructured.Unstructured{o}, "replace", "--force", "-f", "-")
		v.settled()
		if v.live(o).GetUID() == uid {
			t.Errorf("%s was not made anew", o.GetKind())
		}
		v.remembers(before)
	}
	v.must(v.all(), "replace", "--force", "-f", "-")
	v.settled()
	v.remembers(before)

	// Who does not wait applies to objects that are being deleted, and applies again.
	v.must(v.all(), "delete", "--wait=false", "-f", "-")
	for {
		_, err := v.kubectl(v.all(), "apply", "--server-side", "-f", "-")
		if err == nil && v.staying() {
			break
		}
	}
	v.settled()
	v.phase(v1alpha1.CampaignSending)
	v.remembers(before)
	v.completes()
}

// staying tells whether every object is there and not being deleted.
func (v *team) staying() bool {
	for _, o := range v.manifests {
		if found := v.live(o); found == nil || found.GetDeletionTimestamp() != nil {
			return false
		}
	}
	return true
}
