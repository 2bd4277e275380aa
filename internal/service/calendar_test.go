package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/service"
)

func moment(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func calendar(t rapid.TB, h service.Hours) service.Calendar {
	t.Helper()
	c, err := h.Compile(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	workdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}
	// office closes for lunch, and earlier on Fridays.
	office = service.Hours{TimeZone: "Europe/Madrid", Holidays: []string{"2027-03-25", "12-25", "02-29"}, Open: []campaign.Window{
		{Days: workdays[:4], From: "09:00", To: "14:00"}, {Days: workdays[:4], From: "15:00", To: "18:00"}, {Days: workdays[4:], From: "08:00", To: "15:00"},
	}}
	nights = service.Hours{TimeZone: "Europe/Madrid", Open: []campaign.Window{{Days: []string{"Saturday"}, From: "22:00", To: "06:00"}}}
)

func TestElapsedAndDue(t *testing.T) {
	cases := map[string]struct {
		why      string
		hours    service.Hours
		from, to string
		want     time.Duration
		due      string // of what has elapsed; "": to
	}{
		"AroundTheClock": {"without hours, all count", service.Hours{}, "2027-03-20T00:00:00Z", "2027-03-29T00:00:01Z", 216*time.Hour + time.Second, ""},
		"WithinADay":     {"Monday 10:00 to 12:30", office, "2027-03-22T09:00:00Z", "2027-03-22T11:30:00Z", 150 * time.Minute, ""},
		"Lunch":          {"an hour is none", office, "2027-03-22T12:00:00Z", "2027-03-22T15:00:00Z", 2 * time.Hour, ""},
		"Night":          {"due at the end of the day, and not the next morning", office, "2027-03-22T16:00:00Z", "2027-03-23T07:00:00Z", time.Hour, "2027-03-22T17:00:00Z"},
		"Weekend":        {"Friday 14:00 to Monday 10:00", office, "2027-03-19T13:00:00Z", "2027-03-22T09:00:00Z", 2 * time.Hour, ""},
		"Holiday":        {"the Thursday is one", office, "2027-03-24T16:00:00Z", "2027-03-26T08:00:00Z", 2 * time.Hour, ""},
		"EveryYear":      {"Christmas of any year", office, "2028-12-22T14:00:00Z", "2028-12-26T09:00:00Z", time.Hour, ""},
		"LeapDay":        {"there is one in 2028", office, "2028-02-28T17:00:00Z", "2028-03-01T09:00:00Z", time.Hour, ""},
		"NoLeapDay":      {"and none in 2027: Monday is the first of March", office, "2027-02-26T14:00:00Z", "2027-03-01T09:00:00Z", time.Hour, ""},
		"SpringNight":    {"22:00 to 06:00 has seven hours", nights, "2027-03-27T12:00:00Z", "2027-03-28T12:00:00Z", 7 * time.Hour, "2027-03-28T04:00:00Z"},
		"AutumnNight":    {"and nine", nights, "2027-10-30T12:00:00Z", "2027-10-31T12:00:00Z", 9 * time.Hour, "2027-10-31T05:00:00Z"},
		"SpringOfAll":    {"a day of 23 hours", service.Hours{TimeZone: "Europe/Madrid", Holidays: []string{"2027-03-29"}}, "2027-03-27T23:00:00Z", "2027-03-30T00:00:00Z", 25 * time.Hour, ""},
		"Backwards":      {"nothing", office, "2027-03-22T11:30:00Z", "2027-03-22T09:00:00Z", 0, "2027-03-22T11:30:00Z"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := calendar(t, tc.hours)
			from, to := moment(t, tc.from), moment(t, tc.to)
			got := c.Elapsed(from, to)
			if got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.why, got, tc.want)
			}
			if tc.due != "" {
				to = moment(t, tc.due)
			}
			if due := c.Due(from, got); !due.Equal(to) {
				t.Errorf("%s: due at %s, want %s", tc.why, due.UTC(), to)
			}
		})
	}
}

