package monitor

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// negativeBinomial is the probability of y, by its definition.
func negativeBinomial(y int, mu, k float64) float64 {
	return math.Exp(logGamma(float64(y)+k) - logGamma(k) - logGamma(float64(y)+1) + float64(y)*math.Log(mu/(mu+k)) + k*math.Log(k/(mu+k)))
}

func TestTailIsTheSumOfWhatItHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y, mu, k := rapid.IntRange(0, 200).Draw(t, "y"), rapid.Float64Range(0.01, 80).Draw(t, "mu"), rapid.Float64Range(0.1, 50).Draw(t, "k")
		below := 0.0
		for x := range y {
			below += negativeBinomial(x, mu, k)
		}
		if got := atLeast(y, mu, k); math.Abs(got-(1-below)) > 1e-9 {
			t.Errorf("P(X ≥ %d) is %g, not %g", y, got, 1-below)
		}
	})
	if atLeast(3, 0, 6) != 0 || atLeast(0, 0, 6) != 1 {
		t.Error("where nothing is expected")
	}
}

func TestEvidenceIsALogarithmOfLikelihoods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y, mu, k := rapid.IntRange(0, 100).Draw(t, "y"), rapid.Float64Range(0.5, 80).Draw(t, "mu"), rapid.Float64Range(1, 50).Draw(t, "k")
		want := math.Log(negativeBinomial(y, 2*mu, k) / negativeBinomial(y, mu, k))
		if got := evidence(y, mu, 2*mu, k); math.Abs(got-want) > 1e-6 {
			t.Errorf("it is %g, not %g", got, want)
		}
		// A step has a share of the mean and of the dispersion, so that the evidence of an hour does not depend on its steps.
		half := evidence(y, mu/2, mu, k/2) + evidence(0, mu/2, mu, k/2)
		if math.Abs(half-want) > 1e-6 {
			t.Errorf("in two steps it is %g, not %g", half, want)
		}
	})
}

func TestShare(t *testing.T) {
	if got := shareAtLeast(2, 3, 0.5, 2); math.Abs(got-0.5) > 1e-9 { // a uniform share: 0, 1, 2 and 3 are alike
		t.Errorf("got %g", got)
	}
	if got := shareAtLeast(3, 10, 0.2, 1e9); math.Abs(got-0.3222) > 1e-4 { // a binomial
		t.Errorf("got %g", got)
	}
	exact, normal := shareAtLeast(1100, manyDraws, 0.2, 100), shareAtLeast(1100, manyDraws+1, 0.2, 100)
	if math.Abs(exact-normal) > 0.02 {
		t.Errorf("%g by the sum, %g by the normal distribution", exact, normal)
	}
}
