package work

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// endLimit is how long a stream may take to end when it is told to.
	endLimit = time.Minute
	// settledStream is when a stream that has not broken counts as working.
	settledStream = 10 * time.Second
	// releaseLimit bounds what is said at the end: the rest of a shutdown waits for it.
	releaseLimit = 5 * time.Second
)

// Why a session ends, beside what its network says.
var (
	errRotated = errors.New("the source's credentials are others")
	errStopped = errors.New("the worker is told to stop")
)

// session is the time for which this worker listens to a source, under one lease.
type session struct {
	*listenLoop
	lease       store.SourceLease
	cursor      listen.Cursor
	credentials credentials.Source // that the connector has

	streaming atomic.Bool
	live      atomic.Bool                    // the stream has lasted for a while
	behind    atomic.Bool                    // what came last was old
	heard     atomic.Bool                    // the network answered: what was known to be in the way is over
	noted     atomic.Pointer[string]         // what was written of that: "" where all is well
	part      atomic.Pointer[listen.Trouble] // that keeps a part of the source from being read; nil where nothing does
	failed    error                          // to store a batch
}

// run listens until all is read, the stream breaks, the lease is lost or ctx ends. Then it says when the source is read next.
func (s *session) run(ctx context.Context) {
	gauge := s.o.Metrics.listen.sources.WithLabelValues(s.id)
	gauge.Inc()
	defer gauge.Dec()
	watched := s.watch.Begin(s.id, "listen to a source", s.o.StatementLimit)
	defer watched.End()
	ctx = health.NewContext(ctx, watched)
	held, end := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		s.keep(held, end)
	}()
	e := s.listen(held)
	e.why = context.Cause(held)
	end(nil)
	<-kept
	if ctx.Err() != nil {
		e.why = errStopped
	}
	s.release(ctx, e)
	s.wakeRotated(ctx)
}

// wakeRotated has the source read at once where its credentials have become others since this worker took it: the round that noticed may have come before the
// source was given back, to rest for long because of the old ones.
func (s *session) wakeRotated(ctx context.Context) {
	if maps.Equal(s.credentials, s.sourceCredentials()[s.lease.Name]) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	if err := s.db.WakeSources(ctx, []string{s.lease.Name}); err != nil {
		logr.FromContextOrDiscard(ctx).Info("cannot have a source with new credentials read at once", "error", store.Brief(err).Error())
	}
}

// keep extends the lease while it is needed, and ends the session when the lease is lost or the credentials are others.
func (s *session) keep(ctx context.Context, end context.CancelCauseFunc) {
	every := s.o.Lease / 3
	extend := time.NewTicker(every)
	defer extend.Stop()
	look := time.NewTicker(min(every, s.o.TenantPoll))
	defer look.Stop()
	settled := time.NewTimer(settledStream)
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if !maps.Equal(s.credentials, s.sourceCredentials()[s.lease.Name]) {
				end(errRotated)
				return
			}
		case <-settled.C:
			if s.streaming.Load() {
				s.live.Store(true)
				s.works(ctx)
			} else {
				settled.Reset(settledStream)
			}
		case <-extend.C:
			if s.streaming.Load() {
				health.Wait(ctx, every+s.o.StatementLimit+endLimit)
			}
			if err := s.extend(ctx); errors.Is(err, store.ErrSourceLost) {
				end(err)
				return
			}
		}
	}
}

// extend keeps the lease. While the database does not answer nobody else gets it, and when it answers again it tells.
func (s *session) extend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.StatementLimit)
	defer cancel()
	return s.db.ExtendSource(ctx, s.held(), s.o.Lease)
}

// works says, once, that what was in the way is over, and what still is of a part. Of a source that is polled its release says so.
func (s *session) works(ctx context.Context) {
	s.heard.Store(true)
	if !s.lease.Troubled && !s.streaming.Load() {
		return
	}
	part, rest := s.part.Load(), store.SourceRest{}
	if part != nil {
		rest.Reason, rest.Message = part.Reason, part.Message
	}
	if noted := s.noted.Swap(&rest.Message); noted != nil && *noted == rest.Message {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.StatementLimit)
	defer cancel()
	if err := s.db.NoteSource(ctx, s.lease, rest); err != nil {
		s.noted.Store(nil)
		return
	}
	s.tell(ctx, s.lease.Name, part)
}

