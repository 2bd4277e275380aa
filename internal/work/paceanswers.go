package work

import (
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// growEvery is how often success with a receiver that is held back is written down.
	growEvery = time.Second
	// namedReceivers is how many receivers metrics name: those with the most people. The others are one.
	namedReceivers = 20
	// nameEvery is how often it is asked which those are.
	nameEvery = time.Minute
	// mostLearned bounds what is written down after a batch: of many small receivers that defer, some.
	mostLearned = 20
	// otherReceivers is what metrics call the rest.
	otherReceivers = "other"
)

// report learns from what receivers said to the messages of a batch: the results are those of attempts, of rows that were
// admitted and are in the order of their numbers; took is how long it was handed over.
func (p *pacer) report(ctx context.Context, rows []store.PendingRow, attempts []store.Attempt, results []deliver.Result, took time.Duration) {
	if !slices.ContainsFunc(results, deferred) && p.free.Load() {
		return
	}
	answers := map[int32]*pace.Answers{}
	p.mu.Lock()
	for i, a := range attempts[:min(len(attempts), len(results))] {
		receiver := receiverOf(rows, a.Seq)
		if results[i].Outcome != deliver.Accepted && !deferred(results[i]) {
			continue
		}
		if deferred(results[i]) {
			p.tenant.o.Metrics.pace.deferrals.WithLabelValues(p.tenant.id, p.channel, p.nameOf(receiver)).Inc()
		}
		if receiver == 0 {
			continue
		}
		if answers[receiver] == nil {
			answers[receiver] = &pace.Answers{}
		}
		answers[receiver].Hears(results[i].Outcome == deliver.Accepted, results[i].Code, results[i].Reply)
	}
	learned := p.plan(answers, took)
	p.mu.Unlock()
	for _, l := range learned {
		p.learn(ctx, l)
	}
}

// deferred tells whether a server put a message off, and not the connection's end.
func deferred(r deliver.Result) bool { return r.Outcome == deliver.Deferred && r.Code != 0 }

// receiverOf finds the receiver of a row.
func receiverOf(rows []store.PendingRow, seq int64) int32 {
	i := sort.Search(len(rows), func(i int) bool { return rows[i].Seq >= seq })
	if i == len(rows) || rows[i].Seq != seq {
		return 0
	}
	return rows[i].Receiver
}

// plan tells what is to be remembered of receivers by their answers.
func (p *pacer) plan(answers map[int32]*pace.Answers, took time.Duration) []store.Learned {
	var learned []store.Learned
	limit := pace.Rate(p.view.Limits.PerDomainPerSecond)
	now := p.tenant.o.Now()
	for _, receiver := range slices.Sorted(maps.Keys(answers)) {
		a := answers[receiver]
		held := p.view.HeldBack[receiver].HeldBack()
		l := store.Learned{Channel: p.channel, Receiver: receiver}
		switch {
		case a.PushesBack(held):
			offered := pace.Rate(float64(a.Accepted+a.Busy+a.Later) / max(took, time.Millisecond).Seconds())
			seed := seedOf(int64(receiver), now.UnixNano())
			l.Change = func(r pace.Receiver, now time.Time) pace.Receiver {
				return r.Deferred(now, limit, offered, p.tenant.o.PauseBackoff, seed)
			}
		case held && a.Accepted > 0 && now.Sub(p.grown[receiver]) >= growEvery:
			l.Change = func(r pace.Receiver, now time.Time) pace.Receiver { return r.Accepted(now, limit) }
		default:
			continue
		}
		if p.grown[receiver] = now; len(learned) < mostLearned {
			learned = append(learned, l)
		}
	}
	return learned
}

// learn writes down what was learnt of a receiver, where all workers find it.
func (p *pacer) learn(ctx context.Context, l store.Learned) {
	ctx, cancel := health.Step(ctx, p.tenant.o.StatementLimit)
	defer cancel()
	after, err := p.tenant.db.LearnOfReceiver(ctx, l)
	if err != nil {
		logr.FromContextOrDiscard(ctx).Info("cannot record how a receiver takes mail", "channel", p.channel, "error", store.Brief(err).Error())
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view.HeldBack == nil {
		p.view.HeldBack = map[int32]pace.Receiver{}
	}
	if after.HeldBack() {
		if _, named := p.names[l.Receiver]; !named && !p.view.HeldBack[l.Receiver].HeldBack() {
			p.namedAt = time.Time{} // it may be of a campaign that has begun since
		}
		p.view.HeldBack[l.Receiver] = after
		p.free.Store(false)
		return
	}
	delete(p.view.HeldBack, l.Receiver)
	delete(p.grown, l.Receiver)
}

// nameOf is what metrics call a receiver.
func (p *pacer) nameOf(receiver int32) string {
	if name, ok := p.names[receiver]; ok {
		return name
	}
	return otherReceivers
}

// nameReceivers finds out now and then which receivers have the most people. Metrics forget those that no longer do, so that
// there are never more.
func (p *pacer) nameReceivers(ctx context.Context) error {
	now := p.tenant.o.Now()
	if !p.namedAt.IsZero() && now.Sub(p.namedAt) < nameEvery {
		return nil
	}
	ctx, cancel := health.Step(ctx, p.tenant.o.StatementLimit)
	defer cancel()
	names, err := p.tenant.db.LargeReceivers(ctx, p.channel, namedReceivers)
	if err != nil {
		return err
	}
	for id, name := range p.names {
		if _, still := names[id]; !still {
			p.tenant.o.Metrics.pace.deferrals.DeleteLabelValues(p.tenant.id, p.channel, name)
		}
	}
	p.names, p.namedAt = names, now
	for receiver := range p.grown {
		if _, held := p.view.HeldBack[receiver]; !held {
			delete(p.grown, receiver)
		}
	}
	return nil
}
