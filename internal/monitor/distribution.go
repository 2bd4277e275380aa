package monitor

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// atLeast is P(X ≥ y) of a negative binomial distribution with mean mu and dispersion k (its variance is mu + mu²/k).
func atLeast(y int, mu, k float64) float64 {
	switch {
	case y <= 0:
		return 1
	case mu <= 0:
		return 0
	}
	return mathext.RegIncBeta(float64(y), k, mu/(mu+k))
}

// evidence is the logarithm of the likelihood ratio of mu1 against mu for y, both with dispersion k.
func evidence(y int, mu, mu1, k float64) float64 {
	if mu <= 0 {
		return 0
	}
	return float64(y)*math.Log(mu1/(mu1+k)/(mu/(mu+k))) + k*math.Log((mu+k)/(mu1+k))
}

// manyDraws is above how many draws a beta-binomial tail is taken from the normal distribution.
const manyDraws = 5000

// shareAtLeast is P(X ≥ y) of n draws whose share is beta-distributed around p with precision m (a + b of the beta).
func shareAtLeast(y, n int, p, m float64) float64 {
	switch {
	case y <= 0 || p >= 1:
		return 1
	case p <= 0:
		return 0
	}
	a, b := p*m, (1-p)*m
	if n > manyDraws {
		mean := float64(n) * p
		sd := math.Sqrt(mean * (1 - p) * (m + float64(n)) / (m + 1))
		return 0.5 * math.Erfc((float64(y)-0.5-mean)/sd/math.Sqrt2)
	}
	sum := 0.0
	for x := y; x <= n; x++ {
		sum += math.Exp(logChoose(n, x) + logBeta(float64(x)+a, float64(n-x)+b) - logBeta(a, b))
	}
	return min(sum, 1)
}

func logChoose(n, k int) float64 {
	return logGamma(float64(n+1)) - logGamma(float64(k+1)) - logGamma(float64(n-k+1))
}

func logBeta(a, b float64) float64 { return logGamma(a) + logGamma(b) - logGamma(a+b) }

func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}
