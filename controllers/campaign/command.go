package campaign

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planCommand is what the status shows of people's decisions: the pause that is in force, else the last one. A pause that has
// ended by itself is none of either.
func planCommand(send store.SendStatus) *v1alpha1.CampaignCommand {
	c := send.Pause
	if c == nil {
		c = send.Command
	}
	if c == nil || c.Verb == campaign.Pause && send.Pause == nil {
		return nil
	}
	shown := &v1alpha1.CampaignCommand{
		Verb: v1alpha1.CommandVerb(c.Verb), By: c.By, Token: c.Token, Reason: c.Reason, At: metav1.NewTime(c.At).Rfc3339Copy(), Until: seconds(c.Until),
	}
	if c.Verb == campaign.ResendAmbiguous {
		shown.Messages = &c.Affected
	}
	return shown
}

// isPaused tells whether what is shown holds the campaign up.
func isPaused(shown *v1alpha1.CampaignCommand) bool {
	return shown != nil && shown.Verb == v1alpha1.CommandPause
}
