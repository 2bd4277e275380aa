package campaign

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// Metric is what variants are compared by.
type Metric string

// The metrics: what people did, as far as it can be told from what machines did.
const (
	Opened  Metric = "Opened"
	Clicked Metric = "Clicked"
)

// Test says how the best variant of a send is found: a share of the audience gets the variants, the rest waits and gets the
// one that did best.
type Test struct {
	Metric Metric `json:"metric"`
	// AfterSeconds is how long after the test share was sent it is decided.
	AfterSeconds int64 `json:"afterSeconds"`
	// Share is the test share in percent of the audience.
	Share int `json:"share"`
}

// After is how long after the test share was sent it is decided.
func (t Test) After() time.Duration { return time.Duration(t.AfterSeconds) * time.Second }

// Response is how a variant did in a test.
type Response struct {
	Variant string `json:"variant"`
	Sent    int64  `json:"sent"`    // messages that were accepted
	Answers int64  `json:"answers"` // of them, how many somebody opened or clicked in
}

func (r Response) rate() float64 {
	if r.Sent == 0 {
		return 0
	}
	return float64(r.Answers) / float64(r.Sent)
}

// Decision is which variant the rest of a send gets, with the numbers by which it was decided.
type Decision struct {
	Metric    Metric     `json:"metric"`
	Responses []Response `json:"responses"`
	// Winner is the place of the variant with the highest rate; the first of several that are equal.
	Winner int `json:"winner"`
	// Significant says that the winner did better than every other variant by more than chance explains (Significance).
	// Otherwise the rest gets the winner all the same: nothing speaks for another.
	Significant bool `json:"significant"`
	// ChiSquared and P are of the test that all variants do equally well; P is 1 where it could not be made.
	ChiSquared float64 `json:"chiSquared"`
	P          float64 `json:"p"`
	// Against are the comparisons of the winner with each other variant: P values after Holm's correction for all pairs; 1 for
	// the winner itself.
	Against []float64 `json:"against"`
}

// Significance is how probable at most a difference may be by chance alone for Decide to call it significant.
const Significance = 0.05

// Decide finds the variant that did best. Whether it did so by more than chance is told by Pearson's chi-squared test over all
// variants and then over each pair, with Holm's correction (Holm 1979) for all pairs: the winner is chosen after the fact, so
// that it is not enough to correct for its own. Where fewer than five answers or refusals would be expected of a variant, the
// test does not hold (Cochran 1954), and nothing is significant.
func Decide(metric Metric, responses []Response) Decision {
	d := Decision{Metric: metric, Responses: responses, P: 1, Against: make([]float64, len(responses))}
	for i, r := range responses {
		if r.rate() > responses[d.Winner].rate() {
			d.Winner = i
		}
		d.Against[i] = 1
	}
	if len(responses) < 2 {
		return d
	}
	d.ChiSquared, d.P = chiSquared(responses)
	type pair struct {
		a, b int
		p    float64
	}
	var pairs []pair
	for a := range responses {
		for b := a + 1; b < len(responses); b++ {
			_, p := chiSquared([]Response{responses[a], responses[b]})
			pairs = append(pairs, pair{a, b, p})
		}
	}
	slices.SortStableFunc(pairs, func(x, y pair) int {
		switch {
		case x.p < y.p:
			return -1
		case x.p > y.p:
			return 1
		}
		return 0
	})
	corrected := 0.0
	for i, x := range pairs {
		corrected = max(corrected, min(1, x.p*float64(len(pairs)-i)))
		switch d.Winner {
		case x.a:
			d.Against[x.b] = corrected
		case x.b:
			d.Against[x.a] = corrected
		}
	}
	d.Significant = d.P < Significance
	for i, p := range d.Against {
		d.Significant = d.Significant && (i == d.Winner || p < Significance)
	}
	return d
}

// chiSquared is Pearson's statistic for the hypothesis that all rates are equal, and its P value, which is 1 where the test
// does not hold.
func chiSquared(responses []Response) (statistic, p float64) {
	var sent, answers float64
	for _, r := range responses {
		sent += float64(r.Sent)
		answers += float64(min(r.Answers, r.Sent))
	}
	const leastExpected = 5
	for _, r := range responses {
		expected := float64(r.Sent) * answers / sent
		if !(min(expected, float64(r.Sent)-expected) >= leastExpected) { // also where nothing was sent
			return 0, 1
		}
		difference := float64(min(r.Answers, r.Sent)) - expected
		statistic += difference*difference/expected + difference*difference/(float64(r.Sent)-expected)
	}
	p = distuv.ChiSquared{K: float64(len(responses) - 1)}.Survival(statistic)
	if math.IsNaN(p) {
		return statistic, 1
	}
	return statistic, p
}
