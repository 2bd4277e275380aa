package campaign_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

func compile(t rapid.TB, list ...campaign.Hours) campaign.OpenHours {
	t.Helper()
	madrid, err := crm.ParseZone("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	open, err := campaign.CompileHours(list, madrid)
	if err != nil {
		t.Fatal(err)
	}
	return open
}

func TestOpenHours(t *testing.T) {
	office := campaign.Hours{Open: []campaign.Window{{Days: []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}, From: "09:00", To: "18:00"}}}
	quiet := campaign.Hours{Closed: []campaign.Window{{From: "21:00", To: "08:00"}}}
	night := campaign.Hours{TimeZone: "UTC", Open: []campaign.Window{{Days: []string{"Saturday"}, From: "22:00", To: "02:00"}}}
	cases := map[string]struct {
		why       string
		hours     []campaign.Hours
		zone, now string
		want      string
	}{
		"Always":        {"no hours, no wait", nil, "Europe/Madrid", "2027-03-21T03:00:00Z", "2027-03-21T03:00:00Z"},
		"Open":          {"Monday at noon", []campaign.Hours{office}, "Europe/Madrid", "2027-03-22T11:00:00Z", "2027-03-22T11:00:00Z"},
		"Sunday":        {"until Monday at nine", []campaign.Hours{office}, "Europe/Madrid", "2027-03-21T11:00:00Z", "2027-03-22T08:00:00Z"},
		"Evening":       {"the end is no part of it", []campaign.Hours{office}, "Europe/Madrid", "2027-03-22T17:00:00Z", "2027-03-23T08:00:00Z"},
		"OtherZone":     {"it is morning there", []campaign.Hours{office}, "America/New_York", "2027-03-22T11:00:00Z", "2027-03-22T13:00:00Z"},
		"UnknownZone":   {"as in the tenant's zone", []campaign.Hours{office}, "Atlantis", "2027-03-21T11:00:00Z", "2027-03-22T08:00:00Z"},
		"Quiet":         {"nobody is woken", []campaign.Hours{quiet}, "Europe/Madrid", "2027-03-22T22:00:00Z", "2027-03-23T07:00:00Z"},
		"QuietMorning":  {"what began yesterday ends today", []campaign.Hours{quiet}, "Europe/Madrid", "2027-03-22T03:00:00Z", "2027-03-22T07:00:00Z"},
		"NotQuiet":      {"the day is open", []campaign.Hours{quiet}, "Europe/Madrid", "2027-03-22T12:00:00Z", "2027-03-22T12:00:00Z"},
		"Midnight":      {"a window goes over midnight", []campaign.Hours{night}, "", "2027-03-21T01:59:00Z", "2027-03-21T01:59:00Z"},
		"AfterMidnight": {"and ends", []campaign.Hours{night}, "", "2027-03-21T02:00:00Z", "2027-03-27T22:00:00Z"},
		"Both":          {"all have to be open", []campaign.Hours{office, {Closed: []campaign.Window{{From: "08:00", To: "11:00"}}}}, "Europe/Madrid", "2027-03-21T11:00:00Z", "2027-03-22T10:00:00Z"},
		"Never":         {"what never opens is looked at again after a day", []campaign.Hours{office, {Closed: []campaign.Window{{From: "00:00", To: "24:00"}}}}, "UTC", "2027-03-21T11:00:00Z", "2027-03-22T11:00:00Z"},
		"Gap":           {"two o'clock does not come that night: three does", []campaign.Hours{{Open: []campaign.Window{{From: "02:00", To: "05:00"}}}}, "Europe/Madrid", "2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := compile(t, tc.hours...).Next(tc.zone, moment(t, tc.now))
			if !got.Equal(moment(t, tc.want)) {
				t.Errorf("%s: got %s, want %s", tc.why, got.UTC().Format(time.RFC3339), tc.want)
			}
		})
	}
}

// The moment that is found is open, and none before it is, but for the hour that a clock change skips or repeats.
func TestOpenHoursAreTheNext(t *testing.T) {
	times := []string{"00:00", "02:30", "07:00", "09:00", "13:45", "18:00", "23:30"}
	rapid.Check(t, func(t *rapid.T) {
		window := func(label string) campaign.Window {
			return campaign.Window{
				Days: rapid.SampledFrom([][]string{nil, {"Monday"}, {"Saturday", "Sunday"}, {"Tuesday", "Friday"}}).Draw(t, label+" days"),
				From: rapid.SampledFrom(times).Draw(t, label+" from"), To: rapid.SampledFrom(append(times, "24:00")).Draw(t, label+" to"),
			}
		}
		open := compile(t, campaign.Hours{Open: []campaign.Window{window("open"), window("other")}}, campaign.Hours{TimeZone: "Asia/Tokyo", Closed: []campaign.Window{window("closed")}})
		zone := rapid.SampledFrom([]string{"Europe/Madrid", "America/New_York", "UTC"}).Draw(t, "zone")
		now := time.Unix(rapid.Int64Range(1_780_000_000, 1_890_000_000).Draw(t, "now")/60*60, 0).UTC()
		next := open.Next(zone, now)
		if next.Before(now) {
			t.Fatalf("%s is before %s", next, now)
		}
		if again := open.Next(zone, next); !again.Equal(next) && next.Sub(now) != 24*time.Hour {
			t.Fatalf("%s is not open: %s is", next, again)
		}
		for at := now; at.Before(next.Add(-time.Hour)); at = at.Add(15 * time.Minute) {
			if open.Next(zone, at).Equal(at) {
				t.Fatalf("%s is open already, not first %s", at, next)
			}
		}
	})
}
