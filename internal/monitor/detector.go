package monitor

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// What was calibrated by the simulation in the tests of this package.
const (
	// hourChance and quarterChance are below which chance a window of an hour, and of a quarter, is a burst. They lie far below
	// the alarms wanted by the number of windows, because what is usual is an estimate, and windows overlap.
	hourChance    = 3e-5
	quarterChance = 8e-5
	// enoughEvidence is at which sum of evidence there are more than usual for so long that it is not chance.
	enoughEvidence = 7.7
	// suspected is how many times the usual the evidence is for.
	suspected = 2
	// shareChance is below which chance the share of negatives is above its own usual. It is wide: the tests know already how
	// much is said otherwise, and this only keeps out what grows together.
	shareChance = 0.2
	// stillUnusual and stillChance say when an open incident goes on.
	stillUnusual = 1.5
	stillChance  = 0.05
	// worse is by how many times a peak has to grow to be told.
	worse = 1.5
	// relearnEvery is how often what is usual is learned anew.
	relearnEvery = 24 * time.Hour
	// longestEvidence is how far back the time of a Sustained is looked at.
	longestEvidence = 12 * time.Hour
)

// Detector watches one topic. It is not safe for several goroutines.
type Detector struct {
	config  Config
	perHour int
	windows []int // in bins
	chances []float64

	first   time.Time // of bins[0]
	bins    []bin
	profile *profile
	learned time.Time // when what is usual was learned
	watched time.Time // when it was for the first time
	sum     float64   // CUSUM
	since   int       // the bin at which it left 0
	open    *Incident
	told    int // the peak that was told last
	quiet   int // the steps of which anything is known since the last one that was unusual
}

// New makes a detector that knows nothing yet.
func New(config Config) (*Detector, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	d := &Detector{config: config, perHour: int(time.Hour / config.Step)}
	d.windows, d.chances = []int{d.perHour}, []float64{hourChance}
	if d.perHour%4 == 0 && d.perHour > 4 {
		d.windows, d.chances = append(d.windows, d.perHour/4), append(d.chances, quarterChance)
	}
	return d, nil
}

// Learn takes in history, oldest first, without raising alarms. What lies in one of the incidents is no example of the usual.
func (d *Detector) Learn(counts []Count, incidents []Span) error {
	for _, c := range counts {
		if err := d.take(c); err != nil {
			return err
		}
	}
	for _, s := range incidents {
		d.leaveOut(s, true)
	}
	d.profile = nil
	return nil
}

// Resume goes on with an incident that was open when the process before this one ended.
func (d *Detector) Resume(open Incident) {
	d.open, d.told, d.quiet = &open, open.Peak, d.knownSince(open.LastUnusual)
}

// knownSince counts the steps of which anything is known.
func (d *Detector) knownSince(t time.Time) (known int) {
	for i := max(int(t.Sub(d.first)/d.config.Step), 0); i < len(d.bins); i++ {
		if d.bins[i].known {
			known++
		}
	}
	return known
}

// Ready tells whether there is enough history to say what is usual.
func (d *Detector) Ready() bool {
	known := 0
	for i := range d.bins {
		if d.bins[i].known {
			known++
		}
	}
	return time.Duration(known)*d.config.Step >= warmUp
}

// Watched is since when d could see an incident, in what it observed itself; zero before it knew what is usual.
func (d *Detector) Watched() time.Time { return d.watched }

// Open is the incident that is open, if there is one.
func (d *Detector) Open() (Incident, bool) {
	if d.open == nil {
		return Incident{}, false
	}
	return *d.open, true
}

// Observe takes in the count of a step that has ended, and tells what that changes. Steps that are left out are gaps: nothing
// is known of them. A step at or before the last one is an error.
func (d *Detector) Observe(c Count) ([]Change, error) {
	if err := d.take(c); err != nil {
		return nil, err
	}
	now := c.Start.Add(d.config.Step).In(d.config.Location)
	if !d.relearn(now) {
		return d.expire(now), nil
	}
	d.add()
	if d.open != nil {
		return d.follow(now, d.window(d.perHour)), nil
	}
	return d.look(now), nil
}

