package mastodon

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

// rhythm is when things are done while a stream is read. Tests have another.
type rhythm struct {
	flush time.Duration // a batch waits no longer than this
	soon  time.Duration // after the beginning timelines are read again: a server does not tell when it has understood a subscription
	sweep time.Duration // and from then on so often, because streams lose events, and tell only some edits and deletions
	ping  time.Duration // a server that answers no ping in this time is gone
	// handshake is how long the opening of a stream may take.
	handshake time.Duration
}

var usual = rhythm{
	flush: 200 * time.Millisecond, soon: 10 * time.Second, sweep: 3 * time.Minute, ping: 30 * time.Second, handshake: 20 * time.Second,
}

const (
	// maxWaiting is how many events may wait while timelines are read.
	maxWaiting = 1024
	// sweepPosts is after how many posts of streams timelines are read again, so that they are remembered still.
	sweepPosts = maxRecent / 2
)

var _ listen.Streamer = (*Connector)(nil)

// Stream implements listen.Streamer. What happened before it is read from the timelines first, while the streams are open already.
func (c *Connector) Stream(ctx context.Context, after listen.Cursor, take listen.Take) error {
	info, err := c.know(ctx)
	if err != nil {
		return err
	}
	if info.streaming == nil {
		return listen.Troublef(listen.Unreachable, "%s does not say where it streams: it is polled.", c.client.base.Host)
	}
	if wait := c.client.exhausted(); wait > 0 {
		return &listen.Trouble{Reason: listen.Throttled, Wait: wait, Message: c.client.base.Host + " was asked as often as it allows."}
	}
	stored, err := c.stream(ctx, info, after, take)
	if errors.Is(err, errTogether) {
		c.separate = true
		_, err = c.stream(ctx, info, stored, take)
	}
	return err
}

// errTogether is that a server does not take several streams on a connection.
var errTogether = errors.New("the server does not take several streams on a connection")

// stream reads the streams until one of them ends, and returns the cursor that is stored.
func (c *Connector) stream(ctx context.Context, info *instance, after listen.Cursor, take listen.Take) (listen.Cursor, error) {
	sockets, err := c.connect(ctx, info.streaming)
	if err != nil {
		return after, err
	}
	s := &streaming{Connector: c, store: take, after: after, events: make(chan event, maxWaiting), broken: make(chan error, len(sockets))}
	reading, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, socket := range sockets {
		running.Go(func() { s.broken <- s.hear(reading, socket) })
		running.Go(func() { fetch.KeepAlive(reading, socket, c.rhythm.ping) })
	}
	defer running.Wait()
	defer hangUp(sockets)
	defer cancel()
	err = s.run(ctx)
	return s.after, err
}

// streaming is a stream that is being read.
type streaming struct {
	*Connector
	store  listen.Take
	after  listen.Cursor // what is stored
	at     cursor        // what will be, with the batch
	batch  listen.Batch
	told   int // posts since the last sweep
	events chan event
	broken chan error
}

// run hands over what is heard until the stream or ctx ends.
func (s *streaming) run(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	sweep, flush := time.NewTimer(s.rhythm.soon), time.NewTimer(s.rhythm.flush)
	defer sweep.Stop()
	defer flush.Stop()
	for {
		due, full := false, false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.broken:
			return s.end(ctx, err)
		case e := <-s.events:
			if e.failure {
				return s.notTaken()
			}
			if s.size() == 0 {
				flush.Reset(s.rhythm.flush)
			}
			s.add(e)
			due, full = s.told >= sweepPosts, s.size() >= listen.MaxBatch
			if !due && !full {
				continue
			}
		case <-flush.C:
		case <-sweep.C:
			due = true
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
		if !due {
			continue
		}
		wait, err := s.sweep(ctx)
		if err != nil {
			return err
		}
		sweep.Reset(max(wait, s.rhythm.sweep))
	}
}

// begin reads what happened before the stream, all of it.
func (s *streaming) begin(ctx context.Context) error {
	wait, err := s.sweep(ctx)
	if err == nil && wait > 0 {
		return &listen.Trouble{Reason: listen.Throttled, Wait: wait, Message: s.client.base.Host + " was asked as often as it allows."}
	}
	return err
}

// size is how much is in the batch.
func (s *streaming) size() int { return len(s.batch.Posts) + len(s.batch.Deleted) }

// add puts an event into the batch.
func (s *streaming) add(e event) {
	switch {
	case e.refused != "":
		s.batch.Refuse(e.refused, 1)
	case e.deleted != "":
		s.batch.Deleted = append(s.batch.Deleted, listen.Deletion{PostID: e.deleted})
		s.at.forget(e.deleted)
	case e.status != nil && s.at.isNew(e.status.ID, e.status.revision(), e.status.counts()):
		s.batch.Posts = append(s.batch.Posts, e.status.post(s.info.domain))
		s.told++
	}
}

// flush stores the batch.
func (s *streaming) flush(ctx context.Context) error {
	b := s.batch
	s.batch = listen.Batch{}
	if b.Empty() {
		return nil
	}
	next, err := s.at.encode()
	if err != nil {
		return err
	}
	b.Network, b.Next = s.network, next
	if err := s.store(ctx, b); err != nil {
		return err
	}
	s.after = next
	return nil
}

// sweep reads timelines to their ends. wait is for how long the server wants to be left alone first.
func (s *streaming) sweep(ctx context.Context) (wait time.Duration, err error) {
	for {
		page, err := s.Poll(ctx, s.after)
		if err != nil {
			return 0, err
		}
		if !page.Empty() {
			if err := s.store(ctx, page.Batch); err != nil {
				return 0, err
			}
			if page.Next != nil {
				s.after = page.Next
			}
		}
		if page.Wait > 0 || !page.More {
			s.at, _ = readCursor(s.after, s.timelines)
			s.told = 0
			return page.Wait, nil
		}
	}
}

// end stores what was heard before a connection broke.
func (s *streaming) end(ctx context.Context, broken error) error {
	for {
		select {
		case e := <-s.events:
			if s.add(e); s.size() < listen.MaxBatch {
				continue
			}
			if err := s.flush(ctx); err != nil {
				return err
			}
			continue
		default:
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return broken
	}
}

// notTaken tells that the server refused a subscription. Some take one on a connection, named in its address.
func (s *streaming) notTaken() error {
	if !s.separate && len(s.timelines) > 1 {
		return errTogether
	}
	return listen.Troublef(listen.Unreachable, "%s does not take a subscription: it is polled.", s.info.streaming.Host)
}

// hear reads a connection until it ends.
func (s *streaming) hear(ctx context.Context, socket *websocket.Conn) error {
	for {
		kind, message, err := socket.Read(ctx)
		if err != nil {
			return s.lost(err)
		}
		if kind != websocket.MessageText {
			continue
		}
		e, ok := parseEvent(message)
		if !ok {
			continue
		}
		select {
		case s.events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *streaming) lost(err error) error {
	message := "The stream of " + s.info.streaming.Host + " broke off."
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &listen.Trouble{Reason: listen.Unreachable, Err: err, Message: message}
}
