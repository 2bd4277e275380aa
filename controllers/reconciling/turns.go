package reconciling

import (
	"context"
	"sync"
	"time"
)

// Tenants' databases belong to tenants: one may hang, or hold a lock for ever, and must hold up nobody else's objects. Few
// passes over a kind run side by side. One that takes long makes room for others, and waits beside them; while several passes
// over objects of one namespace do, no further one of that namespace begins.
const (
	places = 4
	// slowAfter is when a pass makes room for others.
	slowAfter = 5 * time.Second
	// slowest is how many slow passes a namespace may have.
	slowest = 3
	// workers are how many passes there can be, slow ones and those that wait for their turn included.
	workers = 32
	// passLimit is how long a pass may take, but for what it does patiently.
	passLimit = time.Minute
	// patienceLimit is how long it may take then: a table as large as they come has an index by that time.
	patienceLimit = 6 * time.Hour
	// verdictLimit is how long it may take to write how a pass ended that has used up its time.
	verdictLimit = 10 * time.Second
)

// turns share the workers of a kind's controller between namespaces.
type turns struct {
	running   chan struct{} // holds one for each pass that is not slow
	slowAfter time.Duration

	mu   sync.Mutex
	slow map[string]int // by namespace
}

func newTurns() *turns {
	return &turns{running: make(chan struct{}, places), slowAfter: slowAfter, slow: map[string]int{}}
}

// begin waits for the turn of a pass over an object of a namespace. It returns what ends the turn, and false where the
// namespace has enough passes that are slow, or the context has ended.
func (t *turns) begin(ctx context.Context, namespace string) (end func(), ok bool) {
	if t.full(namespace) {
		return nil, false
	}
	select {
	case t.running <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	if t.full(namespace) { // by now
		<-t.running
		return nil, false
	}
	timer := time.AfterFunc(t.slowAfter, func() {
		t.count(namespace, 1)
		<-t.running
	})
	return func() {
		if timer.Stop() {
			<-t.running
			return
		}
		t.count(namespace, -1)
	}, true
}

func (t *turns) full(namespace string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.slow[namespace] >= slowest
}

func (t *turns) count(namespace string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slow[namespace] += n
	if t.slow[namespace] == 0 {
		delete(t.slow, namespace)
	}
}

type unhurriedKey struct{}

// hurried bounds what a pass does, and keeps the way back for what it does patiently.
func hurried(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(ctx, unhurriedKey{}, ctx), limit)
}

// Patiently is the context of a pass for what takes as long as a table is large: migrations and the building of indexes.
func Patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	if unhurried, ok := ctx.Value(unhurriedKey{}).(context.Context); ok {
		ctx = unhurried
	}
	return context.WithTimeout(ctx, patienceLimit)
}

// forVerdict is a context in which to write how a pass ended, also when that has used up its time.
func forVerdict(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == context.DeadlineExceeded { //nolint:errorlint // of a context it is the error itself
		return context.WithTimeout(context.WithoutCancel(ctx), verdictLimit)
	}
	return context.WithCancel(ctx)
}
