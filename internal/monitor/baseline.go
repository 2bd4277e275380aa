package monitor

import (
	"math"
	"slices"
	"time"
)

// bin is a count in the history.
type bin struct {
	negatives, others, authors int32
	known                      bool // false where nothing is known: a gap is not quiet
	left                       bool // left out of what is usual
}

// profile is what is usual. Means are of an hour.
type profile struct {
	negatives, others [2][24]float64 // on weekdays and on weekends
	share             precision
	talk              float64       // dispersion of the other mentions
	windows           map[int]noise // by how many bins a window has
	evidence          noise         // of an hour of which the talk is told by short windows
}

type precision float64

// noise is how counts of a window spread around what is expected of them.
type noise struct {
	k        float64 // dispersion: the variance is mu + mu²/k
	together float64 // the power of how much is said otherwise by which negatives are multiplied; 0 when they have nothing in common
}

// The bounds of what is estimated from few counts.
const (
	minDispersion, maxDispersion = 1, 50
	minPrecision, maxPrecision   = 2, 1000
	fewSamples                   = 6 // of an hour of one kind of days; both kinds are taken together below that
	maxTalk                      = 4 // how much talk at once may excuse, in times of the usual
)

// isWeekend is 1 on Saturdays and Sundays.
func isWeekend(t time.Time) int {
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		return 1
	}
	return 0
}

// hour is the sum of the bins of one hour.
type hour struct {
	clock, weekend    int
	negatives, others int
}

// learn estimates what is usual from a history.
func learn(bins []bin, timeOf func(int) time.Time, perHour int, windows []int) *profile {
	hours := completeHours(bins, timeOf, perHour)
	p := &profile{windows: map[int]noise{}}
	p.negatives = hourly(hours, func(h hour) int { return h.negatives })
	p.others = hourly(hours, func(h hour) int { return h.others })
	p.talk = p.talkDispersion(hours)
	p.share = p.sharePrecision(hours)
	for _, w := range windows {
		p.windows[w] = p.windowNoise(bins, timeOf, perHour, w, w)
	}
	p.evidence = p.windowNoise(bins, timeOf, perHour, perHour, windows[len(windows)-1])
	return p
}

// completeHours sums up the hours of which every bin is known and an example.
func completeHours(bins []bin, timeOf func(int) time.Time, perHour int) []hour {
	var hours []hour
	for i := 0; i+perHour <= len(bins); {
		t := timeOf(i)
		if t.Minute() >= 60/perHour {
			i++
			continue
		}
		h, complete := hour{clock: t.Hour(), weekend: isWeekend(t)}, true
		for _, b := range bins[i : i+perHour] {
			complete = complete && b.known && !b.left
			h.negatives += int(b.negatives)
			h.others += int(b.others)
		}
		if complete {
			hours = append(hours, h)
		}
		i += perHour
	}
	return hours
}

// hourly is the mean of each hour on like days: of the hour itself twice, of its neighbours once, so that few days are enough
// and a steep morning stays steep. Values over 3 medians and 5 count as that: a burst that nobody confirmed hardly counts.
func hourly(hours []hour, of func(hour) int) (means [2][24]float64) {
	var samples [2][24][]float64
	for _, h := range hours {
		samples[h.weekend][h.clock] = append(samples[h.weekend][h.clock], float64(of(h)))
	}
	for weekend := range 2 {
		for clock := range 24 {
			days := []int{weekend}
			if len(samples[weekend][clock]) < fewSamples/2 {
				days = []int{0, 1}
			}
			var pooled []float64
			for _, d := range days {
				for _, c := range []int{(clock + 23) % 24, clock, clock, (clock + 1) % 24} {
					pooled = append(pooled, samples[d][c]...)
				}
			}
			means[weekend][clock] = cappedMean(pooled)
		}
	}
	return means
}

func cappedMean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	bound := 3*values[len(values)/2] + 5
	sum := 0.0
	for _, v := range values {
		sum += min(v, bound)
	}
	return sum / float64(len(values))
}