// around are days on which clocks of those zones are changed: by an hour, by half an hour, at midnight, over a whole day, and never.
var around = map[string][]string{
	"Europe/Madrid":       {"2027-03-28", "2027-10-31"},
	"America/New_York":    {"2027-03-14", "2027-11-07"},
	"Australia/Lord_Howe": {"2027-04-04", "2027-10-03"},
	"America/Santiago":    {"2027-04-04", "2027-09-05"},
	"Pacific/Apia":        {"2011-12-30"},
	"Asia/Kathmandu":      {"2027-06-01"},
}

func drawHours(t *rapid.T) service.Hours {
	times := []string{"00:00", "00:30", "01:15", "02:00", "02:30", "03:00", "09:00", "13:45", "18:00", "23:30"}
	h := service.Hours{TimeZone: rapid.SampledFrom(slices.Sorted(zones())).Draw(t, "zone")}
	for i := range rapid.IntRange(0, 4).Draw(t, "windows") {
		w := campaign.Window{From: rapid.SampledFrom(times).Draw(t, fmt.Sprint("from", i)), To: rapid.SampledFrom(append(times, "24:00")).Draw(t, fmt.Sprint("to", i))}
		w.Days = rapid.SampledFrom([][]string{nil, workdays, {"Saturday"}, {"Sunday"}, {"Sunday", "Wednesday"}}).Draw(t, fmt.Sprint("days", i))
		h.Open = append(h.Open, w)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "holidays") {
		day := rapid.SampledFrom(around[h.TimeZone]).Draw(t, fmt.Sprint("holiday", i))
		if rapid.Bool().Draw(t, fmt.Sprint("yearly", i)) {
			day = day[5:]
		}
		h.Holidays = append(h.Holidays, day)
	}
	return h
}

func zones() func(func(string) bool) {
	return func(yield func(string) bool) {
		for zone := range around {
			if !yield(zone) {
				return
			}
		}
	}
}

// drawTime is a moment in the days around a change of the zone's clock.
func drawTime(t *rapid.T, h service.Hours, label string, unit time.Duration) time.Time {
	day, _ := time.Parse(time.DateOnly, rapid.SampledFrom(around[h.TimeZone]).Draw(t, label+" day"))
	return day.Add(time.Duration(rapid.Int64Range(-3*24*int64(time.Hour/unit), 4*24*int64(time.Hour/unit)).Draw(t, label)) * unit)
}

// worked counts the minutes one by one, by what the clock on the wall shows.
func worked(h service.Hours, from, to time.Time) time.Duration {
	zone, _ := crm.ParseZone(h.TimeZone)
	minutes := 0
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		wall := at.In(zone)
		date := wall.Format(time.DateOnly)
		if slices.Contains(h.Holidays, date) || slices.Contains(h.Holidays, date[5:]) {
			continue
		}
		if len(h.Open) == 0 || slices.ContainsFunc(h.Open, func(w campaign.Window) bool { return shown(w, wall) }) {
			minutes++
		}
	}
	return time.Duration(minutes) * time.Minute
}

// shown tells whether a clock shows a time of a window. Times of day are compared as text.
func shown(w campaign.Window, wall time.Time) bool {
	on := func(day time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, day.String()) }
	now, today := wall.Format("15:04"), wall.Weekday()
	yesterday := (today + 6) % 7
	if strings.Compare(w.From, w.To) < 0 {
		return on(today) && now >= w.From && now < w.To
	}
	return on(today) && now >= w.From || on(yesterday) && now < w.To
}

func TestElapsedIsWhatTheClockShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHours(t)
		from := drawTime(t, h, "from", time.Minute)
		to := from.Add(time.Duration(rapid.Int64Range(0, 9*24*60).Draw(t, "minutes")) * time.Minute)
		if got, want := calendar(t, h).Elapsed(from, to), worked(h, from, to); got != want {
			t.Fatalf("from %s to %s: got %s, want %s", from, to, got, want)
		}
	})
}

func TestElapsedIsAdditive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHours(t)
		c := calendar(t, h)
		times := []time.Time{drawTime(t, h, "a", time.Nanosecond), drawTime(t, h, "b", time.Nanosecond), drawTime(t, h, "c", time.Nanosecond)}
		slices.SortFunc(times, time.Time.Compare)
		ab, bc, ac := c.Elapsed(times[0], times[1]), c.Elapsed(times[1], times[2]), c.Elapsed(times[0], times[2])
		if ab+bc != ac {
			t.Fatalf("%s and %s are %s, and not %s", ab, bc, ab+bc, ac)
		}
		if ab < 0 || ab > times[1].Sub(times[0]) {
			t.Fatalf("%s of work in %s", ab, times[1].Sub(times[0]))
		}
	})
}

func TestDueIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHours(t)
		c := calendar(t, h)
		from := drawTime(t, h, "from", time.Nanosecond)
		work := time.Duration(rapid.Int64Range(1, int64(200*time.Hour)).Draw(t, "work"))
		due := c.Due(from, work)
		if got := c.Elapsed(from, due); got != work {
			t.Fatalf("%s is due at %s, after %s", work, due, got)
		}
		if got := c.Elapsed(from, due.Add(-1)); got >= work {
			t.Fatalf("%s of work are done before %s already", work, due)
		}
		to := drawTime(t, h, "to", time.Nanosecond)
		if again := c.Due(from, c.Elapsed(from, to)); again.After(later(from, to)) {
			t.Fatalf("what was worked until %s is due at %s", to, again)
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestDueIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHours(t)
		c := calendar(t, h)
		from := drawTime(t, h, "from", time.Nanosecond)
		work := time.Duration(rapid.Int64Range(0, int64(90*time.Hour)).Draw(t, "work"))
		due := c.Due(from, work)
		more := time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "more"))
		if d := c.Due(from, work+more); d.Before(due) {
			t.Fatalf("%s more are due at %s, before %s", more, d, due)
		}
		if d := c.Due(from.Add(more), work); d.Before(due) {
			t.Fatalf("what begins %s later is due at %s, before %s", more, d, due)
		}
	})
}

// A team's hours and those in which campaigns are sent are the same notion.
func TestOpenAsCampaignsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHours(t)
		h.Holidays = nil
		c := calendar(t, h)
		open, err := campaign.CompileHours([]campaign.Hours{{TimeZone: h.TimeZone, Open: h.Open}}, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		at := drawTime(t, h, "at", time.Second)
		if got, want := c.Open(at), open.Next("", at).Equal(at); got != want {
			t.Fatalf("open at %s: %t, and %t for campaigns", at, got, want)
		}
	})
}

func TestCalendarOfOneMinute(t *testing.T) {
	c := calendar(t, service.Hours{TimeZone: "UTC", Open: []campaign.Window{{Days: []string{"Monday"}, From: "09:00", To: "09:01"}}})
	from := moment(t, "2027-03-21T00:00:00Z")
	if due, want := c.Due(from, time.Hour), moment(t, "2028-05-08T09:01:00Z"); !due.Equal(want) {
		t.Errorf("sixty Mondays: due at %s, want %s", due, want)
	}
	if due := c.Due(from, 1000*time.Hour); due.Sub(from) != 3653*24*time.Hour {
		t.Errorf("what takes longer than anybody looks ends there, not at %s", due)
	}
}

func TestWrongHours(t *testing.T) {
	many := make([]string, service.MaxHolidays+1)
	for i := range many {
		many[i] = "12-25"
	}
	cases := map[string]struct {
		hours service.Hours
		want  string
	}{
		"Zone":      {service.Hours{TimeZone: "Atlantis"}, `timeZone: time zone "Atlantis" is unknown`},
		"Day":       {service.Hours{Open: []campaign.Window{{From: "09:00", To: "18:00"}, {Days: []string{"Lunes"}, From: "09:00", To: "18:00"}}}, `open[1]: "Lunes" is no day`},
		"Time":      {service.Hours{Open: []campaign.Window{{From: "9:00", To: "18:00"}}}, `open[0]: "9:00" is no time`},
		"Holiday":   {service.Hours{Holidays: []string{"12-25", "25-12"}}, `holidays[1]: "25-12" is no day`},
		"NoSuchDay": {service.Hours{Holidays: []string{"2027-02-29"}}, `holidays[0]`},
		"TooMany":   {service.Hours{Holidays: many}, `at most 200`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := tc.hours.Compile(time.UTC); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	if _, err := (service.Hours{}).Compile(nil); err == nil {
		t.Error("hours need a zone")
	}
}
