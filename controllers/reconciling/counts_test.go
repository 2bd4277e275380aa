package reconciling

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPaceOfNumbers(t *testing.T) {
	start := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	type look struct {
		at     int // seconds after the start
		number int
		want   int // seconds to wait; 0 is written now
	}
	tests := map[string]struct {
		reason string
		counts Counts
		looks  []look
	}{
		"comes to rest": {
			"an import moves a number in steps",
			Counts{Every: time.Minute, Settle: 3 * time.Second},
			[]look{{0, 1, 3}, {2, 2, 3}, {5, 2, 0}},
		},
		"once a minute": {
			"the next number waits",
			Counts{Every: time.Minute, Settle: 3 * time.Second},
			[]look{{0, 1, 3}, {3, 1, 0}, {10, 2, 53}, {63, 2, 0}, {64, 3, 59}},
		},
		"never at rest": {
			"a number that always moves shows all the same",
			Counts{Every: 10 * time.Second, Settle: 4 * time.Second},
			[]look{{0, 1, 4}, {3, 2, 4}, {6, 3, 4}, {9, 4, 1}, {10, 5, 0}},
		},
		"at once": {
			"nothing to settle",
			Counts{Every: 5 * time.Second},
			[]look{{0, 1, 0}, {1, 2, 4}, {5, 3, 0}, {60, 4, 0}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			k := &pace{}
			var got []int
			var want []int
			for _, l := range tc.looks {
				now := start.Add(time.Duration(l.at) * time.Second)
				wait := max(k.next(tc.counts, l.number, now), 0)
				if wait == 0 {
					k.written, k.first = now, time.Time{}
				}
				got, want = append(got, int(wait.Seconds())), append(want, l.want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
