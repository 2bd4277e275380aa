package controllers_test

import (
	"testing"
	"time"

	"k8s.io/client-go/tools/events"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

func TestAPassThatPanicsCallsNothingInForce(t *testing.T) {
	w := inWorld(t)
	h := &home{world: w, t: t, namespace: controlplanetest.Namespace(t)}
	h.create(h.event("purchase"))
	object := &v1alpha1.EventType{}
	h.verdict(object, "purchase", v1alpha1.NotFoundReason("CRMTenant"), "InProgress") // after this the operator leaves it alone
	passes := &reconciling.Recorder{Client: w.api, Events: events.NewFakeRecorder(10), Clock: time.Now}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		pass := passes.Begin(object)
		defer func() { _, _ = pass.End(t.Context(), nil) }()
		panic("a bug")
	}()
	h.verdict(&v1alpha1.EventType{}, "purchase", v1alpha1.ReconcileFailedReason, "InProgress")
}
