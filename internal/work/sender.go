package work

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// jobAge is how old what is known of a send may get; a changed template or relay is used after that.
const jobAge = time.Second

// sender hands the messages of a tenant's sends over.
type sender struct {
	*tenant
	wake     chan struct{} // a slot is free
	finished chan struct{} // nothing of a send is worked on any more: it may be completed
	chunks   sync.WaitGroup

	mu       sync.Mutex
	channels map[string]*channel
	jobs     map[int64]*job
	leases   map[store.Lease]struct{}
	resting  map[int64]time.Time // sends that cannot be worked on, and until when they are let alone

	permit permitNotice // these are used by round alone
	turns  turns
}

func newSender(t *tenant) *sender {
	return &sender{
		tenant: t, wake: make(chan struct{}, 1), finished: make(chan struct{}, 1),
		channels: map[string]*channel{}, jobs: map[int64]*job{}, leases: map[store.Lease]struct{}{},
		resting: map[int64]time.Time{},
	}
}

// run works until ctx ends, then finishes within the grace period what was begun.
func (s *sender) run(ctx context.Context) {
	drain, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.o.Grace, stop) })()
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		s.repeat(drain, "leases", s.o.Lease/3, nil, health.Within(s.o.StatementLimit, s.renew))
	}()
	s.repeat(ctx, "send", s.o.SendPoll, s.wake, func(ctx context.Context) error { return s.round(ctx, drain) })
	s.chunks.Wait()
	s.closePaces(drain)
	stop()
	<-renewed
	for _, c := range s.channels {
		c.close()
	}
}

// signal wakes whoever waits on a channel of capacity one, once.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// round gives every free slot to a send with work to do, in turns, so that one campaign does not wait for another's end. An
// urgent one that finds no slot has the mass mails on its channel make room.
func (s *sender) round(ctx, drain context.Context) error {
	if err := s.announce(ctx); err != nil {
		return err
	}
	sends, err := s.sendable(ctx)
	if err != nil {
		return err
	}
	exhausted := s.restingSends()
	full := map[store.SendableSend]bool{} // channels without a free slot, for urgent sends and for others
	for {
		send, ok := s.turns.next(sends, func(send store.SendableSend) bool {
			return !exhausted[send.ID] && !full[store.SendableSend{Channel: send.Channel, Urgent: send.Urgent}]
		})
		if !ok {
			break
		}
		begun, err := s.begin(ctx, drain, send)
		switch {
		case errors.Is(err, store.ErrNotFound):
			exhausted[send.ID] = true
		case err != nil:
			return err
		case begun:
			s.turns.took(send.ID)
		default:
			full[store.SendableSend{Channel: send.Channel, Urgent: send.Urgent}] = true
		}
	}
	s.turns.forget(sends)
	for _, send := range sends {
		s.channel(send.Channel).yields.Store(full[store.SendableSend{Channel: send.Channel, Urgent: true}])
	}
	return nil
}

func (s *sender) sendable(ctx context.Context) ([]store.SendableSend, error) {
	step, cancel := health.Step(ctx, s.o.StatementLimit)
	defer cancel()
	sends, permitted, err := s.db.SendableSends(step)
	if err == nil {
		s.permit.note(ctx, s.tenant, permitted)
	}
	return sends, err
}

// lease asks for a chunk even where the worker is told to stop meanwhile: a statement that is given up may have leased one already,
// which nobody would know of.
func (s *sender) lease(ctx, drain context.Context, sendID int64) (store.Lease, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Lease{}, err
	}
	drain, cancel := health.Step(drain, s.o.StatementLimit)
	defer cancel()
	return s.db.LeaseChunk(drain, sendID, s.o.ID, s.o.Lease)
}

// begin leases a chunk of a send and works on it in the background, where its channel has a slot.
func (s *sender) begin(ctx, drain context.Context, send store.SendableSend) (bool, error) {
	c := s.channel(send.Channel)
	if !c.pacer.open(classOf(send.Urgent)) {
		return false, store.ErrNotFound
	}
	if !c.takeSlot(send.Urgent) {
		return false, nil
	}
	lease, err := s.lease(ctx, drain, send.ID)
	if err != nil {
		c.giveSlot()
		return false, err
	}
	if lease.TakenOver {
		s.o.Metrics.measures.takeovers.WithLabelValues(s.id).Inc()
	}
	s.hold(lease, c)
	s.chunks.Go(func() {
		defer signal(s.wake)
		defer c.giveSlot()
		defer s.release(lease, c)
		watched := s.watch.Begin(s.id, "chunk on channel "+c.name, 0)
		defer watched.End()
		s.work(health.NewContext(ctx, watched), health.NewContext(drain, watched), c, lease, send.Urgent)
	})
	return true, nil
}

