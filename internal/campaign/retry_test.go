package campaign_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

func TestBackoffDelay(t *testing.T) {
	b := campaign.Backoff{First: time.Second, Max: time.Minute}
	rapid.Check(t, func(t *rapid.T) {
		attempts := rapid.IntRange(0, 40000).Draw(t, "attempts")
		seed := rapid.Uint64().Draw(t, "seed")
		full := b.Max
		if attempts < 7 {
			full = time.Second << max(attempts-1, 0)
		}
		got := b.Delay(attempts, seed)
		if got > full || got < full*4/5 {
			t.Fatalf("attempt %d waits %s, not four to five fifths of %s", attempts, got, full)
		}
		if again := b.Delay(attempts, seed); again != got {
			t.Fatalf("the same seed gives %s and %s", got, again)
		}
	})
}

func TestBackoffSpreads(t *testing.T) {
	seen := map[time.Duration]bool{}
	for seed := range uint64(100) {
		seen[campaign.DeferralBackoff.Delay(1, seed)] = true
	}
	if len(seen) < 80 {
		t.Errorf("a hundred neighbours have only %d different delays", len(seen))
	}
}

func TestRetryDeferred(t *testing.T) {
	frozen := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		why      string
		after    time.Duration
		attempts int
		again    bool
	}{
		"First":            {"greylisting", time.Minute, 1, true},
		"Third day":        {"within the limit", 70 * time.Hour, 40, true},
		"Past":             {"the next try would come after the limit", 72 * time.Hour, 40, false},
		"PausedForDays":    {"a send that was paused past the limit does not fail at its first 4xx", 100 * time.Hour, 1, true},
		"PausedForDaysTwo": {"nor at its second", 100 * time.Hour, 2, true},
		"PausedGivenUp":    {"but at its third", 100 * time.Hour, 3, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			delay, again := campaign.RetryDeferred(campaign.DeferralBackoff, frozen.Add(campaign.DeferralLimit), frozen.Add(tc.after), tc.attempts, 7)
			if again != tc.again || again != (delay > 0) {
				t.Errorf("%s: got %v after %s", tc.why, again, delay)
			}
		})
	}
}

func TestChooseVariant(t *testing.T) {
	cases := map[string]struct {
		why     string
		weights []int
	}{
		"Halves":    {"two of the same weight", []int{1, 1}},
		"Uneven":    {"shares follow the weights", []int{70, 20, 10}},
		"Alone":     {"one gets all", []int{5}},
		"NoWeights": {"without weights the first gets all", []int{0, 0}},
		"Zero":      {"a variant without weight gets nobody", []int{1, 0, 1}},
	}
	const people = 20000
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			counts, total := make([]int, len(tc.weights)), 0
			for _, w := range tc.weights {
				total += w
			}
			for contact := range int64(people) {
				counts[campaign.ChooseVariant(campaign.VariantDraw.Of("spring", contact), tc.weights)]++
			}
			for i, w := range tc.weights {
				want := float64(people)
				if total > 0 {
					want = people * float64(w) / float64(total)
				} else if i > 0 {
					want = 0
				}
				// Five standard deviations of the largest share are 354.
				if d := float64(counts[i]) - want; d > 354 || d < -354 {
					t.Errorf("%s: variant %d has %d of %d, %.0f are due", tc.why, i, counts[i], people, want)
				}
			}
		})
	}
}
