package handover

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

func login(password string) credentials.Channel {
	return credentials.Channel{Username: "velo", Password: password}
}

func TestPlanTenant(t *testing.T) {
	type logins = map[string]credentials.Channel
	told := login("told")
	tests := map[string]struct {
		reason   string
		present  logins
		spoken   map[string]*credentials.Channel
		channels []string
		want     logins
	}{
		"nobody has spoken": {"what was told before this operator stays", logins{"news": login("before")}, nil, []string{"news"}, logins{"news": login("before")}},
		"a channel is gone": {"so is its login", logins{"news": login("before")}, nil, nil, logins{}},
		"one has spoken": {
			"and the other not yet",
			logins{"news": login("before"), "other": login("before")},
			map[string]*credentials.Channel{"news": &told},
			[]string{"news", "other"},
			logins{"news": told, "other": login("before")},
		},
		"one has taken it back":       {"nothing of it stays", logins{"news": login("before")}, map[string]*credentials.Channel{"news": nil}, []string{"news"}, logins{}},
		"the Secret was lost":         {"what was spoken makes it whole", nil, map[string]*credentials.Channel{"news": &told}, []string{"news", "other"}, logins{"news": told}},
		"one that is gone has spoken": {"its word counts no more", nil, map[string]*credentials.Channel{"news": &told}, nil, logins{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := planTenant(credentials.Tenant{ID: "velo"}, tc.present, tc.spoken, tc.channels)
			if diff := cmp.Diff(credentials.Tenant{ID: "velo", Channels: tc.want}, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPlanLoginTouchesNobodyElses(t *testing.T) {
	present := map[string]credentials.Channel{"news": login("before"), "other": login("stays")}
	rotated := login("rotated")
	for name, tc := range map[string]struct {
		login *credentials.Channel
		want  map[string]credentials.Channel
	}{
		"rotated":    {&rotated, map[string]credentials.Channel{"news": rotated, "other": login("stays")}},
		"taken back": {nil, map[string]credentials.Channel{"other": login("stays")}},
	} {
		got := planLogin(credentials.Tenant{ID: "velo"}, present, "news", tc.login)
		if diff := cmp.Diff(credentials.Tenant{ID: "velo", Channels: tc.want}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if present["news"] != login("before") {
		t.Error("what is present was changed by planning")
	}
}
