package pace_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/pace"
)

func TestAReceiverThatDefers(t *testing.T) {
	const limit, none = 20, 0
	var r pace.Receiver
	r = r.Deferred(start, limit, 100, pace.PauseBackoff, 1)
	if r.Slowed != 10 || r.SlowedFrom != 20 || !near(r.Until.Sub(start), time.Minute) {
		t.Errorf("the first deferral halves the limit and pauses for a minute: %+v", r)
	}
	if again := r.Deferred(start.Add(time.Second), limit, 100, pace.PauseBackoff, 2); again != r {
		t.Errorf("what was under way counts again: %s", cmp.Diff(r, again))
	}
	second := r.Deferred(r.Until.Add(time.Second), limit, 100, pace.PauseBackoff, 1)
	if second.Slowed != 5 || !near(second.Until.Sub(r.Until.Add(time.Second)), 2*time.Minute) {
		t.Errorf("the second halves again and pauses for longer: %+v", second)
	}
	later := r.Deferred(r.Until.Add(time.Hour), limit, 100, pace.PauseBackoff, 1)
	if !near(later.Until.Sub(r.Until.Add(time.Hour)), time.Minute) {
		t.Errorf("after an hour of peace a pause is short again: %+v", later)
	}
	free := pace.Receiver{}.Deferred(start, none, 100, pace.PauseBackoff, 1)
	if free.Slowed != 50 || free.SlowedFrom != 200 {
		t.Errorf("without a limit it is half of what was offered, and let go above that: %+v", free)
	}
}

// near tells whether a pause is the full one but for the fifth that may be taken off.
func near(got, full time.Duration) bool { return got <= full && got >= full*4/5 }

func TestAReceiverThatTakesMailAgain(t *testing.T) {
	r := pace.Receiver{}.Deferred(start, 20, 20, pace.PauseBackoff, 1)
	if same := r.Accepted(r.Until.Add(-time.Second), 20); same != r {
		t.Errorf("what was under way before the pause is no success: %s", cmp.Diff(r, same))
	}
	now, grown := r.Until, r.Slowed
	for r.HeldBack() {
		now = now.Add(5 * time.Second)
		r = r.Accepted(now, 20)
		if step := r.Slowed - grown; r.HeldBack() && (step < 0.16 || step > 0.17) {
			t.Fatalf("five seconds of success add %v a second", step)
		}
		grown = r.Slowed
		if now.After(start.Add(time.Hour)) {
			t.Fatal("it never recovers")
		}
	}
	if took := now.Sub(r.Until); took < 4*time.Minute || took > 6*time.Minute {
		t.Errorf("from half to the whole takes %s, half of ten minutes are due", took)
	}
	idle := pace.Receiver{}.Deferred(start, 20, 20, pace.PauseBackoff, 1)
	if after := idle.Accepted(idle.Until.Add(time.Hour), 20); after.Slowed > 10.4 {
		t.Errorf("an hour without mail was taken for one of success: %+v", after)
	}
}

// Whatever happens, what is remembered of a receiver stays within bounds, and success alone sets it free.
func TestWhatIsRememberedOfAReceiverIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := pace.Rate(rapid.SampledFrom([]float64{0, 0.1, 1, 20, 10000}).Draw(t, "limit"))
		var r pace.Receiver
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(time.Hour)).Draw(t, "later")))
			if rapid.Bool().Draw(t, "deferred") {
				offered := pace.Rate(rapid.Float64Range(0, 1e6).Draw(t, "offered"))
				r = r.Deferred(now, limit, offered, pace.PauseBackoff, rapid.Uint64().Draw(t, "seed"))
			} else {
				r = r.Accepted(now, limit)
			}
			switch {
			case r.HeldBack() && (r.Slowed < 0.1 || r.Slowed > r.SlowedFrom || r.SlowedFrom > 2e6):
				t.Fatalf("a rate out of bounds: %+v", r)
			case r.Pauses < 0 || r.Pauses > 16 || r.Until.Sub(now) > pace.PauseBackoff.Max+time.Second:
				t.Fatalf("a pause out of bounds at %s: %+v", now, r)
			case limit > 0 && r.Effective(limit) > limit:
				t.Fatalf("more than the limit: %+v", r)
			}
		}
		for range 10_000 {
			now = now.Add(10 * time.Second)
			r = r.Accepted(now, limit)
		}
		if r.HeldBack() {
			t.Fatalf("a day of success does not set it free: %+v", r)
		}
	})
}

func TestPushesBack(t *testing.T) {
	type answer struct {
		n     int
		code  int // 0: accepted
		words string
	}
	for name, tc := range map[string]struct {
		why     string
		answers []answer
		want    bool
	}{
		"Nothing":   {"no answer is no sign", nil, false},
		"Accepted":  {"all is well", []answer{{40, 0, ""}}, false},
		"Busy":      {"one 421 speaks for the service", []answer{{40, 0, ""}, {1, 421, "4.7.0 try again later"}}, true},
		"Mailbox":   {"a full mailbox is one person's", []answer{{1, 452, "4.2.2 mailbox full"}}, false},
		"Greylist":  {"a single message is greylisted", []answer{{2, 451, "4.7.1 greylisted"}}, false},
		"Greylists": {"a receiver that defers all is left alone", []answer{{3, 451, "4.7.1 greylisted"}}, true},
		"Few":       {"one of forty is somebody's mailbox", []answer{{39, 0, ""}, {1, 450, "try later"}}, false},
		"Tenth":     {"a tenth is more than that", []answer{{36, 0, ""}, {4, 450, "try later"}}, true},
		"NoCode":    {"the connection ended: the relay's trouble", []answer{{5, 0, ""}, {40, -1, ""}}, false},
		"Permanent": {"a refusal is no deferral", []answer{{40, 550, "5.1.1 nobody"}}, false},
		"440":       {"only 45x", []answer{{40, 440, "?"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var a pace.Answers
			for _, x := range tc.answers {
				for range x.n {
					a.Hears(x.code == 0, max(0, x.code), x.words)
				}
			}
			if got := a.PushesBack(false); got != tc.want {
				t.Errorf("%s: got %v", tc.why, got)
			}
			if heldBack := a.PushesBack(true); heldBack != (tc.want || name == "Greylist") {
				t.Errorf("%s: got %v of one that is held back", tc.why, heldBack)
			}
		})
	}
}
