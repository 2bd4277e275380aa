package monitor

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// steady are counts of so many negatives and others in each step, a little uneven as counts are.
func steady(from time.Time, steps int, step time.Duration, negatives, others int) []Count {
	counts := make([]Count, steps)
	for i := range counts {
		n, o := negatives+[]int{0, 1, -1, 0, 2, -2, 1, -1}[i%8]*min(negatives, 1), max(others+[]int{1, -1, 0, 3, -2, 0, -1}[i%7], 0)
		counts[i] = Count{Start: from.Add(time.Duration(i) * step), Negatives: max(n, 0), Mentions: max(n, 0) + o}
		counts[i].Authors = counts[i].Mentions
	}
	return counts
}

// play observes counts and tells what happened.
func play(t *testing.T, d *Detector, counts []Count) (changes []Change) {
	t.Helper()
	for _, c := range counts {
		happened, err := d.Observe(c)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, happened...)
	}
	return changes
}

func kinds(changes []Change) (kinds []Kind) {
	for _, c := range changes {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

func newDetector(t *testing.T, config Config, history []Count) *Detector {
	t.Helper()
	d, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Learn(history, nil); err != nil {
		t.Fatal(err)
	}
	return d
}

const month = 28 * 24 * 12 // in steps

var after = simulationStart.Add(month * defaultStep)

func TestTheLifeOfAnIncident(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
	burst := steady(after.Add(2*time.Hour), 36, defaultStep, 8, 8)
	higher := steady(after.Add(5*time.Hour), 12, defaultStep, 20, 8)
	calm := steady(after.Add(6*time.Hour), 10*12, defaultStep, 2, 8)
	changes := play(t, d, slices.Concat(steady(after, 24, defaultStep, 2, 8), burst, higher, calm))
	if got := slices.Compact(kinds(changes)); !slices.Equal(got, []Kind{Opened, Updated, Closed}) || len(changes) > 6 {
		t.Fatalf("it went %v: %+v", kinds(changes), changes)
	}
	opened, closed := changes[0].Incident, changes[len(changes)-1].Incident
	begin := after.Add(2 * time.Hour)
	if opened.Opened.Before(begin) || opened.Opened.After(begin.Add(20*time.Minute)) {
		t.Errorf("it began at %v and opened at %v", begin, opened.Opened)
	}
	if d := opened.Began.Sub(begin).Abs(); d > 20*time.Minute {
		t.Errorf("it began %v off", d)
	}
	if closed.Ending != Calmed || closed.Peak < 200 || closed.Closed.Sub(closed.LastUnusual) != 6*time.Hour {
		t.Errorf("it closed as %+v", closed)
	}
	if e := opened.Evidence; e.Negatives < 5 || float64(e.Negatives) < 2*e.Usual || e.Share < e.UsualShare || e.Authors < 3 {
		t.Errorf("it opened on %+v", e)
	}
	if _, open := d.Open(); open {
		t.Error("it is still open")
	}
}

func TestAnIncidentIsNoExampleOfTheUsual(t *testing.T) {
	usual := func(burst int, spans ...Span) float64 {
		d, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		history := steady(simulationStart, month, defaultStep, 2, 8)
		for i := range history {
			if h := history[i].Start.Hour(); h >= 10 && h < 12 && history[i].Start.Day() < 20 {
				history[i].Negatives += burst
				history[i].Mentions += burst
			}
		}
		if err := d.Learn(history, spans); err != nil {
			t.Fatal(err)
		}
		return learn(d.bins, d.time, d.perHour, d.windows).negatives[0][10]
	}
	var spans []Span
	for day := range 20 {
		noon := simulationStart.AddDate(0, 0, day)
		spans = append(spans, Span{noon.Add(10 * time.Hour), noon.Add(12 * time.Hour)})
	}
	clean, dirty, left := usual(0), usual(20), usual(20, spans...)
	if dirty < 1.5*clean || left > 1.05*clean {
		t.Errorf("usual are %g; with bursts %g, with those left out %g", clean, dirty, left)
	}
}

func TestTheDetectorLeavesItsOwnIncidentsOut(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
	play(t, d, slices.Concat(steady(after, 24, defaultStep, 10, 8), steady(after.Add(2*time.Hour), 7*12, defaultStep, 2, 8)))
	left := 0
	for _, b := range d.bins {
		if b.left {
			left++
		}
	}
	if left < 20 || left > 40 {
		t.Errorf("%d steps are left out", left)
	}
}

func TestWhatLastsBecomesUsual(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
	changes := play(t, d, steady(after, 4*24*12, defaultStep, 8, 8))
	i := slices.IndexFunc(changes, func(c Change) bool { return c.Kind == Closed })
	if i < 0 || changes[i].Incident.Ending != BecameUsual || changes[i].Incident.Closed.Sub(changes[i].Incident.Opened) != 72*time.Hour {
		t.Fatalf("it went %+v", changes)
	}
	for _, b := range d.bins {
		if b.left {
			t.Fatal("what is usual now is left out")
		}
	}
}

func TestWhatIsNoAlarm(t *testing.T) {
	history := steady(simulationStart, month, defaultStep, 2, 8)
	few := steady(after, 24, defaultStep, 8, 8)
	for i := range few {
		few[i].Authors = 2
	}
	rare := steady(simulationStart, month, defaultStep, 0, 1)
	for name, c := range map[string]struct {
		history, counts []Count
	}{
		"praise":                       {history, steady(after, 24, defaultStep, 2, 60)},
		"more of everything":           {history, steady(after, 24, defaultStep, 6, 24)},
		"two authors":                  {history, few},
		"fewer than five":              {rare, []Count{{Start: after, Mentions: 4, Negatives: 4, Authors: 4}}},
		"a week is not known":          {history[:6*24*12], steady(simulationStart.AddDate(0, 0, 6), 24, defaultStep, 20, 8)},
		"nothing at all, then as ever": {history, slices.Concat(steady(after, 24, defaultStep, 0, 1), steady(after.Add(2*time.Hour), 24, defaultStep, 2, 8))},
	} {
		t.Run(name, func(t *testing.T) {
			if changes := play(t, newDetector(t, Config{}, c.history), c.counts); len(changes) != 0 {
				t.Errorf("it went %+v", changes)
			}
		})
	}
	if changes := play(t, newDetector(t, Config{}, history), steady(after, 24, defaultStep, 8, 8)); len(changes) == 0 {
		t.Error("nor is what is one")
	}
}

func TestAGapIsNotQuiet(t *testing.T) {
	history := steady(simulationStart, month, defaultStep, 2, 8)
	gappy := slices.Clone(history)
	gappy = slices.DeleteFunc(gappy, func(c Count) bool { return c.Start.Hour() >= 9 && c.Start.Hour() < 12 && c.Start.Day()%2 == 0 })
	d := newDetector(t, Config{}, gappy)
	if got := learn(d.bins, d.time, d.perHour, d.windows).negatives[0][10]; got < 20 || got > 28 {
		t.Errorf("usual are %g an hour", got)
	}
	// After a gap of an hour nothing of before counts.
	d = newDetector(t, Config{}, history)
	play(t, d, steady(after, 12, defaultStep, 4, 8))
	if d.sum == 0 {
		t.Fatal("there is no evidence to lose")
	}
	play(t, d, steady(after.Add(3*time.Hour), 1, defaultStep, 0, 8))
	if d.sum != 0 {
		t.Errorf("the evidence is %g", d.sum)
	}
	// After a month nothing is known any more.
	play(t, d, steady(after.AddDate(0, 2, 0), 1, defaultStep, 2, 8))
	if d.Ready() {
		t.Error("what is usual is known from two months ago")
	}
}

// TestAGapIsNoEndOfACrisis: a source is away for longer than the cool-down, and people go on complaining.
func TestAGapIsNoEndOfACrisis(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
	changes := play(t, d, steady(after, 24, defaultStep, 8, 8))
	changes = append(changes, play(t, d, steady(after.Add(10*time.Hour), 1, defaultStep, 2, 8))...)
	changes = append(changes, play(t, d, steady(after.Add(10*time.Hour+defaultStep), 24, defaultStep, 8, 8))...)
	if got := kinds(changes); slices.Contains(got, Closed) || got[0] != Opened || slices.Contains(got[1:], Opened) {
		t.Errorf("it went %v", got)
	}
	last := after.Add(12*time.Hour + defaultStep)
	changes = play(t, d, steady(last, 8*12, defaultStep, 2, 8))
	if len(changes) != 1 || changes[0].Incident.Ending != Calmed || changes[0].At.Sub(last) > 7*time.Hour {
		t.Errorf("then %+v", changes)
	}
}

// TestACrisisThatNobodyCouldFollowIsOver when counts come again after weeks, and has not become usual.
func TestACrisisThatNobodyCouldFollowIsOver(t *testing.T) {
	for name, away := range map[string]int{"four days": 4, "three weeks and a half": 25, "two months": 60} {
		t.Run(name, func(t *testing.T) {
			d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
			play(t, d, steady(after, 24, defaultStep, 8, 8))
			changes := play(t, d, steady(after.AddDate(0, 0, away), 12, defaultStep, 2, 8))
			if len(changes) != 1 || changes[0].Kind != Closed || changes[0].Incident.Ending != Calmed {
				t.Errorf("it went %+v", changes)
			}
		})
	}
}

// TestWhatCameAfterACrisisIsAnExample: the day's learning, which falls into the cool-down, leaves the crisis out as far as it is known by then.
func TestWhatCameAfterACrisisIsAnExample(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
	changes := play(t, d, slices.Concat(steady(after, 20*12, defaultStep, 2, 8), steady(after.Add(20*time.Hour), 24, defaultStep, 10, 8),
		steady(after.Add(22*time.Hour), 8*12, defaultStep, 2, 8)))
	closed := changes[len(changes)-1]
	if closed.Kind != Closed {
		t.Fatalf("it went %+v", changes)
	}
	want := int(closed.Incident.LastUnusual.Sub(closed.Incident.Began) / defaultStep)
	left := 0
	for _, b := range d.bins {
		if b.left {
			left++
		}
	}
	if left != want {
		t.Errorf("%d steps are left out of %d", left, want)
	}
}

func TestHistoryIsForgotten(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, 3*month, defaultStep, 2, 8))
	if len(d.bins) > month+month/4 {
		t.Errorf("%d steps are kept", len(d.bins))
	}
	if got := d.time(len(d.bins) - 1); !got.Equal(simulationStart.Add((3*month - 1) * defaultStep)) {
		t.Errorf("the last one is of %v", got)
	}
}

