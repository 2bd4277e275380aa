package work

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// influenceLoop computes who moves the talk about topics: whichever worker is first does.
type influenceLoop struct{ *tenant }

// round adds what came since the last one, and computes what is due of it. A topic that fails does not keep the others waiting.
func (l *influenceLoop) round(ctx context.Context) error {
	_, err := l.db.WithInfluenceLock(ctx, func(ctx context.Context) error {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = l.add(ctx); err != nil {
				return err
			}
		}
		due, err := l.due(ctx)
		if err != nil {
			return err
		}
		var failed error
		for _, d := range due {
			if ctx.Err() != nil {
				break
			}
			if err := l.refresh(ctx, d); err != nil {
				failed = err
			}
		}
		return failed
	})
	return err
}

func (l *influenceLoop) add(ctx context.Context) (more bool, err error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	added, err := l.db.AddInfluence(ctx)
	return added.More, err
}

func (l *influenceLoop) due(ctx context.Context) ([]store.InfluenceDue, error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.db.InfluenceDue(ctx)
}

func (l *influenceLoop) refresh(ctx context.Context, due store.InfluenceDue) error {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	done, err := l.db.RefreshInfluence(ctx, due)
	if err != nil {
		return err
	}
	l.o.Metrics.influence.seconds.WithLabelValues(l.id).Observe(done.Took.Whole().Seconds())
	logr.FromContextOrDiscard(ctx).V(1).Info("influence computed", "monitor", due.Monitor, "topic", due.Name, "anew", due.Build,
		"authors", done.Authors, "edges", done.Edges, "took", done.Took.Whole().Round(time.Millisecond).String())
	return nil
}
