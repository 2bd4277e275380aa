package monitor

import (
	"math"
	"time"
)

// State is what a Detector knows besides counts. It can be written down after any step, and another Detector goes on from it.
type State struct {
	Sum     float64   `json:"sum,omitempty"` // evidence that there are more than usual
	Since   time.Time `json:"since,omitzero"`
	Open    *Incident `json:"open,omitempty"`
	Told    int       `json:"told,omitempty"`  // the peak that was told last
	Quiet   int       `json:"quiet,omitempty"` // known steps since the open incident's last unusual one
	Learned time.Time `json:"learned,omitzero"`
	Usual   *Usual    `json:"usual,omitempty"` // nil while it has to be learned
}

// Usual is what is usual, by hour of weekdays (0) and of weekends (1).
type Usual struct {
	Negatives [2][24]float64 `json:"negatives"` // an hour
	Others    [2][24]float64 `json:"others"`
	Share     float64        `json:"share"` // precision of the share of negatives
	Talk      float64        `json:"talk"`  // dispersion of the others
	Windows   map[int]Noise  `json:"windows"`
	Evidence  Noise          `json:"evidence"`
}

// Noise is how counts spread around what is expected of them.
type Noise struct {
	Dispersion float64 `json:"dispersion"`
	Together   float64 `json:"together"` // the power of how much is said otherwise by which negatives are multiplied
}

// State is what d knows at the moment. It shares nothing with d.
func (d *Detector) State() State {
	s := State{Sum: d.sum, Told: d.told, Learned: d.learned}
	if d.sum > 0 {
		s.Since = d.time(d.since).UTC()
	}
	if d.open != nil {
		open := *d.open
		s.Open, s.Quiet = &open, d.quiet
	}
	if p := d.profile; p != nil {
		s.Usual = &Usual{
			Negatives: p.negatives, Others: p.others, Share: float64(p.share), Talk: p.talk,
			Windows: map[int]Noise{}, Evidence: Noise{p.evidence.k, p.evidence.together},
		}
		for size, n := range p.windows {
			s.Usual.Windows[size] = Noise{n.k, n.together}
		}
	}
	return s
}

// HistoryFrom is since when counts are needed to go on from s with the steps up to last: what windows look at, or all of the history
// where what is usual has to be learned on the way.
func (s State) HistoryFrom(next, last time.Time) time.Time {
	if s.Usual == nil || last.Sub(s.Learned) >= relearnEvery {
		return next.Add(-history - history/4)
	}
	return next.Add(-longestEvidence - time.Hour)
}

// Restore makes a detector that goes on from s, with the counts since s.HistoryFrom. Those in a span are no example of the usual.
func Restore(config Config, s State, counts []Count, left []Span) (*Detector, error) {
	d, err := New(config)
	if err != nil {
		return nil, err
	}
	if err := d.Learn(counts, left); err != nil {
		return nil, err
	}
	d.told, d.learned = s.Told, s.Learned
	if s.Open != nil {
		open := *s.Open
		// Counts reach back for a day at most, and a cool-down may be longer.
		d.open, d.quiet = &open, max(s.Quiet, d.knownSince(open.LastUnusual))
	}
	if len(d.bins) > 0 && s.Sum > 0 {
		d.sum, d.since = bounded(s.Sum, 2*enoughEvidence), max(int(s.Since.Sub(d.first)/d.config.Step), 0)
		d.since = min(d.since, len(d.bins)-1)
	}
	if u := s.Usual; u != nil && u.holds(d.windows) {
		d.profile = &profile{
			negatives: u.Negatives, others: u.Others, share: precision(u.Share), talk: u.Talk,
			windows: map[int]noise{}, evidence: noise{u.Evidence.Dispersion, u.Evidence.Together},
		}
		for size, n := range u.Windows {
			d.profile.windows[size] = noise{n.Dispersion, n.Together}
		}
	}
	return d, nil
}

// holds tells whether all is there that a detector with these windows asks for.
func (u *Usual) holds(windows []int) bool {
	for _, size := range windows {
		if u.Windows[size].Dispersion < minDispersion {
			return false
		}
	}
	return u.Share >= minPrecision && u.Talk >= minDispersion && u.Evidence.Dispersion >= minDispersion
}

func bounded(x, most float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, 0), most)
}
