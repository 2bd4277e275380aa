package work

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

const (
	// abandonTimeout is how long connections that are closed may take to tell what became of their messages, and
	// lastWriteTimeout how long it may take to write that. Options.Grace leaves room for both.
	abandonTimeout   = time.Second
	lastWriteTimeout = 2 * time.Second
)

// chunkRun is the work on one leased chunk: micro-batches of intents are committed one after the other, each together
// with the outcomes that are known by then, and handed over while the next one is committed.
type chunkRun struct {
	*sender
	channel   *channel
	job       *job
	transport deliver.Transport
	lease     store.Lease
	log       logr.Logger

	rows     []int64            // those to be tried yet
	known    []store.Settlement // outcomes that are not known to be written yet
	inFlight int
	done     chan []store.Settlement
}

// run works through the chunk once. When ctx ends no further intents are committed; what was handed over is settled
// until drain ends, and what is known by then is written.
func (r *chunkRun) run(ctx, drain context.Context) {
	r.done = make(chan []store.Settlement, batchesInFlight)
	for more := true; more && len(r.rows) > 0 && ctx.Err() == nil; {
		limit := r.channel.circuit.admit(batchRows(r.job.Channel.Email.Connections))
		if limit == 0 {
			break
		}
		judged := time.Now() // at the earliest
		var batch store.Batch
		batch, more = r.commit(drain, limit)
		if len(batch.Recipients) == 0 {
			r.channel.circuit.untold()
			continue
		}
		r.handOver(ctx, batch, judged)
		most := batchesInFlight - 1
		if limit == 1 {
			most = 0 // a single message that tries a channel in trouble decides about the rest
		}
		r.collect(drain, most)
	}
	if !r.collect(drain, 0) {
		r.abandon()
	}
	r.finish(drain)
}

// commit commits the next micro-batch with the outcomes so far. more is false when this worker must not go on with the
// chunk.
func (r *chunkRun) commit(drain context.Context, limit int) (batch store.Batch, more bool) {
	ctx, span := tracing.Start(drain, "commit intents")
	ctx, cancel := health.Step(ctx, r.o.StatementLimit)
	defer cancel()
	limit = min(limit, len(r.rows))
	batch, err := r.db.CommitBatch(ctx, store.BatchRequest{
		Lease: r.lease, Settlements: r.known, Rows: r.rows[:limit], Attributes: r.job.Attributes,
	})
	span.SetAttributes(tracing.Count("intents", len(batch.Recipients)), tracing.Count("outcomes", len(r.known)), tracing.Count("skipped", batch.Skipped))
	endSpan(span, err)
	switch {
	case errors.Is(err, store.ErrCommitUnknown):
		// The recipients were not handed anything. Should the commit have happened, their intents are undone; should
		// it not, that and the repeated outcomes change nothing or what is due.
		for _, a := range batch.Attempts() {
			r.known = append(r.known, a.Undone())
		}
		r.log.Info("the connection was lost during a commit", "error", store.Brief(err).Error())
		return store.Batch{}, false
	case err != nil:
		r.log.Info("cannot commit intents", "error", store.Brief(err).Error())
		return store.Batch{}, false
	}
	r.written(batch.Skipped)
	r.rows = r.rows[limit:]
	return batch, batch.Held && batch.Runs
}

// written counts what is in the ledger now.
func (r *chunkRun) written(skipped int) {
	if len(r.known) > 0 || skipped > 0 {
		r.notes.touch(r.job.Campaign)
	}
	messages := r.o.Metrics.Messages
	for _, s := range r.known {
		messages.WithLabelValues(r.id, r.channel.name, outcomeLabel(s)).Inc()
	}
	if skipped > 0 {
		messages.WithLabelValues(r.id, r.channel.name, string(campaign.RowSkipped)).Add(float64(skipped))
	}
	r.known = nil
}

// outcomes are all that messages are counted by.
var outcomes = []string{
	string(campaign.RowSent), string(campaign.RowFailed), string(campaign.RowAmbiguous), string(campaign.RowSkipped), "deferred", "undone",
}

func outcomeLabel(s store.Settlement) string {
	switch {
	case s.State != campaign.RowPending:
		return string(s.State)
	case s.RetryIn > 0:
		return "deferred"
	}
	return "undone"
}

// handOver writes the messages of a batch and hands them over, in the background.
func (r *chunkRun) handOver(ctx context.Context, batch store.Batch, judged time.Time) {
	r.inFlight++
	ctx, span := tracing.Start(ctx, "hand over", tracing.Channel(r.channel.name))
	watched := r.watch.Begin(r.id, "hand-over on channel "+r.channel.name, r.o.StatementLimit) // of which writing takes a fraction
	go func() {
		defer watched.End()
		settlements, messages, attempts := r.write(batch)
		switch {
		case len(messages) == 0:
			r.channel.circuit.untold()
		case time.Since(judged) > r.o.Lease:
			// This process was stopped for so long that others have taken it for dead. What was judged then (consent,
			// suspension) is not handed over now.
			r.channel.circuit.untold()
			for _, a := range attempts {
				settlements = append(settlements, a.Undone())
			}
		default:
			results, err := r.deliver(ctx, watched, messages)
			if ctx.Err() == nil {
				r.channel.report(ctx, results, err)
			}
			for i, a := range attempts {
				result := deliver.Result{Outcome: deliver.Unknown}
				if i < len(results) {
					result = results[i]
				}
				settlements = append(settlements, r.settle(a, result))
			}
		}
		endHandOver(span, settlements)
		r.o.Metrics.BatchSeconds.WithLabelValues(r.id, r.channel.name).Observe(time.Since(judged).Seconds())
		r.done <- settlements
	}()
}