// at is the rate of an hour at a moment: between the middles of hours it goes straight.
func at(means *[2][24]float64, t time.Time) float64 {
	day := &means[isWeekend(t)]
	position := float64(t.Minute())/60 - 0.5
	clock := t.Hour()
	if position < 0 {
		return day[clock]*(1+position) + day[(clock+23)%24]*-position
	}
	return day[clock]*(1-position) + day[(clock+1)%24]*position
}

// dispersion is k by the method of moments, from sums of mu² and of (y - mu)² - mu.
func dispersion(squares, excess float64) float64 {
	if excess <= 0 || squares <= 0 {
		return maxDispersion
	}
	return min(max(squares/excess, minDispersion), maxDispersion)
}

func (p *profile) talkDispersion(hours []hour) float64 {
	var squares, excess float64
	for _, h := range hours {
		mu, y := p.others[h.weekend][h.clock], float64(h.others)
		y = min(y, 3*mu+5)
		squares += mu * mu
		excess += (y-mu)*(y-mu) - mu
	}
	return dispersion(squares, excess)
}

// sharePrecision is how steady the share of negatives is from hour to hour.
func (p *profile) sharePrecision(hours []hour) precision {
	var excess, pairs float64
	for _, h := range hours {
		mu, nu := p.negatives[h.weekend][h.clock], p.others[h.weekend][h.clock]
		n := float64(h.negatives + h.others)
		if n < 2 || mu+nu <= 0 {
			continue
		}
		share := mu / (mu + nu)
		d := float64(h.negatives) - n*share
		excess += d*d - n*share*(1-share)
		pairs += n * (n - 1) * share * (1 - share)
	}
	if excess <= 0 || pairs <= 0 {
		return maxPrecision
	}
	return precision(min(max(pairs/excess-1, minPrecision), maxPrecision))
}

// windowNoise finds the power of the talk that explains the most, and what noise is left then in windows of a size. The talk is
// told by the parts of them.
func (p *profile) windowNoise(bins []bin, timeOf func(int) time.Time, perHour, size, part int) noise {
	powers := [...]float64{0, 0.25, 0.5, 0.75, 1}
	var squares, excess [len(powers)]float64
	for i := 0; i+size <= len(bins); i += size {
		var mu [len(powers)]float64
		y, usual, complete := 0.0, 0.0, true
		for from := i; from < i+size; from += part {
			w := p.sum(bins[from:from+part], func(k int) time.Time { return timeOf(from + k) }, perHour)
			talk := p.talkOf(w)
			for k, power := range powers {
				mu[k] += w.usual * math.Pow(talk, power)
			}
			y, usual, complete = y+float64(w.negatives), usual+w.usual, complete && w.complete
		}
		if !complete || usual <= 0 {
			continue
		}
		y = min(y, 3*usual+5)
		for k := range powers {
			squares[k] += mu[k] * mu[k]
			excess[k] += (y-mu[k])*(y-mu[k]) - mu[k]
		}
	}
	best := noise{k: dispersion(squares[0], excess[0])}
	for k, power := range powers {
		// A little more has to be worth it: which power is best is chance where they explain the same.
		if d := dispersion(squares[k], excess[k]); d > 1.02*best.k {
			best = noise{k: d, together: power}
		}
	}
	return best
}

// window is what was counted, and what is usual at those hours.
type window struct {
	negatives, others  int
	usual, usualOthers float64
	complete           bool // every bin is known and an example
	known              int
}

func (p *profile) sum(bins []bin, timeOf func(int) time.Time, perHour int) window {
	w := window{complete: true}
	for i, b := range bins {
		w.complete = w.complete && b.known && !b.left
		if !b.known {
			continue
		}
		t := timeOf(i).Add(time.Hour / time.Duration(2*perHour)) // its middle
		w.known++
		w.negatives += int(b.negatives)
		w.others += int(b.others)
		w.usual += at(&p.negatives, t) / float64(perHour)
		w.usualOthers += at(&p.others, t) / float64(perHour)
	}
	return w
}

// talkOf is how many times the usual is said otherwise, drawn towards 1 as far as that may be chance.
func (p *profile) talkOf(w window) float64 {
	talk := (p.talk + float64(w.others)) / (p.talk + w.usualOthers)
	return min(max(talk, 1.0/maxTalk), maxTalk)
}