func TestAnIncidentIsResumed(t *testing.T) {
	history := steady(simulationStart, month, defaultStep, 2, 8)
	first := newDetector(t, Config{}, history)
	before := play(t, first, steady(after, 24, defaultStep, 8, 8))
	open, ok := first.Open()
	if !ok {
		t.Fatal("nothing opened")
	}
	second := newDetector(t, Config{}, slices.Concat(history, steady(after, 24, defaultStep, 8, 8)))
	second.Resume(open)
	rest := steady(after.Add(2*time.Hour), 8*12, defaultStep, 2, 8)
	want, got := play(t, first, rest), play(t, second, rest)
	if diff := cmp.Diff(kinds(want), kinds(got)); diff != "" || len(before) == 0 {
		t.Errorf("-one process +two:\n%s", diff)
	}
	if diff := cmp.Diff(want[len(want)-1].Incident.LastUnusual, got[len(got)-1].Incident.LastUnusual); diff != "" {
		t.Errorf("-one process +two:\n%s", diff)
	}
}

func TestWeekendsAndHoursAreThoseOfTheLocation(t *testing.T) {
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	d := newDetector(t, Config{Location: madrid}, nil)
	for i := range month {
		c := Count{Start: simulationStart.Add(time.Duration(i) * defaultStep)}
		if local := c.Start.In(madrid); local.Hour() == 12 && isWeekend(local) == 1 {
			c.Mentions, c.Negatives = 10, 10
		}
		if err := d.Learn([]Count{c}, nil); err != nil {
			t.Fatal(err)
		}
	}
	p := learn(d.bins, d.time, d.perHour, d.windows)
	if p.negatives[1][12] < 50 || p.negatives[0][12] != 0 || p.negatives[1][10] != 0 {
		t.Errorf("usual on weekends are %v", p.negatives[1])
	}
}

