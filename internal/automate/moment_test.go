package automate_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := crm.ParseZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestMoments: in Madrid the clock goes from 02:00 to 03:00 on 28 March 2027, and back from 03:00 to 02:00 on 31 October.
func TestMoments(t *testing.T) {
	moments := map[string]time.Time{"birthday": at(t, "1990-03-28T00:00:00Z"), "renews_at": at(t, "2027-04-10T22:30:00Z")}
	for name, c := range map[string]struct{ until, now, want string }{
		"later today":             {`{"timeOfDay": "09:00"}`, "2027-03-01T07:59:00Z", "2027-03-01T08:00:00Z"},
		"tomorrow":                {`{"timeOfDay": "09:00"}`, "2027-03-01T08:00:00Z", "2027-03-02T08:00:00Z"},
		"in a zone":               {`{"timeOfDay": "09:00", "timeZone": "America/New_York"}`, "2027-03-01T08:00:00Z", "2027-03-01T14:00:00Z"},
		"skipped":                 {`{"timeOfDay": "02:30"}`, "2027-03-27T12:00:00Z", "2027-03-28T01:30:00Z"},
		"after what was skipped":  {`{"timeOfDay": "02:30"}`, "2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"},
		"twice":                   {`{"timeOfDay": "02:30"}`, "2027-10-30T12:00:00Z", "2027-10-31T00:30:00Z"},
		"once of twice":           {`{"timeOfDay": "02:30"}`, "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"},
		"a weekday":               {`{"timeOfDay": "09:00", "weekdays": ["Monday", "Thursday"]}`, "2027-03-01T08:00:00Z", "2027-03-04T08:00:00Z"},
		"a weekday alone":         {`{"weekdays": ["Monday"]}`, "2027-03-01T08:00:00Z", "2027-03-07T23:00:00Z"},
		"a moment":                {`{"at": "2027-06-01T10:00:00"}`, "2027-03-01T08:00:00Z", "2027-06-01T08:00:00Z"},
		"an instant":              {`{"attribute": "renews_at"}`, "2027-03-01T08:00:00Z", "2027-04-10T22:30:00Z"},
		"the day of an instant":   {`{"attribute": "renews_at", "timeOfDay": "09:00"}`, "2027-03-01T08:00:00Z", "2027-04-11T07:00:00Z"},
		"a week before it":        {`{"attribute": "renews_at", "timeOfDay": "09:00", "offsetDays": -7}`, "2027-03-01T08:00:00Z", "2027-04-04T07:00:00Z"},
		"a workday after it":      {`{"attribute": "renews_at", "weekdays": ["Monday"]}`, "2027-03-01T08:00:00Z", "2027-04-11T22:30:00Z"},
		"over the clock's change": {`{"attribute": "renews_at", "offsetDays": -14}`, "2027-03-01T08:00:00Z", "2027-03-27T23:30:00Z"},
		"past":                    {`{"at": "2027-02-01T10:00:00"}`, "2027-03-01T08:00:00Z", ""},
		"past day":                {`{"attribute": "birthday"}`, "2027-03-01T08:00:00Z", ""},
	} {
		plan := compile(t, steps(fmt.Sprintf(`{"name": "w", "wait": {"until": %s}}, {"name": "t", "tag": "x"}`, c.until)))
		now := at(t, c.now)
		out := plan.Next(plan.Begin(now), automate.Input{Now: now, Contact: true, Zone: zone(t, "Europe/Madrid"), Moments: moments})
		if c.want == "" {
			if out.State.Status != automate.Ended || len(out.Effects) != 1 {
				t.Errorf("%s: a moment that has passed is waited for: %+v", name, out.State)
			}
			continue
		}
		if want := at(t, c.want); !out.State.WakeAt.Equal(want) || out.State.Status != automate.Waiting {
			t.Errorf("%s: it waits until %v, want %v", name, out.State.WakeAt, want)
		}
	}
}

// TestAMomentThatIsNotKnown goes to the time-out, or ends the entry.
func TestAMomentThatIsNotKnown(t *testing.T) {
	now := at(t, "2027-03-01T08:00:00Z")
	plan := compile(t, steps(`{"name": "w", "wait": {"until": {"attribute": "birthday"}}}, {"name": "t", "tag": "x"}`))
	out := plan.Next(plan.Begin(now), automate.Input{Now: now, Contact: true})
	if out.State.Status != automate.Exited || out.State.Reason != "contact.birthday is not known" || len(out.Effects) > 0 {
		t.Errorf("%+v", out)
	}
	plan = compile(t, steps(`{"name": "w", "wait": {"until": {"attribute": "birthday"}, "timeout": "u"}}, {"name": "t", "tag": "x"}, {"name": "u", "untag": "x"}`))
	if out = plan.Next(plan.Begin(now), automate.Input{Now: now, Contact: true}); out.State.Status != automate.Ended || len(out.Effects) != 1 || out.Effects[0].Step != 2 {
		t.Errorf("%+v", out)
	}
}

// TestMomentsLieAhead: a time of day is always found, after the present and within nine days, whatever the clocks of the world do.
func TestMomentsLieAhead(t *testing.T) {
	zones := []string{"Europe/Madrid", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu", "America/Sao_Paulo", "UTC"}
	rapid.Check(t, func(rt *rapid.T) {
		hour, minute := rapid.IntRange(0, 23).Draw(rt, "hour"), rapid.IntRange(0, 59).Draw(rt, "minute")
		where := zone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		now := time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(rt, "now"), 0)
		day := rapid.SampledFrom([]string{"", `, "weekdays": ["Sunday"]`}).Draw(rt, "day")
		plan := compile(t, steps(fmt.Sprintf(`{"name": "w", "wait": {"until": {"timeOfDay": "%02d:%02d"%s}}}`, hour, minute, day)))
		out := plan.Next(plan.Begin(now), automate.Input{Now: now, Contact: true, Zone: where})
		wake := out.State.WakeAt
		if out.State.Status != automate.Waiting || !wake.After(now) || wake.Sub(now) > 8*24*time.Hour+time.Hour {
			rt.Fatalf("at %v, %02d:%02d in %v is %v", now, hour, minute, where, wake)
		}
		if local := wake.In(where); local.Minute() != minute && local.Hour() == hour {
			rt.Fatalf("%v is not %02d:%02d", local, hour, minute)
		}
	})
}
