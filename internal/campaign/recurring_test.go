package campaign_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

func parse(t rapid.TB, timing campaign.Timing) campaign.Schedule {
	t.Helper()
	s, err := timing.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func moment(t rapid.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestOccurrences(t *testing.T) {
	cases := map[string]struct {
		why    string
		timing campaign.Timing
		after  string
		want   []string // the occurrence and when it begins
	}{
		"Weekly": {
			"Mondays at nine, also when the clocks change on the Sunday between",
			campaign.Timing{Cron: "0 9 * * MON", TimeZone: "Europe/Madrid"},
			"2027-03-20T00:00",
			[]string{"2027-03-22T09:00 2027-03-22T08:00:00Z", "2027-03-29T09:00 2027-03-29T07:00:00Z"},
		},
		"Gap": {
			"half past two does not exist that night: it is taken an hour later",
			campaign.Timing{Cron: "30 2 * * *", TimeZone: "Europe/Madrid"},
			"2027-03-27T02:30",
			[]string{"2027-03-28T02:30 2027-03-28T01:30:00Z", "2027-03-29T02:30 2027-03-29T00:30:00Z"},
		},
		"GapOnAnother": {
			"two o'clock would be taken at three, which has an occurrence of its own",
			campaign.Timing{Cron: "0 * * * *", TimeZone: "Europe/Madrid"},
			"2027-03-28T01:00",
			[]string{"2027-03-28T03:00 2027-03-28T01:00:00Z", "2027-03-28T04:00 2027-03-28T02:00:00Z"},
		},
		"Overlap": {
			"half past two comes twice and occurs once, the first time",
			campaign.Timing{Cron: "30 * * * *", TimeZone: "Europe/Madrid"},
			"2027-10-31T01:30",
			[]string{"2027-10-31T02:30 2027-10-31T00:30:00Z", "2027-10-31T03:30 2027-10-31T02:30:00Z"},
		},
		"EitherDay": {
			"as in a CronJob, where both days are said either will do",
			campaign.Timing{Cron: "0 9 13 * FRI", TimeZone: "UTC"},
			"2027-08-09T00:00",
			[]string{"2027-08-13T09:00 2027-08-13T09:00:00Z", "2027-08-20T09:00 2027-08-20T09:00:00Z"},
		},
		"Word":  {"CronJobs know words too", campaign.Timing{Cron: "@monthly", TimeZone: "UTC"}, "2027-08-09T00:00", []string{"2027-09-01T00:00 2027-09-01T00:00:00Z"}},
		"Ends":  {"none begins at the end or after it", campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC", EndsAt: "2027-08-11T09:00"}, "2027-08-09T10:00", []string{"2027-08-10T09:00 2027-08-10T09:00:00Z", ""}},
		"Leap":  {"the twenty-ninth of February comes", campaign.Timing{Cron: "0 9 29 2 *", TimeZone: "UTC"}, "2027-01-01T00:00", []string{"2028-02-29T09:00 2028-02-29T09:00:00Z"}},
		"Clock": {"each own clock: first where it is fourteen hours earlier", campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC", PerRecipient: true}, "2027-08-09T09:00", []string{"2027-08-10T09:00 2027-08-09T19:00:00Z"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := parse(t, tc.timing)
			var got []string
			for at := tc.after; len(got) < len(tc.want); {
				o, ok := s.After(at)
				if !ok {
					got = append(got, "")
					break
				}
				got = append(got, o.Local+" "+o.StartsAt.UTC().Format(time.RFC3339))
				at = o.Local
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestTimingErrors(t *testing.T) {
	cases := map[string]campaign.Timing{
		"Neither":  {TimeZone: "UTC"},
		"Both":     {At: "2027-03-21T09:00", Cron: "0 9 * * *", TimeZone: "UTC"},
		"Fields":   {Cron: "0 9 * *", TimeZone: "UTC"},
		"Zone":     {Cron: "TZ=Asia/Tokyo 0 9 * * *", TimeZone: "UTC"},
		"Never":    {Cron: "0 9 30 2 *", TimeZone: "UTC"},
		"Every":    {Cron: "@every 1h", TimeZone: "UTC"},
		"EndsAt":   {At: "2027-03-21T09:00", EndsAt: "tomorrow", TimeZone: "UTC"},
		"HourZone": {At: "2027-03-21T09:00", TimeZone: "UTC", Hours: &campaign.Hours{TimeZone: "Mars", Open: []campaign.Window{{From: "09:00", To: "10:00"}}}},
		"Hour":     {At: "2027-03-21T09:00", TimeZone: "UTC", Hours: &campaign.Hours{Open: []campaign.Window{{From: "9", To: "10:00"}}}},
		"Day":      {At: "2027-03-21T09:00", TimeZone: "UTC", Hours: &campaign.Hours{Open: []campaign.Window{{Days: []string{"Lunes"}, From: "09:00", To: "10:00"}}}},
	}
	for name, timing := range cases {
		t.Run(name, func(t *testing.T) {
			if s, err := timing.Parse(); err == nil {
				t.Errorf("this is no timing: %+v", s)
			}
		})
	}
}

// Every local time that a schedule names occurs once, in order, and no two occurrences begin at the same moment.
func TestEachLocalTimeOccursOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := parse(t, campaign.Timing{
			Cron:     rapid.SampledFrom([]string{"*/15 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * MON", "15 1,2,3 * * SUN"}).Draw(t, "cron"),
			TimeZone: rapid.SampledFrom([]string{"Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"}).Draw(t, "zone"),
		})
		local := time.Unix(rapid.Int64Range(1_780_000_000, 1_890_000_000).Draw(t, "from"), 0).UTC().Format("2006-01-02T15:04")
		var last campaign.Occurrence
		for i := range 200 {
			o, ok := s.After(local)
			if !ok || o.Local <= local || i > 0 && !o.StartsAt.After(last.StartsAt) {
				t.Fatalf("%s at %s follows %s at %s", o.Local, o.StartsAt, last.Local, last.StartsAt)
			}
			local, last = o.Local, o
		}
	})
}

func TestAdvance(t *testing.T) {
	daily := campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC"}
	cases := map[string]struct {
		why    string
		timing campaign.Timing
		now    string
		missed []string
		begun  string
		next   string
	}{
		"Early":     {"its time has not come", daily, "2027-08-10T08:59:59Z", nil, "", "2027-08-10T09:00"},
		"Due":       {"its time has come", daily, "2027-08-10T09:00:00Z", nil, "2027-08-10T09:00", "2027-08-11T09:00"},
		"Late":      {"it is not too late yet", daily, "2027-08-10T15:00:00Z", nil, "2027-08-10T09:00", "2027-08-11T09:00"},
		"TooLate":   {"a cluster that wakes up does not mail", daily, "2027-08-10T15:00:01Z", []string{"2027-08-10T09:00"}, "", "2027-08-11T09:00"},
		"Days":      {"each that was missed is recorded", daily, "2027-08-12T08:00:00Z", []string{"2027-08-10T09:00", "2027-08-11T09:00"}, "", "2027-08-12T09:00"},
		"OnlyLast":  {"of several that may begin the last does", campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC", StartingDeadline: "3d"}, "2027-08-11T10:00:00Z", []string{"2027-08-10T09:00"}, "2027-08-11T09:00", "2027-08-12T09:00"},
		"Ended":     {"it was not begun before the end", campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC", EndsAt: "2027-08-10T12:00"}, "2027-08-10T12:00:00Z", []string{"2027-08-10T09:00"}, "", ""},
		"LastOfAll": {"nothing follows", campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC", EndsAt: "2027-08-10T12:00"}, "2027-08-10T09:00:00Z", nil, "2027-08-10T09:00", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			step, err := parse(t, tc.timing).Advance("2027-08-10T09:00", moment(t, tc.now))
			if err != nil {
				t.Fatal(err)
			}
			var missed []string
			for _, o := range step.Missed {
				missed = append(missed, o.Local)
			}
			begun, next := "", ""
			if step.Begun != nil {
				begun = step.Begun.Local
			}
			if step.Next != nil {
				next = step.Next.Local
			}
			if diff := cmp.Diff([]any{tc.missed, tc.begun, tc.next}, []any{missed, begun, next}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// However long nobody looked, what is recorded is bounded, and what begins is within its deadline.
func TestAdvanceIsBounded(t *testing.T) {
	from := time.Date(2027, 8, 10, 9, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		s := parse(t, campaign.Timing{Cron: rapid.SampledFrom([]string{"*/10 * * * *", "0 9 * * *", "0 9 * * MON"}).Draw(t, "cron"), TimeZone: "Europe/Madrid"})
		now := from.Add(time.Duration(rapid.Int64Range(0, 100*24*3600).Draw(t, "away")) * time.Second)
		step, err := s.Advance("2027-08-10T09:00", now)
		if err != nil {
			t.Fatal(err)
		}
		if len(step.Missed) > 31 || step.Next == nil || !step.Next.StartsAt.After(now) {
			t.Fatalf("%d are recorded, next is %+v at %s", len(step.Missed), step.Next, now)
		}
		if o := step.Begun; o != nil && (now.Before(o.StartsAt) || now.After(o.Deadline)) {
			t.Fatalf("%+v begins at %s", o, now)
		}
	})
}

func TestBegins(t *testing.T) {
	s := parse(t, campaign.Timing{At: "2027-03-28T02:30:00", TimeZone: "America/Bogota", PerRecipient: true, StartingDeadline: "1h"})
	begins, err := s.Begins([]string{"Europe/Madrid", "Asia/Tokyo", "Atlantis", ""}, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for zone, b := range begins {
		got[zone] = b.StartsAt.UTC().Format(time.RFC3339)
		if !b.Deadline.Equal(b.StartsAt.Add(time.Hour)) {
			t.Errorf("each zone has a deadline of its own: %s", b.Deadline)
		}
	}
	want := map[string]string{"Europe/Madrid": "2027-03-28T01:30:00Z", "Asia/Tokyo": "2027-03-27T17:30:00Z", "": "2027-03-28T07:30:00Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the hour of each zone (-want +got):\n%s", diff)
	}
	if o := s.Once(); o.StartsAt.After(begins["Asia/Tokyo"].StartsAt) || o.Deadline.Before(begins[""].Deadline) {
		t.Errorf("a send begins with the first zone on Earth and may until the last: %+v", o)
	}
}
