package crmtenant

import (
	"errors"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// TestWhatKeepsATenantSaysHowToLetItGo looks at every verdict that can keep a deleted tenant from its database.
func TestWhatKeepsATenantSaysHowToLetItGo(t *testing.T) {
	_, noCluster := planPlace(v1alpha1.CRMTenantSpec{ID: "velo-demo"}, facts{})
	_, unreadable := planPlace(brings(), facts{brought: true, uri: "host=pg"})
	for name, err := range map[string]error{"the operator has no cluster": noCluster, "the Secret cannot be read": unreadable} {
		var waiting *reconciling.Waiting
		if got := cannotSuspend(err); !errors.As(got, &waiting) || !strings.Contains(waiting.Message, v1alpha1.Finalizer) {
			t.Errorf("%s: got %v, want a verdict that names the finalizer", name, got)
		}
	}
	if other := errors.New("the connection was lost"); !errors.Is(cannotSuspend(other), other) {
		t.Error("an accident is no verdict")
	}
}
