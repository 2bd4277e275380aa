package eventtype

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// report writes what is known of an event type in force.
func report(pass *reconciling.Pass, object *v1alpha1.EventType) {
	if object.Spec.Suspend {
		pass.InForce("Events of this name are refused while spec.suspend is true; those that came before count.")
		return
	}
	pass.InForce("Events of this name are taken.")
}