// listen opens the connector, reads what there is and goes on with its stream, where it has one.
func (s *session) listen(ctx context.Context) (e ending) {
	defer func() {
		if failure := recover(); failure != nil {
			// What failed is named by type only: its text may repeat what a stranger wrote.
			logr.FromContextOrDiscard(ctx).Error(errors.New("panic while listening"), "recovered",
				"type", fmt.Sprintf("%T", failure), "stack", string(debug.Stack()))
			e.err = listen.Troublef(listen.Malformed, "The source brings what its connector cannot cope with: the worker's log tells where that is.")
		}
		e.heard, e.failed = s.heard.Load(), s.failed
	}()
	connector, err := s.open(ctx)
	if err != nil {
		return ending{err: err}
	}
	defer func() { _ = connector.Close() }()
	poller, polls := connector.(listen.Poller)
	streamer, streams := connector.(listen.Streamer)
	e.streams, e.hooked = streams, !polls && !streams
	if polls {
		s.poll(ctx, poller, &e)
		if e.err != nil && !s.streamsApart(connector, e.err) || e.wait > 0 && e.more || !streams {
			return e
		}
		e.polled = e.err == nil
	}
	if streams {
		began := time.Now()
		e.err = s.stream(ctx, streamer)
		e.steady = time.Since(began) >= settledStream
	}
	return e
}

// streamsApart tells whether a stream is read although what the connector polls for cannot be: it brings something else.
func (s *session) streamsApart(c listen.Connector, err error) bool {
	var trouble *listen.Trouble
	if _, apart := c.(listen.Apart); !apart || !errors.As(err, &trouble) || trouble.Reason.NeedsPerson() {
		return false
	}
	s.part.Store(trouble)
	return true
}

func (s *session) open(ctx context.Context) (listen.Connector, error) {
	step, cancel := health.Step(ctx, s.o.StatementLimit)
	defer cancel()
	o, err := s.options(step, s)
	if err != nil {
		s.failed = err
		return nil, err
	}
	return s.o.Connector(s.lease.Type, o)
}

// poll reads page after page until there is no more, or the network wants to be left alone, and notes how that ended.
func (s *session) poll(ctx context.Context, p listen.Poller, e *ending) {
	for {
		page, err := s.pollOnce(ctx, p)
		further := page.Next != nil && string(page.Next) != string(s.cursor)
		if err == nil {
			err = s.take(ctx, page.Batch)
		}
		if err != nil {
			e.err = err
			return
		}
		// A page that goes no further has no next one, whatever it says.
		e.wait, e.more, e.moved = page.Wait, page.More && further, &page.Moved
		if !e.more || page.Wait > 0 || ctx.Err() != nil {
			return
		}
	}
}

func (s *session) pollOnce(ctx context.Context, p listen.Poller) (listen.Page, error) {
	step, cancel := health.Step(ctx, s.o.PollLimit)
	defer cancel()
	page, err := p.Poll(step, s.cursor)
	if err != nil && ctx.Err() == nil && step.Err() != nil {
		return listen.Page{}, listen.Troublef(listen.Unreachable, "The source was not read within %s.", s.o.PollLimit)
	}
	return page, err
}

// stream takes what comes until the stream breaks. It says why, also where the connector does not.
func (s *session) stream(ctx context.Context, streamer listen.Streamer) error {
	health.Wait(ctx, s.o.Lease+s.o.StatementLimit+endLimit)
	s.streaming.Store(true)
	if s.heard.Load() { // by a poll
		s.works(ctx)
	}
	defer func() {
		s.streaming.Store(false)
		s.live.Store(false)
	}()
	err := streamer.Stream(ctx, s.cursor, s.take)
	if err == nil && ctx.Err() == nil {
		err = listen.Troublef(listen.Unreachable, "The stream of the source has ended.")
	}
	return err
}

// release gives the source back, with when it is read next. A lease that is lost is nobody's to give back; one of which nothing was learnt
// while something is in the way runs out, and what is known to be in the way stays known.
func (s *session) release(ctx context.Context, e ending) {
	log := logr.FromContextOrDiscard(ctx)
	rest, ok := planRest(s.lease, e, s.o.SourceBackoff)
	if trouble := e.trouble(); trouble != nil && ok {
		s.o.Metrics.listen.failures.WithLabelValues(s.id, s.lease.Name, string(trouble.Reason)).Inc()
	}
	if failed := e.failed; failed != nil && !errors.Is(failed, store.ErrSourceLost) {
		if words := store.Brief(failed).Error(); s.news(s.lease.Name, words) {
			log.Info("what the source brings cannot be stored, and is tried again", "error", words)
		}
	}
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	err := s.db.ReleaseSource(ctx, s.lease, rest)
	switch {
	case errors.Is(err, store.ErrSourceLost):
	case err != nil:
		log.Info("cannot give a source back: its lease runs out", "error", store.Brief(err).Error())
	default:
		s.tell(ctx, s.lease.Name, e.told(rest))
	}
}
