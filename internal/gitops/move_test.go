package gitops

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// TestMoveBetweenOwners moves each object of a half-sent campaign from one owner to another, in every order in which the
// two may act.
func TestMoveBetweenOwners(t *testing.T) {
	tests := map[string]struct {
		reason string
		move   func(v *team, from, to *kustomization, moved *unstructured.Unstructured)
	}{
		"pruned, then created": {
			"the owners act one after the other",
			func(v *team, from, to *kustomization, moved *unstructured.Unstructured) {
				from.reconcile(without(v.all(), moved.GetKind())...)
				v.gone(moved)
				expectActions(v.t, to.reconcile(moved), map[string]string{moved.GetKind(): "created"})
			},
		},
		"taken over, then left alone": {
			"Flux prunes only what still has its labels",
			func(v *team, from, to *kustomization, moved *unstructured.Unstructured) {
				expectActions(v.t, to.reconcile(moved), map[string]string{moved.GetKind(): "configured"})
				expectActions(v.t, from.reconcile(without(v.all(), moved.GetKind())...), map[string]string{moved.GetKind(): "skipped"})
			},
		},
		"taken over, then deleted all the same": {
			"a tool that does not look whose an object is deletes it under the new owner, who makes it again",
			func(v *team, from, to *kustomization, moved *unstructured.Unstructured) {
				to.reconcile(moved)
				v.must(nil, "delete", moved.GetKind(), moved.GetName())
				from.reconcile(without(v.all(), moved.GetKind())...)
				expectActions(v.t, to.reconcile(moved), map[string]string{moved.GetKind(): "created"})
			},
		},
		"applied while it goes": {
			"what is applied to an object that is being deleted goes with it, and the next reconciliation makes it again",
			func(v *team, from, to *kustomization, moved *unstructured.Unstructured) {
				v.hold(moved)
				from.reconcile(without(v.all(), moved.GetKind())...)
				v.reads(moved, status.TerminatingStatus)
				to.reconcile(moved)
				v.letGo(moved)
				v.gone(moved)
				expectActions(v.t, to.reconcile(moved), map[string]string{moved.GetKind(): "created"})
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := newTeam(t)
			first := v.kustomization("first")
			v.halfSent(func(objects ...*unstructured.Unstructured) { first.reconcile(objects...) })
			before := v.memory()
			for _, moved := range v.all() {
				tc.move(v, first, v.kustomization("second"), moved)
				v.settled()
				// Back again, so that each object moves from among all others.
				first.reconcile(v.all()...)
				v.settled()
				v.remembers(before)
			}
			v.completes()
		})
	}
}

// TestRenamedCampaignGoesOn gives a half-sent campaign's object another name. The new one is applied first, as every
// tool does, while the key is still the old one's.
func TestRenamedCampaignGoesOn(t *testing.T) {
	v := newTeam(t)
	flux := v.kustomization("velo")
	v.halfSent(func(objects ...*unstructured.Unstructured) { flux.reconcile(objects...) })
	before := v.memory()
	renamed := v.manifest("Campaign")
	renamed.SetName("spring")

	v.applied(renamed)
	v.reads(renamed, status.FailedStatus)
	flux.reconcile(append(without(v.all(), "Campaign"), renamed)...)
	v.gone(v.manifest("Campaign"))
	v.reads(renamed, status.CurrentStatus)
	for i, o := range v.manifests {
		if o.GetKind() == "Campaign" {
			v.manifests[i] = renamed
		}
	}
	v.phase(v1alpha1.CampaignSending)
	v.completes()
	v.remembers(before)
}
