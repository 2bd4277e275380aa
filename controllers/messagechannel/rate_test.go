package messagechannel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/pace"
)

func TestPlanRate(t *testing.T) {
	for name, tc := range map[string]struct {
		why      string
		declared *v1alpha1.ChannelRate
		want     *pace.Limits
		words    string // of the error
	}{
		"none":  {"a channel without limits", nil, nil, ""},
		"empty": {"as good as none", &v1alpha1.ChannelRate{}, nil, ""},
		"rates": {
			"as they are", &v1alpha1.ChannelRate{PerSecond: 200, PerDomainPerSecond: 20, PerDay: 5000},
			&pace.Limits{PerSecond: 200, PerDomainPerSecond: 20, PerDay: 5000}, "",
		},
		"warm-up": {
			"the order of the list means nothing",
			&v1alpha1.ChannelRate{WarmUp: &v1alpha1.WarmUp{StartsOn: "2027-03-01", Steps: []v1alpha1.WarmUpStep{{Day: 4, PerDay: 2000}, {Day: 1, PerDay: 500}}}},
			&pace.Limits{WarmUp: &pace.WarmUp{StartsOn: "2027-03-01", Steps: []pace.Step{{Day: 1, PerDay: 500}, {Day: 4, PerDay: 2000}}}}, "",
		},
		"no such day": {
			"the schema sees digits only",
			&v1alpha1.ChannelRate{WarmUp: &v1alpha1.WarmUp{StartsOn: "2027-02-30", Steps: []v1alpha1.WarmUpStep{{Day: 1, PerDay: 500}}}},
			nil, `spec.rate: warmUp.startsOn "2027-02-30" is no day`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planRate(tc.declared)
			if diff := cmp.Diff(tc.want, got); diff != "" || (err == nil) != (tc.words == "") {
				t.Errorf("%s (-want +got):\n%s\n%v", tc.why, diff, err)
			}
			if err != nil && !strings.Contains(err.Error(), tc.words) {
				t.Errorf("the error should say %q: %v", tc.words, err)
			}
		})
	}
}
