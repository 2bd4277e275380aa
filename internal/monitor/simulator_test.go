package monitor

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The simulator: counts of a brand with hours and weekends, noise by day and by hour, and episodes of negative mentions.
//
// Negative mentions have 20 an hour on average and the dispersion k = 6 from hour to hour, of which the larger part is noise of
// all that is said (people talk much or little, of everything), and the rest their own. Others are four times as many. An
// episode multiplies the negative mentions for 12 hours and begins in the morning, when people are awake.
const (
	trainingDays   = 28
	watchedDays    = 48
	episodesPerRun = 8
	episodeHours   = 12
	hourSwing      = 0.5  // of the day's curve
	weekendLevel   = 0.85 // of the weekdays'
	dayNoise       = 0.1  // standard deviation of the logarithm
	ownDispersion  = 30   // of negative mentions, and of the others
)

var simulatedRuns = flag.Int("simulate.runs", 40, "how many runs the simulation of alarms has")

var simulateMore = flag.Bool("simulate.more", false, "simulate worlds too for which nothing is promised")

// world is what is simulated.
type world struct {
	base   float64 // negative mentions an hour
	others float64 // other mentions for each of them
	factor float64 // by which an episode multiplies negative mentions; 0 for no episodes
	talk   float64 // by which an episode multiplies the others
	own    bool    // all noise of negative mentions is their own
	praise float64 // by which mentions that are not negative are multiplied every third day, for 3 hours
}

// simulated is one run.
type simulated struct {
	counts   []Count
	episodes []Span
}

var simulationStart = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) // a Monday

func simulate(w world, seed uint64) simulated {
	r := rand.New(rand.NewPCG(seed, 2026))
	var s simulated
	if w.factor > 0 {
		for e := range episodesPerRun {
			day := trainingDays + e*watchedDays/episodesPerRun + r.IntN(2)
			minutes := time.Duration(r.IntN(6*60)) * time.Minute
			from := simulationStart.AddDate(0, 0, day).Add(6*time.Hour + minutes.Truncate(defaultStep))
			s.episodes = append(s.episodes, Span{from, from.Add(episodeHours * time.Hour)})
		}
	}
	shared, own := 1/((1+1.0/6)/(1+1.0/ownDispersion)-1), float64(ownDispersion)
	if w.own {
		shared, own = math.Inf(1), 6
	}
	for day := range trainingDays + watchedDays {
		date := simulationStart.AddDate(0, 0, day)
		level := math.Exp(dayNoise*r.NormFloat64() - dayNoise*dayNoise/2)
		if isWeekend(date) == 1 {
			level *= weekendLevel
		}
		for clock := range 24 {
			mean := level * (1 + hourSwing*math.Sin(2*math.Pi*float64(clock-9)/24)) * gamma(r, shared) / 12
			negatives, others := w.base*mean*gamma(r, own), w.base*w.others*mean*gamma(r, ownDispersion)
			if hour := date.Add(time.Duration(clock) * time.Hour); w.praise > 0 && inPraise(hour) {
				others *= w.praise
			}
			for k := range 12 {
				t := date.Add(time.Duration(clock)*time.Hour + time.Duration(k)*defaultStep)
				n, o := negatives, others
				if s.inEpisode(t) {
					n *= w.factor
					o *= max(w.talk, 1)
				}
				c := Count{Start: t, Negatives: poisson(r, n)}
				c.Mentions = c.Negatives + poisson(r, o)
				for range c.Mentions {
					if c.Authors == 0 || r.Float64() < 0.85 {
						c.Authors++
					}
				}
				s.counts = append(s.counts, c)
			}
		}
	}
	return s
}

// inPraise tells the bursts of praise.
func inPraise(t time.Time) bool {
	day := int(t.Sub(simulationStart) / (24 * time.Hour))
	return day >= trainingDays && day%3 == 0 && t.Hour() >= 14 && t.Hour() < 17
}

func (s *simulated) inEpisode(t time.Time) bool {
	return slices.ContainsFunc(s.episodes, func(e Span) bool { return !t.Before(e.From) && t.Before(e.To) })
}

// gamma draws from a gamma distribution of mean 1 and shape k, after Marsaglia and Tsang (2000).
func gamma(r *rand.Rand, k float64) float64 {
	if math.IsInf(k, 1) {
		return 1
	}
	d := k - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := (1 + c*x) * (1 + c*x) * (1 + c*x)
		if v > 0 && math.Log(r.Float64()) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v / k
		}
	}
}

func poisson(r *rand.Rand, mean float64) int {
	limit, product := math.Exp(-mean), 1.0
	for n := 0; ; n++ {
		if product *= r.Float64(); product <= limit {
			return n
		}
	}
}

// score is what a rule did in all runs.
type score struct {
	name          string
	days          float64
	falseAlarms   int
	found, all    int
	delays        []time.Duration
	falsePerMonth float64
	duringPraise  int
}

// judge compares the alarms of a run with its episodes.
func (s *score) judge(run simulated, alarms []time.Time) {
	s.days += watchedDays
	s.all += len(run.episodes)
	seen := map[int]bool{}
	for _, at := range alarms {
		// An alarm at the end of a step tells of that step.
		i := slices.IndexFunc(run.episodes, func(e Span) bool { return at.After(e.From) && !at.After(e.To) })
		switch {
		case i < 0:
			s.falseAlarms++
			if inPraise(at.Add(-time.Second)) {
				s.duringPraise++
			}
		case !seen[i]:
			seen[i] = true
			s.found++
			s.delays = append(s.delays, at.Sub(run.episodes[i].From))
		}
	}
	s.falsePerMonth = float64(s.falseAlarms) / s.days * 30
}

func (s *score) share() float64 { return float64(s.found) / float64(s.all) }

func (s *score) median() time.Duration {
	if len(s.delays) == 0 {
		return 0
	}
	slices.Sort(s.delays)
	return s.delays[len(s.delays)/2]
}

// zRule is what others do: the count of an hour lies 3 standard deviations over the mean of the last 7 days, all hours alike.
// It is silent for 6 hours after an alarm.
func zRule(run simulated) (alarms []time.Time) {
	var hours []float64
	for i := 0; i+12 <= len(run.counts); i += 12 {
		sum := 0
		for _, c := range run.counts[i : i+12] {
			sum += c.Negatives
		}
		hours = append(hours, float64(sum))
	}
	const week = 7 * 24
	last := -6
	for t := trainingDays * 24; t < len(hours); t++ {
		sum, squares := 0.0, 0.0
		for _, y := range hours[t-week : t] {
			sum, squares = sum+y, squares+y*y
		}
		mean := sum / week
		if (hours[t]-mean)/math.Sqrt(squares/week-mean*mean) > 3 && t-last >= 6 {
			last = t
			alarms = append(alarms, run.counts[12*t].Start.Add(time.Hour))
		}
	}
	return alarms
}

// ourRule backfills the training and watches the rest.
func ourRule(run simulated) (alarms []time.Time, changes []Change) {
	d, err := New(Config{})
	if err != nil {
		panic(err)
	}
	const perDay = 24 * 12
	if err := d.Learn(run.counts[:trainingDays*perDay], nil); err != nil {
		panic(err)
	}
	for _, c := range run.counts[trainingDays*perDay:] {
		happened, err := d.Observe(c)
		if err != nil {
			panic(err)
		}
		for _, change := range happened {
			changes = append(changes, change)
			if change.Kind == Opened {
				alarms = append(alarms, change.At)
			}
		}
	}
	return alarms, changes
}
