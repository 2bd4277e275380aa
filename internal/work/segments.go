package work

import (
	"context"
	"errors"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/segment"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// segmentLoop keeps the memberships of a tenant current.
type segmentLoop struct {
	*tenant
}

// round evaluates the segments that are due. One that fails does not keep the others waiting.
func (l *segmentLoop) round(ctx context.Context) error {
	work, err := l.atWork(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, w := range work {
		w.State.Interval = l.o.SegmentInterval
		due, reason := segment.Due(w.State, l.o.Now())
		if !due {
			continue
		}
		if err := l.evaluate(ctx, w.Name, reason); err != nil {
			failed = errors.Join(failed, err)
			if store.IsUnavailable(err) || ctx.Err() != nil {
				break
			}
		}
	}
	return failed
}

func (l *segmentLoop) atWork(ctx context.Context) ([]store.SegmentWork, error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.db.SegmentsAtWork(ctx)
}

func (l *segmentLoop) evaluate(ctx context.Context, name string, reason segment.Reason) (err error) {
	ctx, span := tracing.Start(ctx, "evaluate segment", tracing.Tenant(l.id), tracing.Segment(name))
	defer func() { endSpan(span, err) }()
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	began := l.o.Now()
	result, err := l.db.EvaluateSegment(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil // it was deleted meanwhile
	}
	if err != nil {
		return err
	}
	l.o.Metrics.SegmentSeconds.WithLabelValues(l.id).Observe(l.o.Now().Sub(began).Seconds())
	if result.Changed() {
		logr.FromContextOrDiscard(ctx).Info("segment evaluated", "segment", name, "reason", reason,
			"members", result.Members, "entered", result.Entered, "left", result.Left)
	}
	return nil
}