func TestWrongCounts(t *testing.T) {
	for name, c := range map[string]struct {
		count Count
		want  string
	}{
		"negative":           {Count{Start: after, Mentions: -1}, "the count of 2026-03-30T00:00:00Z: a count is less than 0"},
		"too many":           {Count{Start: after, Mentions: 10_000_001}, "the count of 2026-03-30T00:00:00Z: 10000001 mentions: more than 10000000 are a mistake"},
		"more negatives":     {Count{Start: after, Mentions: 1, Negatives: 2}, "the count of 2026-03-30T00:00:00Z: 2 negative ones of 1 mentions: they are counted among the mentions"},
		"more authors":       {Count{Start: after, Mentions: 1, Authors: 2}, "the count of 2026-03-30T00:00:00Z: 2 authors of 1 mentions: each of them wrote at least one"},
		"not at a step":      {Count{Start: after.Add(time.Minute)}, "the count of 2026-03-30T00:01:00Z: it does not begin at a step of 5m0s"},
		"before the last":    {Count{Start: after.Add(-10 * time.Minute)}, "the count of 2026-03-29T23:50:00Z: it is not after the one before: counts come oldest first, each time once"},
		"the last once more": {Count{Start: after.Add(-defaultStep)}, "the count of 2026-03-29T23:55:00Z: it is not after the one before: counts come oldest first, each time once"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8)).Observe(c.count)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
	if _, err := d.Observe(Count{Start: after.Add(-time.Hour)}); !errors.Is(err, ErrOrder) {
		t.Errorf("got %v", err)
	}
}

func TestWrongConfigurations(t *testing.T) {
	for name, c := range map[string]Config{
		"a step of 7 minutes": {Step: 7 * time.Minute}, "a step of a minute": {Step: time.Minute}, "a step of a day": {Step: 24 * time.Hour},
		"a negative bound": {MinAuthors: -1}, "a cool-down of weeks": {CoolDown: 1000 * time.Hour},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
