package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// ledgerHands is how many chunks are worked on at a time, as by a worker with one channel.
	ledgerHands = 2
	// ledgerReply is what relays say of a message that they took.
	ledgerReply = "2.0.0 Ok: queued as 4Qk2fW1bQzz9sZ"
)

// measureLedger takes a campaign's recipients through the ledger and hands nothing over. Beside it the two updates of each row that a
// durable ledger cannot do without are made, and nothing else, in a copy of its table.
func measureLedger(ctx context.Context, s Settings) (rows []Row, err error) {
	at, err := s.scratch(ctx, "ledger-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	tenant, err := newSendTenant(ctx, at, s.Messages)
	if err != nil {
		return nil, err
	}
	defer tenant.Close()
	if _, err := tenant.declare(ctx, "127.0.0.1:1", s.Connections); err != nil {
		return nil, err
	}
	if _, err := tenant.copyLedger(ctx); err != nil {
		return nil, err
	}
	if _, err := tenant.Pool.Exec(ctx, "vacuum analyze copied"); err != nil {
		return nil, fmt.Errorf("gather the copy's statistics: %w", err)
	}
	batch := max(1, s.Connections*15/4) // as a worker's with so many connections
	whole, err := tenant.timeOfServer(ctx, func(ctx context.Context) error { return tenant.workOff(ctx, batch) })
	if err != nil {
		return nil, err
	}
	counts, err := tenant.outcomes(ctx)
	if err == nil && counts["sent"] != int64(s.Messages) {
		err = fmt.Errorf("the outcomes are %v: %d were to be sent", counts, s.Messages)
	}
	if err != nil {
		return nil, err
	}
	bare, err := tenant.timeOfServer(ctx, func(ctx context.Context) error { return tenant.updateTwice(ctx, s.Messages, batch) })
	if err != nil {
		return nil, err
	}
	each := func(t time.Duration) float64 { return float64(t.Nanoseconds()) / 1e3 / float64(s.Messages) }
	row := Time("send/ledger", "µs", each(whole.cpu), each(bare.cpu))
	row.CPUSeconds = whole.cpu.Seconds()
	row.Note = fmt.Sprintf("PostgreSQL's CPU time for each of %d recipients, judged and with intents and outcomes committed, at most %d at a time; "+
		"%.4g/s with nothing handed over; bound: two updates of each row of such a table by its key and nothing else, as many to a transaction; %.4g/s",
		s.Messages, batch, perSecond(s.Messages, whole.took), perSecond(s.Messages, bare.took))
	return []Row{row}, nil
}

// ledgerTime is what work on the ledger took: by the clock, and of the server's processors.
type ledgerTime struct{ took, cpu time.Duration }

func (t *sendTenant) timeOfServer(ctx context.Context, work func(context.Context) error) (spent ledgerTime, err error) {
	if err := settle(ctx, t.DB); err != nil {
		return spent, err
	}
	before, err := t.databaseTime()
	if err != nil {
		return spent, err
	}
	began := time.Now()
	if err := work(ctx); err != nil {
		return spent, err
	}
	spent.took = time.Since(began)
	after, err := t.databaseTime()
	spent.cpu = after - before
	return spent, err
}

// withHands has several work side by side.
func withHands(work func(hand int) error) error {
	failed := make([]error, ledgerHands)
	var all sync.WaitGroup
	for hand := range ledgerHands {
		all.Go(func() { failed[hand] = work(hand) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// workOff commits the intents and outcomes of every recipient.
func (t *sendTenant) workOff(ctx context.Context, batch int) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	job, err := t.LoadSendJob(ctx, t.sendID)
	if err != nil {
		return err
	}
	return withHands(func(hand int) error {
		for {
			lease, err := t.LeaseChunk(ctx, t.sendID, fmt.Sprint("hand", hand), time.Minute)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err == nil {
				err = t.workOffChunk(ctx, lease, job, batch)
			}
			if err != nil {
				return err
			}
		}
	})
}

// workOffChunk does so for a chunk, in batches of one size.
func (t *sendTenant) workOffChunk(ctx context.Context, lease store.Lease, job store.SendJob, batch int) error {
	pending, err := t.PendingRows(ctx, lease)
	if err != nil {
		return err
	}
	var settlements []store.Settlement
	batches := (len(pending) + batch - 1) / batch
	for i := range batches {
		committed, err := t.CommitBatch(ctx, store.BatchRequest{
			Lease: lease, Settlements: settlements, Rows: pending[len(pending)*i/batches : len(pending)*(i+1)/batches],
			Attributes: job.Attributes, Terms: job.Terms, Tracked: true,
		})
		if err != nil {
			return err
		}
		settlements = nil
		for _, a := range committed.Attempts() {
			settlements = append(settlements, store.Settlement{Attempt: a, State: campaign.RowSent, Reply: ledgerReply})
		}
	}
	return t.FinishChunk(ctx, lease, settlements)
}

// updateTwice writes every row of the ledger's copy for an intent and for an outcome: what one transaction began the next one ends.
func (t *sendTenant) updateTwice(ctx context.Context, n, batch int) error {
	return withHands(func(hand int) error {
		var begun []int64
		last := n * (hand + 1) / ledgerHands
		for first := n*hand/ledgerHands + 1; first <= last || len(begun) > 0; first += batch {
			var next []int64
			for seq := first; seq < first+batch && seq <= last; seq++ {
				next = append(next, int64(seq))
			}
			var queue pgx.Batch
			queue.Queue(endSQL, t.sendID, begun, ledgerReply)
			queue.Queue(beginSQL, t.sendID, next)
			if err := t.Pool.SendBatch(ctx, &queue).Close(); err != nil {
				return fmt.Errorf("update the ledger's copy: %w", err)
			}
			begun = next
		}
		return nil
	})
}

const (
	beginSQL = `update copied set state = 'intent', epoch = 1, attempts = 1, intent_at = now() where send_id = $1 and seq = any ($2::bigint[])`
	endSQL   = `update copied set state = 'sent', settled_at = now(), reply = $3 where send_id = $1 and seq = any ($2::bigint[])`
)
