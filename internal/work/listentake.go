package work

import (
	"context"
	"errors"
	"time"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/judge"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// judgeLimit is how long a batch may be judged.
const judgeLimit = 2 * time.Minute

// freshPost is how old a post is at most that a stream brings as it was written.
const freshPost = time.Minute

// take understands a batch and stores it with its cursor. What is in hand is stored also when the worker is told to stop. While the
// database does not answer it waits, and with it whoever brings more.
func (s *session) take(ctx context.Context, b listen.Batch) error {
	s.part.Store(b.Trouble)
	if b.Empty() {
		s.works(ctx)
		return nil
	}
	arrived := time.Now()
	s.noteAge(&b, arrived)
	judged, err := s.understand(ctx, b)
	if err != nil {
		if trouble := (*listen.Trouble)(nil); !errors.As(err, &trouble) {
			s.failed = err
		}
		return err
	}
	for attempt := 1; ; attempt++ {
		taken, err := s.store(ctx, &judged)
		if err == nil {
			s.count(&judged, taken, time.Since(arrived))
			break
		}
		if store.IsUnacceptable(err) {
			return &listen.Trouble{Reason: listen.Malformed, Message: "The source brings what the database does not take.", Err: err}
		}
		if !store.IsUnavailable(err) || ctx.Err() != nil || !rest(ctx, s.o.DatabaseBackoff.Delay(attempt, sourceSeed(s.lease.Name))) {
			s.failed = err
			return err
		}
	}
	if b.Next != nil {
		s.cursor = b.Next
	}
	s.works(ctx)
	return nil
}

// noteAge notes whether what comes is of this moment, or a stream is still catching up.
func (s *session) noteAge(b *listen.Batch, now time.Time) {
	for i := range b.Posts {
		if now.Sub(b.Posts[i].CreatedAt) < freshPost {
			s.behind.Store(false)
			return
		}
	}
	if len(b.Posts) > 0 {
		s.behind.Store(true)
	}
}

// held is the lease as it stands: with a stream that has caught up everything has come in, unless a part cannot be read.
func (s *session) held() store.SourceLease {
	l := s.lease
	l.Live = s.live.Load() && !s.behind.Load() && s.part.Load() == nil
	return l
}

func (s *session) understand(ctx context.Context, b listen.Batch) (judge.Judged, error) {
	ctx, cancel := health.Step(context.WithoutCancel(ctx), judgeLimit)
	defer cancel()
	return s.judge.Batch(ctx, b, judge.Wanted{Languages: s.lease.Languages, Now: s.o.Now()})
}

// store stores a batch when it is its turn.
func (s *session) store(ctx context.Context, j *judge.Judged) (store.TakenMentions, error) {
	s.stores <- struct{}{}
	defer func() { <-s.stores }()
	learn := func(ctx context.Context) error {
		ctx, cancel := health.Step(context.WithoutCancel(ctx), s.o.StatementLimit)
		defer cancel()
		return s.follow(ctx)
	}
	return s.judge.Keep(ctx, j, learn, func(ctx context.Context, b listen.Batch, posts []store.Judged) (store.TakenMentions, error) {
		health.Wait(ctx, 2*s.o.StatementLimit)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.StatementLimit)
		defer cancel()
		return s.db.TakeMentions(ctx, s.held(), b, posts)
	})
}

func (s *session) count(j *judge.Judged, taken store.TakenMentions, lag time.Duration) {
	m := s.o.Metrics.listen
	for outcome, n := range j.Outcomes(taken) {
		m.mentions.WithLabelValues(s.id, s.lease.Name, outcome).Add(float64(n))
	}
	m.lag.WithLabelValues(s.id, s.lease.Name).Observe(lag.Seconds())
}

// rest waits; false when ctx ends before.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
