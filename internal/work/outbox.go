package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// outboxChannels is over how many channels a worker posts at once: one that hangs keeps no other waiting.
	outboxChannels = 16
	// givenUpAtOnce bounds how many postings are given up in one statement.
	givenUpAtOnce = 500
)

// postingBackoff is how long a posting waits that did not arrive: an endpoint that is down for hours is not asked all the time.
var postingBackoff = campaign.Backoff{First: 5 * time.Second, Max: time.Hour}

// outboxLoop posts what rules tell, what answers people and what accounts publish: each channel by itself.
type outboxLoop struct {
	*tenant

	mu      sync.Mutex
	desks   map[string]*desk
	busy    map[string]bool
	failed  error // of channels, since it was last told
	swept   time.Time
	running sync.WaitGroup
}

func newOutboxLoop(t *tenant) *outboxLoop {
	return &outboxLoop{tenant: t, desks: map[string]*desk{}, busy: map[string]bool{}}
}

// round begins with every channel over which something is due, or of which it is not known as whom it posts. It waits for none.
func (l *outboxLoop) round(ctx context.Context) error {
	if err := l.sweep(ctx); err != nil {
		return err
	}
	names, err := l.due(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		l.begin(ctx, name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err, l.failed = l.failed, nil
	return err
}

func (l *outboxLoop) sweep(ctx context.Context) error {
	if l.o.Now().Sub(l.swept) < l.o.SweepPoll {
		return nil
	}
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	for {
		n, err := l.rules.SweepOutbox(ctx, givenUpAtOnce, l.o.IntentAge)
		if err != nil {
			return err
		}
		if n < givenUpAtOnce {
			l.swept = l.o.Now()
			return nil
		}
	}
}

// due names the channels with which there is something to be done.
func (l *outboxLoop) due(ctx context.Context) ([]string, error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	names, err := l.rules.DueChannels(ctx)
	if err != nil {
		return nil, err
	}
	social, err := l.db.SocialChannels(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range social {
		if l.desk(c.Name).mustLogIn(c) {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// desk is what is kept of a channel.
func (l *outboxLoop) desk(name string) *desk {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.desks[name]
	if d == nil {
		d = newDesk(l.tenant, name)
		l.desks[name] = d
	}
	return d
}

// begin works for a channel in the background, unless that is done already, or the channel is left alone for a while.
func (l *outboxLoop) begin(ctx context.Context, name string) {
	d := l.desk(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[name] || len(l.busy) >= outboxChannels || !d.wants() {
		return
	}
	l.busy[name] = true
	l.running.Go(func() {
		watched := l.watch.Begin(l.id, "outbox of channel "+name, l.o.StatementLimit)
		defer watched.End()
		err := d.run(health.NewContext(ctx, watched))
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.busy, name)
		if err != nil && ctx.Err() == nil {
			l.failed = errors.Join(l.failed, fmt.Errorf("channel %q: %w", name, err))
		}
	})
}

// close waits for what is being posted, and ends the connections.
func (l *outboxLoop) close() {
	l.running.Wait()
	for _, d := range l.desks {
		d.close()
	}
}

// hold keeps postings while they are in hand: they belong to a worker that does not renew its lease for Options.Lease. The context that it returns
// ends when they cannot be kept: others may take them then, and nothing more is handed over. Call the function when they are over.
func (t *tenant) hold(ctx context.Context, list []store.Posting) (context.Context, func()) {
	ctx, lost := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	ended := make(chan struct{})
	renewing.Go(func() {
		ticker := time.NewTicker(t.o.Lease / 4)
		defer ticker.Stop()
		until := time.Now().Add(t.o.Lease)
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			asked := time.Now()
			renewal, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.o.Lease/4)
			n, err := t.rules.RenewPostings(renewal, list, t.o.Lease)
			cancel()
			switch {
			case err == nil && n > 0:
				until = asked.Add(t.o.Lease)
			case err == nil || time.Until(until) < t.o.Lease/4:
				lost(store.ErrPostingLost)
				return
			}
		}
	})
	return ctx, func() {
		close(ended)
		renewing.Wait()
		lost(nil)
	}
}