// take appends a count to the history, and forgets what is too old.
func (d *Detector) take(c Count) error {
	if err := c.Check(); err != nil {
		return fmt.Errorf("the count of %s: %w", c.Start.Format(time.RFC3339), err)
	}
	start := c.Start.In(d.config.Location)
	if !start.Truncate(d.config.Step).Equal(start) {
		return fmt.Errorf("the count of %s: it does not begin at a step of %v", c.Start.Format(time.RFC3339), d.config.Step)
	}
	if len(d.bins) == 0 {
		d.first = start
	}
	next := int(start.Sub(d.first) / d.config.Step)
	if next < len(d.bins) {
		return fmt.Errorf("the count of %s: it is not after the one before: %w", c.Start.Format(time.RFC3339), ErrOrder)
	}
	if gap := next - len(d.bins); gap > 0 {
		if time.Duration(gap)*d.config.Step >= time.Hour {
			d.sum = 0
		}
		if time.Duration(gap)*d.config.Step >= history {
			d.bins, d.first, next, d.profile = d.bins[:0], start, 0, nil
		}
		for len(d.bins) < next {
			d.bins = append(d.bins, bin{})
		}
	}
	d.bins = append(d.bins, bin{negatives: int32(c.Negatives), others: int32(c.Mentions - c.Negatives), authors: int32(c.Authors), known: true})
	if most := int(history / d.config.Step); len(d.bins) > most+most/4 {
		drop := len(d.bins) - most
		d.bins = append(d.bins[:0], d.bins[drop:]...)
		d.first, d.since = d.time(drop), max(d.since-drop, 0)
	}
	return nil
}

// ErrOrder is that counts do not come in the order of time.
var ErrOrder = errors.New("counts come oldest first, each time once")

func (d *Detector) time(i int) time.Time {
	return d.first.Add(time.Duration(i) * d.config.Step).In(d.config.Location)
}

// relearn keeps what is usual up to date, once a day. It tells whether anything is known yet. Where too little is known to learn it anew, what was
// usual before goes on.
func (d *Detector) relearn(now time.Time) bool {
	if d.profile != nil && now.Sub(d.learned) < relearnEvery {
		return true
	}
	if !d.Ready() {
		return d.profile != nil
	}
	if d.open != nil {
		d.leaveOut(Span{d.open.Began, now}, true)
	}
	d.profile = learn(d.bins, d.time, d.perHour, d.windows)
	d.learned = now
	if d.watched.IsZero() {
		d.watched = now
	}
	return true
}

// leaveOut marks what is no example of the usual.
func (d *Detector) leaveOut(s Span, left bool) {
	from, to := s.From.Sub(d.first), s.To.Sub(d.first)
	for i := max(int(from/d.config.Step), 0); i < len(d.bins) && time.Duration(i)*d.config.Step < to; i++ {
		d.bins[i].left = left
	}
}

// window sums up the last bins.
func (d *Detector) window(size int) window {
	from := max(len(d.bins)-size, 0)
	return d.profile.sum(d.bins[from:], func(i int) time.Time { return d.time(from + i) }, d.perHour)
}

// expected is how many negatives are usual while so much is said otherwise.
func (d *Detector) expected(w window, size int) (mu, k float64) {
	n := d.profile.windows[size]
	return w.usual * math.Pow(d.profile.talkOf(w), n.together), n.k
}

// add adds up the evidence of the last bin. How much is said otherwise it takes from the shortest window: talk comes and goes.
func (d *Detector) add() {
	short := d.windows[len(d.windows)-1]
	recent, last := d.window(short), d.window(1)
	if recent.usual <= 0 {
		return
	}
	if d.sum == 0 {
		d.since = len(d.bins) - 1
	}
	n := d.profile.evidence
	mu := last.usual * math.Pow(d.profile.talkOf(recent), n.together)
	d.sum += evidence(last.negatives, mu, suspected*mu, n.k/float64(d.perHour))
	d.sum = min(max(d.sum, 0), 2*enoughEvidence)
}

// look looks for an incident.
func (d *Detector) look(now time.Time) []Change {
	for i, size := range d.windows {
		w := d.window(size)
		mu, k := d.expected(w, size)
		if chance := atLeast(w.negatives, mu, k); w.known == size && chance < d.chances[i] {
			if e, ok := d.gate(now, size, mu); ok {
				e.Chance = chance
				return d.begin(now, Burst, e)
			}
		}
	}
	if d.sum >= enoughEvidence {
		size := min(len(d.bins)-d.since, int(longestEvidence/d.config.Step))
		mu, _ := d.expected(d.window(size), d.perHour)
		if e, ok := d.gate(now, size, mu); ok {
			e.Sum = d.sum
			return d.begin(now, Sustained, e)
		}
	}
	return nil
}

