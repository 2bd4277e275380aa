package campaign

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planEngagement counts what was done with a campaign's mails: what it tracks, and what came of tracking that ended since.
func planEngagement(send store.SendStatus) v1alpha1.CampaignEngagement {
	count := func(tracked bool, what engagement.What) *int64 {
		if n := send.Engaged[what]; tracked || n > 0 {
			return &n
		}
		return nil
	}
	return v1alpha1.CampaignEngagement{
		Opened: count(send.Tracking.Opens, engagement.Opened), MachineOpened: count(send.Tracking.Opens, engagement.MachineOpened),
		Clicked: count(send.Tracking.Clicks, engagement.Clicked), MachineClicked: count(send.Tracking.Clicks, engagement.MachineClicked),
	}
}
