package campaign_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

func TestScheduleStartsAt(t *testing.T) {
	cases := map[string]struct{ why, at, zone, want string }{
		"Winter":         {"standard time", "2027-01-15T09:00:00", "Europe/Madrid", "2027-01-15T08:00:00Z"},
		"Summer":         {"daylight saving time", "2027-07-15T09:00:00", "Europe/Madrid", "2027-07-15T07:00:00Z"},
		"WithoutSeconds": {"seconds may be missing", "2027-07-15T09:00", "Europe/Madrid", "2027-07-15T07:00:00Z"},
		"Gap":            {"half past two does not exist that night: half past three", "2027-03-28T02:30:00", "Europe/Madrid", "2027-03-28T01:30:00Z"},
		"GapBegins":      {"the first skipped moment", "2027-03-28T02:00:00", "Europe/Madrid", "2027-03-28T01:00:00Z"},
		"AfterGap":       {"the first moment after it", "2027-03-28T03:00:00", "Europe/Madrid", "2027-03-28T01:00:00Z"},
		"Overlap":        {"half past two comes twice: the first", "2027-10-31T02:30:00", "Europe/Madrid", "2027-10-31T00:30:00Z"},
		"AfterOverlap":   {"three comes once", "2027-10-31T03:00:00", "Europe/Madrid", "2027-10-31T02:00:00Z"},
		"WestGap":        {"west of Greenwich too", "2027-03-14T02:30:00", "America/New_York", "2027-03-14T07:30:00Z"},
		"WestOverlap":    {"west of Greenwich too", "2027-11-07T01:30:00", "America/New_York", "2027-11-07T05:30:00Z"},
		"HalfHourGap":    {"Lord Howe's clocks move by half an hour", "2027-10-03T02:15:00", "Australia/Lord_Howe", "2027-10-02T15:45:00Z"},
		"UTC":            {"a zone without changes", "2027-03-28T02:30:00", "UTC", "2027-03-28T02:30:00Z"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := campaign.Timing{At: tc.at, TimeZone: tc.zone}.Parse()
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Once().StartsAt.UTC().Format(time.RFC3339); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.why, got, tc.want)
			}
			if got := s.Once().Deadline.Sub(s.Once().StartsAt); got != campaign.DefaultStartingDeadline {
				t.Errorf("the deadline is %s after the start", got)
			}
		})
	}
}

// A time that the clock does read is read back; one that it skips is read later by what was skipped.
func TestScheduleReadsBack(t *testing.T) {
	zones := []string{"Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		at := time.Unix(rapid.Int64Range(1_700_000_000, 2_200_000_000).Draw(t, "at"), 0).UTC().Format("2006-01-02T15:04:05")
		s, err := campaign.Timing{At: at, TimeZone: zone, StartingDeadline: "1h"}.Parse()
		if err != nil {
			t.Fatal(err)
		}
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		read := s.Once().StartsAt.In(location).Format("2006-01-02T15:04:05")
		if read < at {
			t.Fatalf("%s in %s is sent earlier, at %s", at, zone, read)
		}
		if again := s.Once().StartsAt.Add(-time.Hour).In(location).Format("2006-01-02T15:04:05"); again == at {
			t.Fatalf("%s in %s comes an hour before %s already", at, zone, s.Once().StartsAt)
		}
	})
}

func TestParseScheduleErrors(t *testing.T) {
	cases := map[string]struct{ at, zone, deadline, want string }{
		"Offset":   {"2027-03-21T09:00:00Z", "UTC", "", "local date and time"},
		"NoDay":    {"2027-02-30T09:00:00", "UTC", "", "local date and time"},
		"Zone":     {"2027-03-21T09:00:00", "Europe/Atlantis", "", "IANA zone"},
		"NoZone":   {"2027-03-21T09:00:00", "", "", "IANA zone"},
		"Local":    {"2027-03-21T09:00:00", "Local", "", "IANA zone"},
		"Deadline": {"2027-03-21T09:00:00", "UTC", "6 hours", "duration"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			timing := campaign.Timing{At: tc.at, TimeZone: tc.zone, StartingDeadline: tc.deadline}
			if _, err := timing.Parse(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error should speak of %q: %v", tc.want, err)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	cases := map[string]struct {
		want time.Duration
		ok   bool
	}{
		"90d":           {90 * 24 * time.Hour, true},
		"6h":            {6 * time.Hour, true},
		"30m":           {30 * time.Minute, true},
		"15s":           {15 * time.Second, true},
		"1d12h":         {36 * time.Hour, true},
		"1d2h3m4s":      {26*time.Hour + 3*time.Minute + 4*time.Second, true},
		"0s":            {0, true},
		"":              {},
		"d":             {},
		"12":            {},
		"12h1d":         {},
		"1d1d":          {},
		"1.5h":          {},
		"-1h":           {},
		"1w":            {},
		"6h ":           {},
		"999999999999d": {},
	}
	for text, tc := range cases {
		t.Run(text, func(t *testing.T) {
			got, err := campaign.ParseDuration(text)
			if got != tc.want || (err == nil) != tc.ok {
				t.Errorf("got %v, %v; want %v, ok %v", got, err, tc.want, tc.ok)
			}
		})
	}
}
