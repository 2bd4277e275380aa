package messagechannel

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// report writes what is known of a channel in force.
func report(pass *reconciling.Pass, object *v1alpha1.MessageChannel, state store.ChannelState) {
	if state.Trouble != "" {
		pass.Healthy(false, v1alpha1.ChannelTroubleReason, state.Trouble)
	} else {
		pass.Healthy(true, v1alpha1.DeliveringReason, "No worker reports trouble.")
	}
	if object.Spec.Suspend {
		pass.InForce("Nothing is sent over this channel while spec.suspend is true.")
		return
	}
	pass.InForce("Campaigns can be sent over this channel.")
}
