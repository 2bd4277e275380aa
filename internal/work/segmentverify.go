package work

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// verifiedAtOnce is how many contacts are compared in a step, some hundredths of a second of work.
	verifiedAtOnce = 5000
	// secondLook is how long after a difference was found it is looked at again: by then it has been evaluated what was under way.
	secondLook = 2 * time.Second
)

// verifyLoop compares memberships with their definitions, slowly and for ever. What it finds is the trace of a defect, or of a hand
// that wrote past the triggers.
type verifyLoop struct {
	*tenant
	found *store.VerifiedSlice // with differences
	at    time.Time
}

func (l *verifyLoop) round(ctx context.Context) error {
	if l.found != nil {
		if time.Since(l.at) < secondLook {
			return nil
		}
		return l.repair(ctx)
	}
	step, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	if err := l.db.ForgetSegmentEvents(step); err != nil {
		return err
	}
	slice, err := l.db.VerifySegments(step, l.o.VerifyInterval, verifiedAtOnce)
	if err != nil || slice == nil {
		return err
	}
	l.o.Metrics.segments.verified.WithLabelValues(l.id).Add(float64(slice.Contacts))
	if len(slice.Differing) > 0 {
		l.found, l.at = slice, time.Now()
	}
	return nil
}

func (l *verifyLoop) repair(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	repaired, err := l.db.RepairSegment(ctx, *l.found)
	if err != nil {
		return err
	}
	if repaired > 0 {
		l.o.Metrics.segments.repaired.WithLabelValues(l.id).Add(float64(repaired))
		logr.FromContextOrDiscard(ctx).Info("the membership of a segment was not what its definition says", "segment", l.found.Segment, "repaired", repaired)
	}
	l.found = nil
	return nil
}
