package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// beginnings are how long after an episode began its incident says that it did; before it, it is negative.
func beginnings(w world) (off []time.Duration) {
	for run := range *simulatedRuns / 2 {
		s := simulate(w, uint64(run))
		_, changes := ourRule(s)
		for _, c := range changes {
			if c.Kind != Opened {
				continue
			}
			i := slices.IndexFunc(s.episodes, func(e Span) bool { return c.At.After(e.From) && !c.At.After(e.To) })
			if i >= 0 {
				off = append(off, c.Incident.Began.Sub(s.episodes[i].From))
			}
		}
	}
	slices.Sort(off)
	return off
}

// Large bursts are told to the minutes. Where there are twice as many as usual, no more than half of them can be told from noise to a quarter of an hour.
func TestSimulatedBeginnings(t *testing.T) {
	if testing.Short() {
		t.Skip("it plays years of counts")
	}
	quantiles := []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95}
	for name, tt := range map[string]struct {
		factor        float64
		early, late   time.Duration // of the tenth part that is told earliest, and of that which is told latest
		median, often time.Duration // how far off the median is at most, and half of all
	}{
		"2 times": {2, -75 * time.Minute, 75 * time.Minute, 10 * time.Minute, 40 * time.Minute},
		"4 times": {4, -30 * time.Minute, 10 * time.Minute, 5 * time.Minute, 10 * time.Minute},
	} {
		off := beginnings(world{base: 20, others: 4, factor: tt.factor})
		at := func(q float64) time.Duration { return off[int(q*float64(len(off)-1))] }
		var row strings.Builder
		for _, q := range quantiles {
			fmt.Fprintf(&row, "  %.0f %% %v", 100*q, at(q))
		}
		t.Logf("began, less when it did, %s, of %d:%s", name, len(off), row.String())
		if len(off) < 100 || at(0.1) < tt.early || at(0.9) > tt.late || at(0.5).Abs() > tt.median || at(0.25) < -tt.often || at(0.75) > tt.often {
			t.Errorf("%s: it is told wrongly when they began", name)
		}
	}
}

// TestABurstWhereNothingIsUsualBeganWithIt: there is nothing before it to take for a part of it.
func TestABurstWhereNothingIsUsualBeganWithIt(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 0, 2))
	changes := play(t, d, slices.Concat(steady(after, 12, defaultStep, 0, 2), steady(after.Add(time.Hour), 6, defaultStep, 4, 4)))
	if len(changes) == 0 || changes[0].Incident.Began.Sub(after.Add(time.Hour)).Abs() > defaultStep {
		t.Errorf("it went %+v", changes)
	}
}

// TestNothingBeganBeforeAGap of an hour.
func TestNothingBeganBeforeAGap(t *testing.T) {
	d := newDetector(t, Config{}, steady(simulationStart, month, defaultStep, 2, 8))
	for i := range 24 { // a burst that a rule without authors would not tell
		c := Count{Start: after.Add(time.Duration(i) * defaultStep), Mentions: 16, Negatives: 8, Authors: 1}
		if changes, err := d.Observe(c); err != nil || len(changes) > 0 {
			t.Fatalf("%+v, %v", changes, err)
		}
	}
	changes := play(t, d, steady(after.Add(4*time.Hour), 12, defaultStep, 12, 8))
	if len(changes) == 0 || changes[0].Incident.Began.Before(after.Add(4*time.Hour)) {
		t.Errorf("it went %+v", changes)
	}
}