// errSlowRelay ends the hand-over of a batch whose relay takes the time that the protocol allows, message by message.
var errSlowRelay = errors.New("the relay is slow: the rest of a batch is handed over later")

// deliver hands a batch over, and begins no more messages of it when that has taken too long.
func (r *chunkRun) deliver(ctx context.Context, watched *health.Loop, messages []deliver.Message) ([]deliver.Result, error) {
	largest := 0
	for _, m := range messages {
		largest = max(largest, len(m.Data))
	}
	watched.Beat(r.o.HandOver + r.transport.Patience(largest))
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.HandOver, errSlowRelay)
	defer cancel()
	return r.transport.Deliver(ctx, messages)
}

// write writes the messages of a batch. Who cannot be written to, because the template fails for what is known of them,
// is settled at once and does not keep the others waiting.
func (r *chunkRun) write(batch store.Batch) (settlements []store.Settlement, messages []deliver.Message, attempts []store.Attempt) {
	messages = make([]deliver.Message, 0, len(batch.Recipients))
	attempts = make([]store.Attempt, 0, len(batch.Recipients))
	for _, recipient := range batch.Recipients {
		message, err := r.job.write(recipient)
		if err != nil {
			settlements = append(settlements, store.Settlement{
				Attempt: recipient.Attempt, State: campaign.RowFailed, Reason: "NotWritten", Reply: err.Error(),
			})
			continue
		}
		messages = append(messages, message)
		attempts = append(attempts, recipient.Attempt)
	}
	return settlements, messages, attempts
}

// settle decides what a transport's result means for a row.
func (r *chunkRun) settle(a store.Attempt, result deliver.Result) store.Settlement {
	s := store.Settlement{Attempt: a, Reply: result.Reply}
	switch result.Outcome {
	case deliver.Accepted:
		s.State = campaign.RowSent
	case deliver.Refused:
		s.State = campaign.RowFailed
	case deliver.Unknown:
		s.State = campaign.RowAmbiguous
	case deliver.Deferred:
		delay, again := campaign.RetryDeferred(r.o.Deferral, r.job.FrozenAt, r.o.Now(), a.Number, seedOf(r.lease.SendID, a.Seq))
		s.State, s.RetryIn = campaign.RowPending, delay
		if !again {
			s.State, s.Reason = campaign.RowFailed, "DeferredTooLong"
		}
	case deliver.Untouched:
		return a.Undone()
	}
	return s
}

// seedOf spreads the retries of neighbouring rows.
func seedOf(sendID, seq int64) uint64 { return uint64(sendID)<<32 ^ uint64(seq) } //nolint:gosec // any bits will do

// watchedElsewhere is for how long a chunk waits for its hand-overs: each of them is watched by itself.
const watchedElsewhere = 24 * time.Hour

// collect waits until at most so many batches are in flight. It returns false when ctx ends first.
func (r *chunkRun) collect(ctx context.Context, most int) bool {
	for r.inFlight > most {
		health.Wait(ctx, watchedElsewhere)
		select {
		case settlements := <-r.done:
			r.inFlight--
			r.known = append(r.known, settlements...)
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// abandon ends the hand-overs that the grace period was too short for. What was not offered is pending again, and only a
// message that the relay has taken and not answered for is ambiguous.
func (r *chunkRun) abandon() {
	r.log.Info("stopped before every outcome was known")
	go func() { _ = r.transport.Close() }() // it waits for QUIT to be answered
	limit, cancel := context.WithTimeout(context.Background(), abandonTimeout)
	defer cancel()
	r.collect(limit, 0)
}

// finish writes the last outcomes and gives the chunk back. While the database cannot be used it keeps what it knows and
// tries again; when the grace period is over, once more.
func (r *chunkRun) finish(drain context.Context) {
	for attempt := 1; drain.Err() == nil; attempt++ {
		ctx, cancel := health.Step(drain, r.o.StatementLimit)
		err := r.db.FinishChunk(ctx, r.lease, r.known)
		cancel()
		if err == nil {
			r.written(0)
			return
		}
		if attempt == 1 {
			r.log.Info("cannot write outcomes, and keeps them", "error", store.Brief(err).Error(), "outcomes", len(r.known))
		}
		pause := r.o.DatabaseBackoff.Delay(attempt, seedOf(r.lease.SendID, r.lease.FirstSeq))
		health.Wait(drain, pause)
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-drain.Done():
			wait.Stop()
		}
	}
	ctx, cancel := health.Step(context.WithoutCancel(drain), lastWriteTimeout)
	defer cancel()
	if err := r.db.FinishChunk(ctx, r.lease, r.known); err != nil {
		r.log.Info("stopped before outcomes could be written", "error", err.Error(), "outcomes", len(r.known))
		return
	}
	r.written(0)
}