// gate asks what a burst has to have besides many negatives: enough of them, by several people, and more of all that is said.
func (d *Detector) gate(now time.Time, size int, mu float64) (Evidence, bool) {
	w := d.window(size)
	n := w.negatives + w.others
	e := Evidence{
		From: d.time(len(d.bins) - size), To: now, Mentions: n, Negatives: w.negatives, Usual: mu, Authors: d.authors(size),
		Share: float64(w.negatives) / float64(max(n, 1)), UsualShare: w.usual / max(w.usual+w.usualOthers, 1e-9),
	}
	if w.negatives < d.config.MinNegatives || e.Authors < d.config.MinAuthors {
		return e, false
	}
	// Where next to nothing but negatives is ever said, their share tells nothing.
	if e.UsualShare < 0.95 && shareAtLeast(w.negatives, n, e.UsualShare, float64(d.profile.share)) >= shareChance {
		return e, false
	}
	return e, true
}

// authors is how many people there are at least: the most in one step of those with more negatives than usual. Who wrote when
// as much was said as ever has no part in it.
func (d *Detector) authors(size int) int {
	most, from := 0, len(d.bins)-size
	if d.sum > 0 {
		from = max(from, d.since)
	}
	for i := from; i < len(d.bins); i++ {
		b := d.bins[i]
		if b.known && float64(b.negatives) > at(&d.profile.negatives, d.time(i))/float64(d.perHour) {
			most = max(most, int(b.authors))
		}
	}
	return most
}

func (d *Detector) begin(now time.Time, rule Rule, e Evidence) []Change {
	hour := d.window(d.perHour)
	mu, _ := d.expected(hour, d.perHour)
	d.open = &Incident{Began: d.time(d.beginning()), Opened: now, LastUnusual: now, Rule: rule, Evidence: e, Peak: hour.negatives, PeakUsual: mu}
	d.told, d.quiet = hour.negatives, 0
	return []Change{{Kind: Opened, At: now, Incident: *d.open}}
}

// follow tells how an open incident goes on.
func (d *Detector) follow(now time.Time, hour window) []Change {
	mu, k := d.expected(hour, d.perHour)
	if float64(hour.negatives) > stillUnusual*mu && atLeast(hour.negatives, mu, k) < stillChance && hour.negatives >= d.config.MinNegatives {
		d.open.LastUnusual, d.quiet = now, 0
	} else {
		d.quiet++
	}
	if hour.negatives > d.open.Peak {
		d.open.Peak, d.open.PeakUsual = hour.negatives, mu
	}
	switch {
	case time.Duration(d.quiet)*d.config.Step >= d.config.CoolDown: // a gap is not quiet
		return d.close(now, Calmed)
	case now.Sub(d.open.Opened) >= d.config.Lasting:
		return d.close(now, d.outlived(now))
	case float64(d.open.Peak) >= worse*float64(d.told):
		d.told = d.open.Peak
		return []Change{{Kind: Updated, At: now, Incident: *d.open}}
	}
	return nil
}

// outlived is how an incident ends that is open for as long as any may be: only one that is seen to go on has become usual.
func (d *Detector) outlived(now time.Time) Ending {
	if now.Sub(d.open.LastUnusual) < d.config.CoolDown {
		return BecameUsual
	}
	return Calmed
}

// expire closes an incident of which nobody can say how it goes on, because it is not known what is usual, when it is open for as long as any may be.
func (d *Detector) expire(now time.Time) []Change {
	if d.open == nil || now.Sub(d.open.Opened) < d.config.Lasting {
		return nil
	}
	return d.close(now, Calmed)
}

func (d *Detector) close(now time.Time, ending Ending) []Change {
	d.open.Closed, d.open.Ending = now, ending
	closed := *d.open
	d.open, d.sum = nil, 0
	if ending == Calmed {
		d.leaveOut(Span{closed.LastUnusual, now}, false)
		d.leaveOut(Span{closed.Began, closed.LastUnusual}, true)
	} else {
		d.leaveOut(Span{closed.Began, now}, false)
	}
	d.profile = nil // learn anew
	return []Change{{Kind: Closed, At: now, Incident: closed}}
}
