package inbound_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/inbound"
)

func TestSoftBounces(t *testing.T) {
	start := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	cases := map[string]struct {
		why   string
		days  []int // of the bounces
		rests bool  // after the last one
	}{
		"Once":       {"a mailbox was full", []int{0}, false},
		"Twice":      {"and again", []int{0, 3}, false},
		"Thrice":     {"three in a week", []int{0, 3, 6}, true},
		"Rarely":     {"what was long ago weighs little", []int{0, 30, 60, 90, 120, 150}, false},
		"AfterARest": {"it counts anew after a rest", []int{0, 1, 2, 40}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var score inbound.SoftScore
			var until time.Time
			for _, d := range tc.days {
				score, until = score.Next(start.Add(time.Duration(d) * day))
			}
			if got := !until.IsZero(); got != tc.rests {
				t.Errorf("%s: rests %v, until %v", tc.why, got, until)
			}
		})
	}
}

// TestSoftNeverForEver: however often an address bounces softly, it rests for a time that ends.
func TestSoftNeverForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var score inbound.SoftScore
		now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, hours := range rapid.SliceOfN(rapid.IntRange(-48, 2000), 1, 50).Draw(t, "hours") {
			before := score
			now = now.Add(time.Duration(hours) * time.Hour)
			var until time.Time
			score, until = score.Next(now)
			if score.Weight < 0 || score.Weight >= inbound.SoftLimit {
				t.Fatalf("the weight is %v", score.Weight)
			}
			if score.At.Before(before.At) && before.Weight > 0 {
				t.Fatal("time ran backwards")
			}
			if !until.IsZero() && until.Sub(score.At) != inbound.SoftRest {
				t.Fatalf("it rests until %v", until)
			}
		}
	})
}
