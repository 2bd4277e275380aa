package sendpolicy

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// maxShown bounds how many campaigns a status names.
const maxShown = 20

// report writes what is known of a policy in force.
func report(pass *reconciling.Pass, object *v1alpha1.SendPolicy, violations []v1alpha1.CampaignViolation) {
	count := int32(len(violations)) //nolint:gosec // a namespace holds fewer objects
	object.Status.Violations = &count
	object.Status.CampaignsInViolation = violations[:min(len(violations), maxShown)]
	if object.Spec.Suspend {
		pass.InForce("The policy bounds nothing while spec.suspend is true.")
		return
	}
	pass.InForce("Campaigns are judged by the policy, and so is every message before it leaves.")
}
