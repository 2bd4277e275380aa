package campaign

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planReturns counts what came back of a campaign's messages. What never came back is left out: without a mailbox or a hook
// nothing can.
func planReturns(returned store.Returns) v1alpha1.CampaignReturns {
	count := func(what string) *int64 {
		if n, ok := returned[what]; ok && n > 0 {
			return &n
		}
		return nil
	}
	return v1alpha1.CampaignReturns{
		Bounced: count(store.ReturnedBounced), SoftBounced: count(store.ReturnedSoftBounced),
		Complained: count(store.ReturnedComplained), Replied: count(store.ReturnedReplied),
	}
}