// work hands over what a chunk holds, as soon as there is room for it, and gives the chunk back.
func (s *sender) work(ctx, drain context.Context, c *channel, lease store.Lease, urgent bool) {
	if !c.circuit.closed() { // the channel failed while the chunk was being leased
		s.giveBack(drain, lease)
		return
	}
	run := &chunkRun{sender: s, channel: c, lease: lease, urgent: urgent}
	defer func() { c.room.give(run.held) }()
	if ready, err := run.prepare(ctx); err != nil || !ready {
		if err != nil && ctx.Err() == nil {
			logr.FromContextOrDiscard(ctx).Error(store.Brief(err), "cannot work on this send, and lets it rest", "send", lease.SendID)
			s.rest(lease.SendID, err)
		}
		s.giveBack(drain, lease)
		return
	}
	if err := run.connect(); err != nil {
		c.report(ctx, nil, err)
		s.giveBack(drain, lease)
		return
	}
	defer c.doneWith(run.transport)
	run.run(ctx, drain)
}

func (s *sender) pending(ctx context.Context, lease store.Lease) ([]store.PendingRow, error) {
	ctx, cancel := health.Step(ctx, s.o.StatementLimit)
	defer cancel()
	return s.db.PendingRows(ctx, lease)
}

// restAfterTrouble is how long a send is let alone that could not be worked on. A connection that was lost is not the send's
// trouble: it is tried again with the next look for work.
const restAfterTrouble = 10 * time.Second

func (s *sender) rest(sendID int64, err error) {
	length := restAfterTrouble
	if store.IsUnavailable(err) {
		length = s.o.SendPoll
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting[sendID] = s.o.Now().Add(length)
}

func (s *sender) restingSends() map[int64]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	resting := map[int64]bool{}
	for id, until := range s.resting {
		if s.o.Now().Before(until) {
			resting[id] = true
		} else {
			delete(s.resting, id)
		}
	}
	return resting
}

func (s *sender) giveBack(drain context.Context, lease store.Lease) {
	ctx, cancel := health.Step(drain, s.o.StatementLimit)
	defer cancel()
	if err := s.db.FinishChunk(ctx, lease, nil); err != nil {
		// The lease runs out by itself.
		logr.FromContextOrDiscard(drain).V(1).Info("cannot give a chunk back", "send", lease.SendID, "error", err.Error())
	}
}

func (s *sender) channel(name string) *channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[name]
	if c == nil {
		c = newChannel(s.tenant, name)
		c.pacer.wake = func() { signal(s.wake) }
		s.channels[name] = c
	}
	return c
}

// announce tells the operator what was learnt of the channels.
func (s *sender) announce(ctx context.Context) error {
	s.mu.Lock()
	channels := make([]*channel, 0, len(s.channels))
	for _, c := range s.channels {
		channels = append(channels, c)
	}
	s.mu.Unlock()
	for _, c := range channels {
		if err := health.Within(s.o.StatementLimit, c.announce)(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) hold(lease store.Lease, c *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases[lease] = struct{}{}
	s.o.Metrics.Leases.WithLabelValues(s.id, c.name).Inc()
}

func (s *sender) release(lease store.Lease, c *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, lease)
	s.o.Metrics.Leases.WithLabelValues(s.id, c.name).Dec()
	for other := range s.leases {
		if other.SendID == lease.SendID {
			return
		}
	}
	signal(s.finished)
}

// renew keeps the leases of the chunks that are being worked on.
func (s *sender) renew(ctx context.Context) error {
	s.mu.Lock()
	leases := make([]store.Lease, 0, len(s.leases))
	for l := range s.leases {
		leases = append(leases, l)
	}
	s.mu.Unlock()
	return s.db.RenewLeases(ctx, leases, s.o.Lease)
}

// job returns what is known of a send, read again when it may have changed. Templates that have not changed are not
// compiled again.
func (s *sender) job(ctx context.Context, sendID int64) (*job, error) {
	s.mu.Lock()
	known := s.jobs[sendID]
	s.mu.Unlock()
	if known != nil && s.o.Now().Sub(known.readAt) < jobAge {
		return known, nil
	}
	ctx, cancel := health.Step(ctx, s.o.StatementLimit)
	defer cancel()
	stored, err := s.db.LoadSendJob(ctx, sendID)
	if err != nil {
		return nil, err
	}
	j, err := newJob(stored, known, s.o.Now)
	if err == nil {
		j.prepareSigning(s.channelCredentials(j.Channel.Name), known)
		err = j.number(ctx, s.db)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, old := range s.jobs {
		if s.o.Now().Sub(old.readAt) > time.Minute {
			delete(s.jobs, id)
		}
	}
	s.jobs[sendID] = j
	return j, nil
}
