package consentpolicy

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// report writes what is known of a policy in force.
func report(pass *reconciling.Pass, object *v1alpha1.ConsentPolicy, planned store.ConsentPolicy) {
	object.Status.Purposes = nil
	if object.Spec.Suspend {
		pass.InForce("The policy is out of force while spec.suspend is true: messages go to those who have consented only.")
		return
	}
	for _, p := range planned.Purposes {
		object.Status.Purposes = append(object.Status.Purposes, v1alpha1.PurposeName(p.Name))
	}
	pass.InForce("The purposes are in force.")
}
