package campaign

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestPlanReturns(t *testing.T) {
	n := func(n int64) *int64 { return &n }
	for name, tc := range map[string]struct {
		returned store.Returns
		want     v1alpha1.CampaignReturns
	}{
		"nothing came back": {nil, v1alpha1.CampaignReturns{}},
		"everything": {
			store.Returns{"bounced": 5, "soft-bounced": 4, "complained": 3, "replied": 2, "of-tomorrow": 1},
			v1alpha1.CampaignReturns{Bounced: n(5), SoftBounced: n(4), Complained: n(3), Replied: n(2)},
		},
		"none of a kind": {store.Returns{"bounced": 0, "replied": 1}, v1alpha1.CampaignReturns{Replied: n(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, planReturns(tc.returned)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
