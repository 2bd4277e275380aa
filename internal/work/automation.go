package work

import (
	"context"
	"errors"
	"time"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// forgottenAtOnce bounds how many entries and postings are forgotten in one statement.
	forgottenAtOnce = 5000
	// tidyEvery is how often a worker that handles events gives back the room of those that were.
	tidyEvery = 5 * time.Second
)

// ruleLoop carries out what rules do about what happens.
type ruleLoop struct {
	*tenant
	tidied time.Time
}

// events handles what has happened.
func (l *ruleLoop) events(ctx context.Context) error {
	handled := 0
	for {
		done, err := l.step(ctx, "events", func(ctx context.Context) (store.Walked, error) { return l.rules.HandleEvents(ctx, store.EventsAtOnce) })
		if err != nil {
			return err
		}
		handled += done.Events
		if !done.Repeat || ctx.Err() != nil {
			break
		}
	}
	if handled > 0 && time.Since(l.tidied) >= tidyEvery {
		l.tidied = time.Now()
		ctx, cancel := health.Step(ctx, l.o.StatementLimit)
		defer cancel()
		return l.rules.RotateEvents(ctx)
	}
	return nil
}

// wakes takes entries on whose time has come, and moves those to a new version of their rule that go on in it.
func (l *ruleLoop) wakes(ctx context.Context) error {
	for {
		moved, err := l.step(ctx, "moves", func(ctx context.Context) (store.Walked, error) { return l.rules.MoveEntries(ctx, store.WakesAtOnce) })
		if err != nil {
			return err
		}
		done, err := l.step(ctx, "wakes", func(ctx context.Context) (store.Walked, error) { return l.rules.WakeEntries(ctx, store.WakesAtOnce) })
		if err != nil || !done.Repeat && !moved.Repeat || ctx.Err() != nil {
			return err
		}
	}
}

// step runs a transaction in which entries go on, and counts what it did.
func (l *ruleLoop) step(ctx context.Context, kind string, f func(context.Context) (store.Walked, error)) (store.Walked, error) {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	began := time.Now()
	done, err := f(ctx)
	if err != nil || done.Events+done.Woken == 0 {
		return done, err
	}
	m := l.o.Metrics.rules
	m.seconds.WithLabelValues(l.id, kind).Observe(time.Since(began).Seconds())
	if done.Events > 0 {
		m.lag.WithLabelValues(l.id).Observe((done.Lag + time.Since(began)).Seconds())
	}
	for outcome, n := range map[string]int{"entered": done.Entered, "passed": done.Passed, "cut": done.Cut, "woken": done.Woken, "stuck": done.Stuck} {
		m.entries.WithLabelValues(l.id, outcome).Add(float64(n))
	}
	m.events.WithLabelValues(l.id).Add(float64(done.Events))
	m.effects.WithLabelValues(l.id).Add(float64(done.Effects))
	return done, nil
}

// ticks notes schedules and dates that have come.
func (l *ruleLoop) ticks(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	_, err := l.rules.Tick(ctx)
	return err
}

// sweep ends what was deleted long ago, forgets what is over, and tells the operator of counts that have changed.
func (l *ruleLoop) sweep(ctx context.Context) error {
	told := l.tell(ctx)
	for {
		more, err := l.sweepOnce(ctx)
		if err != nil || !more || ctx.Err() != nil {
			return errors.Join(told, err)
		}
	}
}

func (l *ruleLoop) sweepOnce(ctx context.Context) (more bool, err error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.rules.SweepRules(ctx, forgottenAtOnce)
}

func (l *ruleLoop) tell(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.rules.TellCounts(ctx)
}
