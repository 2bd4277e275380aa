package monitor

import (
	"math"
	"time"
)

// burstTimes are how many times the usual a burst may be: what the evidence is for, and more.
var burstTimes = [...]float64{suspected, 3, 4.5, 7, 10, 15, 25, 50}

// leastUsual is how many an hour are taken for usual where next to none are.
const leastUsual = 0.1

// beginning is the bin since which there are more than usual. How likely each is follows from what was counted since then, whichever of burstTimes
// the burst is; it is told the one before which half of the likelihood lies. Nothing reaches back over an hour of which nothing is known.
//
// The last zero of the CUSUM is the likeliest one for a burst of twice the usual alone: of larger ones it takes the noise before them for a part.
func (d *Detector) beginning() int {
	usual := d.usualSteps()
	k := d.profile.evidence.k / float64(d.perHour)
	last := len(d.bins) - 1
	var sums [len(burstTimes)]float64
	var bins []int
	var odds []float64 // logarithms
	for j, unknown := 0, 0; j < len(usual) && unknown < d.perHour; j++ {
		b, mu := &d.bins[last-j], usual[len(usual)-1-j]
		if unknown++; !b.known {
			continue
		}
		unknown = 0
		for i, times := range burstTimes {
			sums[i] += evidence(int(b.negatives), mu, times*mu, k)
		}
		bins, odds = append(bins, last-j), append(odds, logSum(sums[:]))
	}
	all, so := logSum(odds), 0.0
	for i, o := range odds {
		if so += math.Exp(o - all); so >= 0.5 {
			return bins[i]
		}
	}
	return last
}

// logSum is the logarithm of the sum of what xs are logarithms of.
func logSum(xs []float64) float64 {
	most := math.Inf(-1)
	for _, x := range xs {
		most = max(most, x)
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - most)
	}
	return most + math.Log(sum)
}

// usualSteps is how many negatives are usual in each of the last bins, while so much is said otherwise as around it.
func (d *Detector) usualSteps() []float64 {
	short := d.windows[len(d.windows)-1]
	usual := make([]float64, min(len(d.bins), int(longestEvidence/d.config.Step)))
	for k := range usual {
		i := len(d.bins) - len(usual) + k
		from := max(i+1-short, 0)
		recent := d.profile.sum(d.bins[from:i+1], func(j int) time.Time { return d.time(from + j) }, d.perHour)
		step := d.profile.sum(d.bins[i:i+1], func(int) time.Time { return d.time(i) }, d.perHour)
		usual[k] = max(step.usual*math.Pow(d.profile.talkOf(recent), d.profile.evidence.together), leastUsual/float64(d.perHour))
	}
	return usual
}
