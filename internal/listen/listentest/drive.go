package listentest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// driver reads a network as a worker does, in one of the ways that there are.
type driver interface {
	// ask reads from the stored cursor and stores what comes: one page, or a stream until it ends.
	ask(ctx context.Context) error
	// catchUp reads until these are stored, or a gap was reported.
	catchUp(ids []string)
	// renew closes the connector, as the death of a worker does, and opens it anew.
	renew()
}

// maxPolls is how many pages there may be of what the suite publishes: that many items one by one, and some without any.
const maxPolls = 3000

// polling drives a Poller.
type polling struct {
	b      *bench
	poller listen.Poller
	end    func()
}

// newPolling opens the connector as a Poller; where it is none the test is skipped.
func newPolling(b *bench) *polling {
	b.t.Helper()
	p := &polling{b: b}
	b.t.Cleanup(func() { p.close() })
	p.renew()
	return p
}

func (p *polling) close() {
	if p.end != nil {
		p.end()
		p.end = nil
	}
}

func (p *polling) renew() {
	p.b.t.Helper()
	p.close()
	c, end := p.b.open()
	p.end = end
	poller, ok := c.(listen.Poller)
	if !ok {
		p.b.t.Skip("the connector is no Poller")
	}
	p.poller = poller
}

func (p *polling) ask(ctx context.Context) error {
	_, err := p.page(ctx)
	return err
}

func (p *polling) page(ctx context.Context) (listen.Page, error) {
	page, err := p.poller.Poll(ctx, p.b.store.now())
	if err != nil {
		return page, err
	}
	if page.Wait < 0 || page.Wait > 7*24*time.Hour {
		p.b.t.Errorf("a page asks to wait for %s", page.Wait)
	}
	return page, p.b.store.take(ctx, page.Batch)
}

// drain polls until nothing more comes, in the rhythm that the network wants.
func (p *polling) drain() {
	p.b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	quiet := 0
	for range maxPolls {
		page, err := p.page(ctx)
		if err != nil {
			p.b.t.Fatalf("poll: %v (%v)", err, errors.Unwrap(err))
		}
		if page.More {
			continue
		}
		if quiet++; len(page.Posts) > 0 {
			quiet = 0
		}
		if quiet == 2 {
			return
		}
		p.b.clock.Advance(max(page.Wait, time.Minute))
	}
	p.b.t.Fatalf("%d polls, and there is always more", maxPolls)
}

// begin reads up to where nothing is left, so that there is a cursor.
func (p *polling) begin() {
	p.b.t.Helper()
	p.drain()
	p.b.publish(1)
	p.drain()
}

func (p *polling) catchUp(ids []string) {
	p.b.t.Helper()
	p.drain()
	if len(p.b.store.allGaps()) == 0 {
		p.b.store.expect(p.b.t, ids)
	}
}

// streaming drives a Streamer.
type streaming struct {
	b        *bench
	streamer listen.Streamer
	end      func()
	take     listen.Take
}

// newStreaming opens the connector as a Streamer; where it is none the test is skipped.
func newStreaming(b *bench) *streaming {
	b.t.Helper()
	s := &streaming{b: b, take: b.store.take}
	b.t.Cleanup(func() { s.close() })
	s.renew()
	if b.n.AwaitStream == nil {
		b.t.Fatal("the connector is a Streamer, and the network has no AwaitStream")
	}
	return s
}

func (s *streaming) close() {
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

func (s *streaming) renew() {
	s.b.t.Helper()
	s.close()
	c, end := s.b.open()
	s.end = end
	streamer, ok := c.(listen.Streamer)
	if !ok {
		s.b.t.Skip("the connector is no Streamer")
	}
	s.streamer = streamer
}

func (s *streaming) ask(ctx context.Context) error {
	return s.streamer.Stream(ctx, s.b.store.now(), s.take)
}

// stream is one that runs.
type stream struct {
	b      *bench
	cancel context.CancelFunc
	ended  chan error
}

// start streams from the stored cursor, and returns when the network knows of it, or where what comes again cannot be stored.
func (s *streaming) start() *stream {
	s.b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	running := &stream{b: s.b, cancel: cancel, ended: make(chan error, 1)}
	s.b.t.Cleanup(cancel)
	go func() { running.ended <- s.ask(ctx) }()
	limit, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	opened := make(chan error, 1)
	go func() { opened <- s.b.n.AwaitStream(limit) }()
	select {
	case err := <-running.ended:
		if !errors.Is(err, errNotStored) {
			s.b.t.Fatalf("stream: %v (%v)", err, errors.Unwrap(err))
		}
		running.ended <- err // for who waits
	case err := <-opened:
		if err != nil {
			s.b.t.Fatalf("no stream was opened: %v", err)
		}
	}
	return running
}

// stop ends the stream as a worker does that is told to end.
func (r *stream) stop() {
	r.b.t.Helper()
	r.cancel()
	if err := r.wait(); err != nil && !errors.Is(err, context.Canceled) {
		r.b.t.Errorf("the stream was told to end, and ends with: %v", err)
	}
}

// wait waits until the stream has ended by itself.
func (r *stream) wait() error {
	r.b.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		r.b.t.Fatal("the stream does not end")
		return nil
	}
}

// catchUp streams until something comes that is published now: what was before it is there by then, or was told to be a gap, or a poll
// brings it.
func (s *streaming) catchUp(ids []string) {
	s.b.t.Helper()
	running := s.start()
	last := s.b.publish(1)
	s.b.store.await(s.b.t, "what is published while it streams", func() bool { return s.b.store.lacks(last) == "" })
	running.stop()
	if s.b.store.lacks(ids) == "" || len(s.b.store.allGaps()) > 0 {
		return
	}
	poller, ok := s.streamer.(listen.Poller)
	if !ok {
		s.b.t.Errorf("no gap was reported: %s", s.b.store.lacks(ids))
		return
	}
	(&polling{b: s.b, poller: poller}).catchUp(ids)
}

// troubleOf fails where an error is no Trouble.
func troubleOf(t testing.TB, err error) *listen.Trouble {
	t.Helper()
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) {
		t.Fatalf("it ends with %v, which is no Trouble", err)
	}
	if trouble.Message == "" || len(trouble.Message) > 400 {
		t.Errorf("a trouble's message has %d bytes: %q", len(trouble.Message), trouble.Message)
	}
	if !isSentence(trouble.Message) {
		t.Errorf("a trouble's message is no whole sentence: %q", trouble.Message)
	}
	return trouble
}

// isSentence tells whether a text can stand by itself: it begins with a capital, or with the name of a host, and has an end.
func isSentence(text string) bool {
	first, _, _ := strings.Cut(text, " ")
	begins := strings.ContainsAny(first, ".:") || first != strings.ToLower(first)
	return begins && (strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?"))
}
