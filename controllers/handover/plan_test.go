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
			got := planTenant(credentials.Tenant{ID: "velo"}, credentials.Tenant{Channels: tc.present}, spoken{channels: tc.spoken}, named{channels: tc.channels})
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
		sources := map[string]credentials.Source{"blog": {"password": "stays"}}
		got := planLogin(credentials.Tenant{ID: "velo"}, credentials.Tenant{Channels: present, Sources: sources}, "news", tc.login)
		if diff := cmp.Diff(credentials.Tenant{ID: "velo", Channels: tc.want, Sources: sources}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if present["news"] != login("before") {
		t.Error("what is present was changed by planning")
	}
}

func TestPlanTenantWithSources(t *testing.T) {
	type logins = map[string]credentials.Source
	before, told := credentials.Source{"password": "before"}, credentials.Source{"password": "told"}
	for name, tc := range map[string]struct {
		reason                string
		present, heard, wants logins
		alive                 []string
	}{
		"nobody has spoken": {"what was told before this operator stays", logins{"blog": before}, nil, logins{"blog": before}, []string{"blog"}},
		"a source is gone":  {"so is its login", logins{"blog": before}, logins{"blog": told}, nil, nil},
		"one has spoken": {
			"and the other not yet", logins{"blog": before, "other": before}, logins{"blog": told}, logins{"blog": told, "other": before}, []string{"blog", "other"},
		},
		"one has taken it back": {"nothing of it stays", logins{"blog": before}, logins{"blog": nil}, nil, []string{"blog"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := planTenant(credentials.Tenant{ID: "velo"}, credentials.Tenant{Sources: tc.present}, spoken{sources: tc.heard}, named{sources: tc.alive})
			if diff := cmp.Diff(credentials.Tenant{ID: "velo", Channels: map[string]credentials.Channel{}, Sources: tc.wants}, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPlanSourceTouchesNobodyElses(t *testing.T) {
	channels := map[string]credentials.Channel{"news": login("stays")}
	present := credentials.Tenant{Channels: channels, Sources: map[string]credentials.Source{"blog": {"password": "before"}, "other": {"password": "stays"}}}
	for name, tc := range map[string]struct{ login, want credentials.Source }{
		"rotated":    {credentials.Source{"password": "rotated"}, credentials.Source{"password": "rotated"}},
		"taken back": {nil, nil},
	} {
		want := map[string]credentials.Source{"other": {"password": "stays"}}
		if tc.want != nil {
			want["blog"] = tc.want
		}
		got := planSource(credentials.Tenant{ID: "velo"}, present, "blog", tc.login)
		if diff := cmp.Diff(credentials.Tenant{ID: "velo", Channels: channels, Sources: want}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if present.Sources["blog"]["password"] != "before" {
		t.Error("what is present was changed by planning")
	}
	if got := planSource(credentials.Tenant{}, credentials.Tenant{}, "blog", credentials.Source{"password": "first"}); got.Sources["blog"]["password"] != "first" {
		t.Errorf("the first login of a tenant: %+v", got)
	}
}
