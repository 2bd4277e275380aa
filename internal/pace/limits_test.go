package pace_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/pace"
)

func TestDays(t *testing.T) {
	warmUp := &pace.WarmUp{StartsOn: "2027-03-01", Steps: []pace.Step{{Day: 1, PerDay: 500}, {Day: 3, PerDay: 2000}, {Day: 10, PerDay: 50000}}}
	cases := map[string]struct {
		why    string
		limits pace.Limits
		zone   string
		now    string
		want   string // from and bound of yesterday, today and tomorrow
	}{
		"None":       {"a rate is no bound for the day", pace.Limits{PerSecond: 5}, "UTC", "2027-03-01T12:00:00Z", ""},
		"PerDay":     {"the same every day", pace.Limits{PerDay: 7}, "UTC", "2027-03-01T12:00:00Z", "28T00:00Z 7, 01T00:00Z 7, 02T00:00Z 7"},
		"Madrid":     {"the day of the zone", pace.Limits{PerDay: 7}, "Europe/Madrid", "2027-02-28T23:30:00Z", "27T23:00Z 7, 28T23:00Z 7, 01T23:00Z 7"},
		"ClockMoves": {"a day of 23 hours", pace.Limits{PerDay: 7}, "Europe/Madrid", "2027-03-28T12:00:00Z", "26T23:00Z 7, 27T23:00Z 7, 28T22:00Z 7"},
		"Begins":     {"before it the first step holds", pace.Limits{WarmUp: warmUp}, "UTC", "2027-03-01T12:00:00Z", "28T00:00Z 500, 01T00:00Z 500, 02T00:00Z 500"},
		"Steps":      {"from the day of a step on", pace.Limits{WarmUp: warmUp}, "UTC", "2027-03-03T12:00:00Z", "02T00:00Z 500, 03T00:00Z 2000, 04T00:00Z 2000"},
		"Ends":       {"the last step goes on", pace.Limits{WarmUp: warmUp}, "UTC", "2027-06-10T12:00:00Z", "09T00:00Z 50000, 10T00:00Z 50000, 11T00:00Z 50000"},
		"Lower":      {"the lower of both", pace.Limits{PerDay: 900, WarmUp: warmUp}, "UTC", "2027-03-03T12:00:00Z", "02T00:00Z 500, 03T00:00Z 900, 04T00:00Z 900"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.Parse(time.RFC3339, tc.now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range tc.limits.Days(zone, now) {
				got = append(got, d.From.UTC().Format("02T15:04Z ")+strconv.FormatInt(d.Bound, 10))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// In every zone, now lies in the second of the days or, where its clock skips midnight, in a neighbour.
func TestDaysHoldNow(t *testing.T) {
	zones := []string{"UTC", "Europe/Madrid", "America/Havana", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe", "America/St_Johns"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_700_000_000, 2_200_000_000).Draw(t, "now"), 0)
		days := pace.Limits{PerDay: 1}.Days(zone, now)
		if now.Before(days[0].From) || !now.Before(days[2].From) {
			t.Fatalf("%s is not within %v", now, days)
		}
		for i, d := range days[1:] {
			if !d.From.After(days[i].From) {
				t.Fatalf("days out of order: %v", days)
			}
		}
	})
}

func TestCheckLimits(t *testing.T) {
	steps := []pace.Step{{Day: 1, PerDay: 5}}
	cases := map[string]struct {
		limits pace.Limits
		want   string
	}{
		"None":     {pace.Limits{}, ""},
		"All":      {pace.Limits{PerSecond: 1, PerDomainPerSecond: 1, PerDay: 1, WarmUp: &pace.WarmUp{StartsOn: "2027-03-01", Steps: steps}}, ""},
		"Negative": {pace.Limits{PerSecond: -1}, "positive"},
		"NoDay":    {pace.Limits{WarmUp: &pace.WarmUp{StartsOn: "2027-02-30", Steps: steps}}, "2027-03-01"},
		"NoSteps":  {pace.Limits{WarmUp: &pace.WarmUp{StartsOn: "2027-03-01"}}, "day 1"},
		"Later":    {pace.Limits{WarmUp: &pace.WarmUp{StartsOn: "2027-03-01", Steps: []pace.Step{{Day: 2, PerDay: 5}}}}, "day 1"},
		"Twice":    {pace.Limits{WarmUp: &pace.WarmUp{StartsOn: "2027-03-01", Steps: []pace.Step{{Day: 1, PerDay: 5}, {Day: 1, PerDay: 6}}}}, "twice"},
		"Order": {pace.Limits{WarmUp: &pace.WarmUp{StartsOn: "2027-03-01", Steps: []pace.Step{
			{Day: 1, PerDay: 5}, {Day: 3, PerDay: 6}, {Day: 2, PerDay: 6},
		}}}, "order"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := tc.limits.Check()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRoomOfADay(t *testing.T) {
	day := pace.Day{Bound: 100}
	for name, tc := range map[string]struct {
		granted int64
		class   pace.Class
		want    int64
	}{
		"Bulk":                  {40, pace.Bulk, 60},
		"BulkFull":              {100, pace.Bulk, 0},
		"Transactional":         {100, pace.Transactional, 10},
		"TransactionalFull":     {110, pace.Transactional, 0},
		"AfterTheBoundWentDown": {500, pace.Bulk, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := day.Room(tc.granted, tc.class); got != tc.want {
				t.Errorf("room for %d, want %d", got, tc.want)
			}
		})
	}
}
