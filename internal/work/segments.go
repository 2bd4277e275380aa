package work

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/segment"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

const (
	// restRounds is how many rounds are left out when there was nothing to do: a tenant in which nothing changes is looked at once
	// a second.
	restRounds = 4
	// tellEvery is how often the members of segments are counted together at most while they change.
	tellEvery = time.Second
)

// segmentLoop evaluates what changed about contacts, for the segments that depend on it.
type segmentLoop struct {
	*tenant
	builds chan struct{} // a build is due
	rests  int           // rounds to leave out
	told   time.Time     // when members were last counted together
}

func newSegmentLoop(t *tenant) *segmentLoop {
	return &segmentLoop{tenant: t, builds: make(chan struct{}, 1)}
}

// round looks for changes and works them off.
func (l *segmentLoop) round(ctx context.Context) error {
	if l.rests > 0 {
		l.rests--
		return nil
	}
	news, err := l.look(ctx)
	if err != nil {
		return err
	}
	if news.Build {
		signal(l.builds)
	}
	if news.Changes {
		if err := l.follow(ctx); err != nil {
			return err
		}
	} else {
		l.rests = restRounds - 1
	}
	if (news.Changes || news.Untold) && time.Since(l.told) >= tellEvery {
		l.told = time.Now()
		return l.tidy(ctx)
	}
	return nil
}

func (l *segmentLoop) look(ctx context.Context) (store.SegmentNews, error) {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit) // the sweep may have much to catch up with
	defer cancel()
	return l.db.LookAtSegments(ctx, l.o.SegmentInterval)
}

// follow works off what waits, without a pause as long as there is more than a worker takes at once.
func (l *segmentLoop) follow(ctx context.Context) error {
	for {
		f, err := l.followOnce(ctx)
		if err != nil || !f.Repeat || ctx.Err() != nil {
			return err
		}
	}
}

func (l *segmentLoop) followOnce(ctx context.Context) (store.Followed, error) {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	began := time.Now()
	f, err := l.db.FollowChanges(ctx, store.ChangesAtOnce)
	if err != nil || f.Changes == 0 {
		return f, err
	}
	m := l.o.Metrics.segments
	m.followSeconds.WithLabelValues(l.id).Observe(time.Since(began).Seconds())
	m.lag.WithLabelValues(l.id).Observe((f.Lag + time.Since(began)).Seconds())
	m.evaluations.WithLabelValues(l.id).Add(float64(f.Evaluated))
	m.moves.WithLabelValues(l.id, "entered").Add(float64(f.Entered))
	m.moves.WithLabelValues(l.id, "left").Add(float64(f.Left))
	return f, nil
}

// tidy counts members together and gives the room of worked off changes back.
func (l *segmentLoop) tidy(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return errors.Join(l.db.TellMembers(ctx), l.db.RotateChanges(ctx))
}

// buildBackoff is how long a segment waits that could not be built.
var buildBackoff = campaign.Backoff{First: time.Second, Max: time.Minute}

// buildLoop builds the segments whose definition is new, and those that nobody followed for a while.
type buildLoop struct {
	*tenant
	failed map[string]failedBuild
}

type failedBuild struct {
	attempts int
	until    time.Time
}

func newBuildLoop(t *tenant) *buildLoop {
	return &buildLoop{tenant: t, failed: map[string]failedBuild{}}
}

// round builds the segments that are due. One that fails does not keep the others waiting.
func (l *buildLoop) round(ctx context.Context) error {
	work, err := l.atWork(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, w := range work {
		w.State.Interval = l.o.SegmentInterval
		due, reason := segment.Due(w.State, l.o.Now())
		if !due || time.Now().Before(l.failed[w.Name].until) {
			continue
		}
		if err := l.build(ctx, w.Name, reason); err != nil {
			failed = errors.Join(failed, err)
			if store.IsUnavailable(err) || ctx.Err() != nil {
				break
			}
			f := l.failed[w.Name]
			f.attempts++
			f.until = time.Now().Add(buildBackoff.Delay(f.attempts, uint64(len(w.Name))))
			l.failed[w.Name] = f
			continue
		}
		delete(l.failed, w.Name)
	}
	return failed
}

func (l *buildLoop) atWork(ctx context.Context) ([]store.SegmentWork, error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.db.SegmentsAtWork(ctx)
}

func (l *buildLoop) build(ctx context.Context, name string, reason segment.Reason) (err error) {
	ctx, span := tracing.Start(ctx, "evaluate segment", tracing.Tenant(l.id), tracing.Segment(name))
	defer func() { endSpan(span, err) }()
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	began := time.Now()
	result, err := l.db.BuildSegment(ctx, name, l.o.SegmentInterval)
	var busy *store.SegmentBusyError
	if errors.Is(err, store.ErrNotFound) || errors.As(err, &busy) {
		return nil // it was deleted meanwhile, or is built a little later
	}
	if err != nil || result == nil {
		return err
	}
	l.o.Metrics.SegmentSeconds.WithLabelValues(l.id).Observe(time.Since(began).Seconds())
	if result.Changed() {
		logr.FromContextOrDiscard(ctx).Info("segment built", "segment", name, "reason", reason,
			"members", result.Members, "entered", result.Entered, "left", result.Left)
	}
	return nil
}
