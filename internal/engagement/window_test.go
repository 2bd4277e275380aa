package engagement_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

// due lists the messages that are given up at a time, with how many events each has.
func due(w *engagement.Window, after time.Duration, keep int) map[int64]int {
	var b engagement.Batch
	w.Due(noon.Add(after), keep, 1000, &b)
	got := map[int64]int{}
	b.Messages(func(m engagement.Message, events []engagement.Event) { got[m.Seq] += len(events) })
	return got
}

func of(seq int64, after time.Duration) engagement.Event {
	return engagement.Event{At: noon.Add(after).UnixNano(), Send: 1, Seq: seq, Kind: engagement.Click}
}

func TestWindowWaitsForSilence(t *testing.T) {
	var w engagement.Window
	for _, e := range []engagement.Event{of(1, 0), of(2, time.Second), of(1, 3*time.Second)} {
		w.Add(e)
	}
	for _, c := range []struct {
		after time.Duration
		want  map[int64]int
	}{
		{4 * time.Second, map[int64]int{}},
		{6 * time.Second, map[int64]int{2: 1}}, // message 1 is not silent yet
		{8 * time.Second, map[int64]int{1: 2}},
		{time.Hour, map[int64]int{}},
	} {
		if diff := cmp.Diff(c.want, due(&w, c.after, 1000)); diff != "" {
			t.Errorf("after %s: -want +got:\n%s", c.after, diff)
		}
	}
}

func TestWindowDoesNotWaitForEver(t *testing.T) {
	var w engagement.Window
	for second := time.Duration(0); second < engagement.Longest; second += time.Second {
		w.Add(of(1, second))
		if got := due(&w, second, 1000); len(got) > 0 {
			t.Fatalf("after %s: got %v", second, got)
		}
	}
	if got := due(&w, engagement.Longest, 1000); got[1] != 30 {
		t.Errorf("got %v", got)
	}
}

func TestWindowIsBounded(t *testing.T) {
	var w engagement.Window
	for i := range 100 {
		if added := w.Add(of(1, 0)); added != (i < 64) {
			t.Fatalf("event %d: held is %t", i, added)
		}
	}
	w.Add(of(2, time.Second))
	w.Add(of(3, time.Second))
	if got := due(&w, time.Second, 2); got[1] != 64 || len(got) != 1 {
		t.Errorf("what is too much goes first: got %v", got)
	}
	if got := due(&w, time.Second, 0); len(got) != 2 || w.Held() != 0 || w.Oldest() != 0 {
		t.Errorf("everything goes: got %v, held %d", got, w.Held())
	}
}

// TestWindowLosesNothing: what goes in comes out once, each message's events together.
func TestWindowLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w engagement.Window
		in, out := map[int64]int{}, map[int64]int{}
		now := time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(4*time.Second)).Draw(t, "wait"))
			seq := rapid.Int64Range(1, 20).Draw(t, "seq")
			if w.Add(of(seq, now)) {
				in[seq]++
			}
			if rapid.Bool().Draw(t, "look") {
				for seq, n := range due(&w, now, rapid.SampledFrom([]int{0, 3, 1000}).Draw(t, "keep")) {
					out[seq] += n
				}
			}
		}
		for seq, n := range due(&w, now+time.Hour, 1000) {
			out[seq] += n
		}
		if diff := cmp.Diff(in, out); diff != "" || w.Held() != 0 {
			t.Fatalf("held %d; -in +out:\n%s", w.Held(), diff)
		}
	})
}

// TestWindowCostsNoMemoryPerEvent while as much comes as goes.
func TestWindowCostsNoMemoryPerEvent(t *testing.T) {
	var w engagement.Window
	var b engagement.Batch
	now := time.Duration(0)
	seq := int64(0)
	step := func() {
		for range 100 {
			seq++
			now += time.Millisecond
			w.Add(of(seq, now))
		}
		b.Events, b.Ends = b.Events[:0], b.Ends[:0]
		w.Due(noon.Add(now), 1<<20, 1<<20, &b)
	}
	for range 500 {
		step()
	}
	if allocated := testing.AllocsPerRun(100, step); allocated > 10 {
		t.Errorf("%.1f allocations for 100 events", allocated)
	}
}
