package gitops

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestPruneAndRestore takes each object of a half-sent campaign out of the repository and brings it back.
func TestPruneAndRestore(t *testing.T) {
	v := newTeam(t)
	flux := v.kustomization("velo")
	v.halfSent(func(objects ...*unstructured.Unstructured) { flux.reconcile(objects...) })
	before := v.memory()
	for _, o := range v.all() {
		t.Run(o.GetKind(), func(t *testing.T) {
			v, flux := v.in(t), flux.in(t)
			expectActions(t, flux.reconcile(without(v.all(), o.GetKind())...), map[string]string{o.GetKind(): "deleted"})
			v.gone(o)
			if stops(o.GetKind()) {
				v.silent()
			}
			expectActions(t, flux.reconcile(v.all()...), map[string]string{o.GetKind(): "created"})
			v.settled()
			v.remembers(before)
		})
	}
	v.completes()
}

// stops tells whether sending stops while an object of a kind is away.
func stops(kind string) bool {
	switch kind {
	case "CRMTenant", "MessageChannel", "MessageTemplate", "Campaign", "Secret":
		return true
	}
	return false
}

// TestPruneAndRestoreInAnyOrder deletes everything one after the other, and brings it back one after the other.
func TestPruneAndRestoreInAnyOrder(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			v := newTeam(t)
			flux := v.kustomization("velo")
			v.halfSent(func(objects ...*unstructured.Unstructured) { flux.reconcile(objects...) })
			before := v.memory()
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // repeatable, not secret
			shuffled := func() []*unstructured.Unstructured {
				list := v.all()
				random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				return list
			}
			for _, o := range shuffled() {
				v.must(nil, "delete", o.GetKind(), o.GetName())
			}
			v.silent()
			restored := shuffled()
			for i, o := range restored {
				t.Logf("%d: %s", i, o.GetKind())
				v.applied(o)
			}
			v.settled()
			v.completes()
			v.remembers(before)
		})
	}
}

// in is the team in a part of a test.
func (v *team) in(t *testing.T) *team {
	part := *v
	part.t = t
	return &part
}

// in is the Kustomization in a part of a test.
func (k *kustomization) in(t *testing.T) *kustomization {
	return &kustomization{team: k.team.in(t), name: k.name, inventory: k.inventory}
}
