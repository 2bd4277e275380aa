package monitor

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// simulateBoth plays a world with the rule of others and with ours.
func simulateBoth(name string, w world) (theirs, ours score) {
	theirs, ours = score{name: "z > 3 over 7 flat days, " + name}, score{name: "tail or CUSUM, " + name}
	for run := range *simulatedRuns {
		s := simulate(w, uint64(run))
		theirs.judge(s, zRule(s))
		alarms, _ := ourRule(s)
		ours.judge(s, alarms)
	}
	return theirs, ours
}

func table(rows ...score) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-50s %18s %8s %14s\n", "rule", "false alarms/30 d", "found", "median delay")
	for _, r := range rows {
		found, delay := "", ""
		if r.all > 0 {
			found, delay = fmt.Sprintf("%.0f %%", 100*r.share()), r.median().String()
		}
		fmt.Fprintf(&b, "%-50s %18.1f %8s %14s\n", r.name, r.falsePerMonth, found, delay)
	}
	return b.String()
}

// The rule of others has to do here what it does elsewhere: then the simulation is a fair one, and ours is measured.
func TestSimulation(t *testing.T) {
	if testing.Short() {
		t.Skip("it plays years of counts")
	}
	usual := world{base: 20, others: 4}
	with := func(change func(*world)) world {
		w := usual
		change(&w)
		return w
	}
	theirCalm, calm := simulateBoth("calm", usual)
	theirDouble, double := simulateBoth("2 times", with(func(w *world) { w.factor = 2 }))
	_, four := simulateBoth("4 times", with(func(w *world) { w.factor = 4 }))
	_, praise := simulateBoth("bursts of praise", with(func(w *world) { w.praise = 5 }))
	rows := []score{theirCalm, theirDouble, calm, double, four, praise}
	if *simulateMore {
		_, talked := simulateBoth("2 times, others 1.3 times", with(func(w *world) { w.factor, w.talk = 2, 1.3 }))
		_, ownCalm := simulateBoth("calm, no noise shared", with(func(w *world) { w.own = true }))
		_, own := simulateBoth("2 times, no noise shared", with(func(w *world) { w.factor, w.own = 2, true }))
		rows = append(rows, talked, ownCalm, own)
	}
	t.Log(table(rows...))
	if math.Abs(theirCalm.falsePerMonth-8.7) > 1 || math.Abs(theirDouble.share()-0.88) > 0.03 {
		t.Errorf("the rule of others raises %.1f false alarms and finds %.0f %%: the simulation is not the one it should be",
			theirCalm.falsePerMonth, 100*theirDouble.share())
	}
	for _, s := range []score{calm, double, four} {
		if s.falsePerMonth > 3 {
			t.Errorf("%s: %.1f false alarms in 30 days", s.name, s.falsePerMonth)
		}
		if s.all > 0 && s.share() < 0.95 {
			t.Errorf("%s: %.0f %% found", s.name, 100*s.share())
		}
	}
	if double.median() > 2*time.Hour || four.median() > 20*time.Minute {
		t.Errorf("found after %v and %v", double.median(), four.median())
	}
	if praise.duringPraise > 0 {
		t.Errorf("%d alarms were raised by praise", praise.duringPraise)
	}
}
