package segment_test

import (
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

func TestDue(t *testing.T) {
	now := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	built := segment.State{Watched: true, Followed: true, Digest: "a", BuiltDigest: "a", BuiltAt: now.Add(-time.Minute)}
	with := func(change func(*segment.State)) segment.State {
		s := built
		change(&s)
		return s
	}
	cases := map[string]struct {
		why    string
		state  segment.State
		due    bool
		reason segment.Reason
	}{
		"Current": {
			why:   "a membership that is current costs nothing",
			state: built,
		},
		"NeverBuilt": {
			why:   "a new segment is built at once",
			state: segment.State{Watched: true, Followed: true, Digest: "a"},
			due:   true, reason: segment.Definition,
		},
		"Edited": {
			why:   "a new definition is built at once",
			state: with(func(s *segment.State) { s.Digest = "b" }),
			due:   true, reason: segment.Definition,
		},
		"EditedAndAsked": {
			why:   "who enters by an edit must not look as if the data had changed",
			state: with(func(s *segment.State) { s.Digest, s.AskedAt = "b", now }),
			due:   true, reason: segment.Definition,
		},
		"Woken": {
			why:   "nobody has followed what changed while it was suspended",
			state: with(func(s *segment.State) { s.AskedAt = now }),
			due:   true, reason: segment.Data,
		},
		"AlmostOld": {
			why:   "the timer has not run out",
			state: with(func(s *segment.State) { s.Followed, s.BuiltAt = false, now.Add(1-segment.DefaultInterval) }),
		},
		"Old": {
			why:   "nobody knows what it depends on, so windows move on with nobody asking",
			state: with(func(s *segment.State) { s.Followed, s.BuiltAt = false, now.Add(-segment.DefaultInterval) }),
			due:   true, reason: segment.Time,
		},
		"Followed": {
			why:   "changes and time are followed: there is nothing to be built for them",
			state: with(func(s *segment.State) { s.BuiltAt = now.AddDate(-1, 0, 0) }),
		},
		"OwnInterval": {
			why:   "an interval of its own replaces the default",
			state: with(func(s *segment.State) { s.Followed, s.Interval = false, time.Minute }),
			due:   true, reason: segment.Time,
		},
		"Suspended": {
			why:   "a suspended membership stays as it is, whatever changes",
			state: with(func(s *segment.State) { s.Watched, s.Digest, s.AskedAt, s.BuiltAt = false, "b", now, time.Time{} }),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			due, reason := segment.Due(tc.state, now)
			if due != tc.due || reason != tc.reason {
				t.Errorf("%s: got %v %q, want %v %q", tc.why, due, reason, tc.due, tc.reason)
			}
		})
	}
}
