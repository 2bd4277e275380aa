package campaign

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestPlanEngagement(t *testing.T) {
	counts := store.Engagement{engagement.Clicked: 3, engagement.MachineClicked: 5}
	for name, c := range map[string]struct {
		reason string
		send   store.SendStatus
		want   v1alpha1.CampaignEngagement
	}{
		"nothing is tracked": {"no number means that nobody counts", store.SendStatus{}, v1alpha1.CampaignEngagement{}},
		"nobody clicked": {
			"zero means that nobody did",
			store.SendStatus{Tracking: store.Tracking{Clicks: true}},
			v1alpha1.CampaignEngagement{Clicked: new(int64(0)), MachineClicked: new(int64(0))},
		},
		"people and machines": {
			"they are apart",
			store.SendStatus{Tracking: store.Tracking{Opens: true, Clicks: true}, Engaged: counts},
			v1alpha1.CampaignEngagement{Opened: new(int64(0)), MachineOpened: new(int64(0)), Clicked: new(int64(3)), MachineClicked: new(int64(5))},
		},
		"tracking that was taken back": {
			"what was counted stays",
			store.SendStatus{Engaged: counts},
			v1alpha1.CampaignEngagement{Clicked: new(int64(3)), MachineClicked: new(int64(5))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, planEngagement(c.send)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}
