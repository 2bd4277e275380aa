package campaign_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

func TestNext(t *testing.T) {
	start := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	facts := func(change func(*campaign.Facts)) campaign.Facts {
		f := campaign.Facts{StartsAt: start, Deadline: start.Add(6 * time.Hour), MaxRecipients: 100}
		if change != nil {
			change(&f)
		}
		return f
	}
	counted := func(audience, open int64) func(*campaign.Facts) {
		return func(f *campaign.Facts) { f.Counted, f.Audience, f.Open = true, audience, open }
	}
	cases := map[string]struct {
		why   string
		state campaign.State
		facts campaign.Facts
		now   time.Time
		want  campaign.State
	}{
		"Early":            {"its time has not come", campaign.Scheduled, facts(nil), start.Add(-1), campaign.Scheduled},
		"Due":              {"its time has come", campaign.Scheduled, facts(nil), start, campaign.Freezing},
		"Late":             {"a cluster that wakes up within the deadline sends", campaign.Scheduled, facts(nil), start.Add(6 * time.Hour), campaign.Freezing},
		"TooLate":          {"past its deadline nothing begins", campaign.Scheduled, facts(nil), start.Add(6*time.Hour + 1), campaign.Expired},
		"Suspended":        {"a suspended send begins nothing", campaign.Scheduled, facts(func(f *campaign.Facts) { f.Stopped = true }), start, campaign.Scheduled},
		"SuspendedTooLong": {"its deadline passes all the same", campaign.Scheduled, facts(func(f *campaign.Facts) { f.Stopped = true }), start.Add(7 * time.Hour), campaign.Expired},
		"Postponed":        {"an edit moved the schedule while it was freezing", campaign.Freezing, facts(nil), start.Add(-1), campaign.Scheduled},
		"Uncounted":        {"nothing is decided before the audience is counted", campaign.Freezing, facts(nil), start, campaign.Freezing},
		"Within":           {"the audience is within its bound", campaign.Freezing, facts(counted(100, 90)), start, campaign.Sending},
		"Over":             {"one more than the bound", campaign.Freezing, facts(counted(101, 0)), start, campaign.Held},
		"NobodyLeft":       {"everybody was left out", campaign.Freezing, facts(counted(100, 0)), start, campaign.Completed},
		"Held":             {"nothing was counted anew", campaign.Held, facts(nil), start, campaign.Held},
		"HeldStill":        {"the audience is still over the bound", campaign.Held, facts(counted(101, 0)), start, campaign.Held},
		"HeldNarrowed":     {"the audience was narrowed", campaign.Held, facts(counted(99, 0)), start, campaign.Freezing},
		"HeldTooLong":      {"a decision at night must not mail at night", campaign.Held, facts(counted(99, 0)), start.Add(7 * time.Hour), campaign.Expired},
		"Sending":          {"rows are open", campaign.Sending, facts(counted(99, 1)), start.Add(99 * time.Hour), campaign.Sending},
		"Done":             {"no row is open", campaign.Sending, facts(counted(99, 0)), start, campaign.Completed},
		"DoneWhileStopped": {"the last outcome came while it was stopped", campaign.Sending, facts(func(f *campaign.Facts) { f.Stopped = true }), start, campaign.Completed},
		"OpenAgain":        {"an outcome that came late left a row pending", campaign.Completed, facts(counted(99, 1)), start, campaign.Sending},
		"Completed":        {"it stays so", campaign.Completed, facts(counted(99, 0)), start, campaign.Completed},
		"Expired":          {"it stays so", campaign.Expired, facts(nil), start, campaign.Expired},
		"Aborted":          {"a person's decision stands", campaign.Aborted, facts(counted(99, 1)), start, campaign.Aborted},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := campaign.Next(tc.state, tc.facts, tc.now); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.why, got, tc.want)
			}
		})
	}
}

// A send is never frozen outside its time, over its bound or while it is stopped, whatever the facts are.
func TestNextNeverBeginsWrongly(t *testing.T) {
	epoch := time.Unix(0, 0)
	rapid.Check(t, func(t *rapid.T) {
		f := campaign.Facts{
			StartsAt: epoch.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "starts"))),
			Stopped:  rapid.Bool().Draw(t, "stopped"), Counted: rapid.Bool().Draw(t, "counted"),
			Audience: rapid.Int64Range(0, 10).Draw(t, "audience"), MaxRecipients: rapid.Int64Range(1, 10).Draw(t, "bound"), Open: rapid.Int64Range(0, 2).Draw(t, "open"),
		}
		f.Deadline = f.StartsAt.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "deadline")))
		now := epoch.Add(time.Duration(rapid.IntRange(0, 25).Draw(t, "now")))
		state := rapid.SampledFrom([]campaign.State{campaign.Scheduled, campaign.Freezing, campaign.Held}).Draw(t, "state")
		next := campaign.Next(state, f, now)
		if !next.Frozen() {
			return
		}
		if state != campaign.Freezing || f.Stopped || !f.Counted || f.Audience > f.MaxRecipients || now.Before(f.StartsAt) || now.After(f.Deadline) {
			t.Fatalf("%s became %s with %+v at %v", state, next, f, now)
		}
	})
}
