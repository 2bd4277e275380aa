package messagechannel

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// report writes what is known of a channel that is in force as it is declared.
func report(pass *reconciling.Pass, object *v1alpha1.MessageChannel, state store.ChannelState) {
	reportDelivery(pass, object, state)
	object.Status.Account = state.Account
	if object.Spec.Suspend {
		pass.InForce("Nothing is sent over this channel while spec.suspend is true.")
		return
	}
	if isSocial(object) {
		pass.InForce("Posts and answers leave over this channel.")
		return
	}
	pass.InForce("Campaigns can be sent over this channel.")
}

// reportDelivery writes how it goes.
func reportDelivery(pass *reconciling.Pass, object *v1alpha1.MessageChannel, state store.ChannelState) {
	switch {
	case state.Trouble != "":
		pass.Healthy(false, v1alpha1.ChannelTroubleReason, state.Trouble)
	case state.ReturnsTrouble != "":
		pass.Healthy(false, v1alpha1.ReturnsTroubleReason, "Mail is sent, and what comes back is not read: "+state.ReturnsTrouble)
	case isSocial(object) && state.Account == "":
		pass.Healthy(true, v1alpha1.DeliveringReason, "No worker has logged in yet.")
	case isSocial(object):
		pass.Healthy(true, v1alpha1.DeliveringReason, "Workers log in, and report no trouble.")
	default:
		pass.Healthy(true, v1alpha1.DeliveringReason, "No worker reports trouble.")
	}
	reportThrottling(pass, object, state.Throttling)
}
