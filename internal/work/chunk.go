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

// chunkRun is the work on one leased chunk: micro-batches of intents are committed one after the other, each together with
// the outcomes of the one before. While one chunk's are committed another one's keep the connections busy.
type chunkRun struct {
	*sender
	channel   *channel
	job       *job
	transport *connections
	lease     store.Lease
	urgent    bool
	share     share // that each micro-batch takes of the channel's room
	held      int   // of it, at the moment
	paced     paced
	hours     hours
	log       logr.Logger

	rows     []store.PendingRow // those to be tried yet
	known    []store.Settlement // outcomes that are not known to be written yet
	inFlight int
	open     map[*handing]struct{} // those in flight
	done     chan handed
}

// prepare reads what the chunk holds and waits until there is room to hand it over. It is not ready when ctx ends first.
func (r *chunkRun) prepare(ctx context.Context) (ready bool, err error) {
	if r.rows, err = r.pending(ctx, r.lease); err != nil {
		return false, err
	}
	if r.job, err = r.sender.job(ctx, r.lease.SendID); err != nil {
		return false, err
	}
	r.share = planShare(r.job.Channel.Connections(), len(r.rows), r.urgent)
	health.Wait(ctx, watchedElsewhere) // others' hand-overs
	if r.held = r.channel.room.take(ctx, r.share); r.held == 0 {
		return false, nil
	}
	health.Wait(ctx, 0) // nothing any more
	r.share.least, r.share.want = r.held, r.held
	r.job, err = r.sender.job(ctx, r.lease.SendID) // that may have taken long
	return err == nil, err
}

// connect finds the connections to hand over by. Who has some gives them back.
func (r *chunkRun) connect() (err error) {
	if r.job.trouble != nil {
		return r.job.trouble
	}
	r.transport, err = r.channel.useConnections(r.job.Channel)
	return err
}

// run works through the chunk once. When ctx ends no further intents are committed; what was handed over is settled
// until drain ends, and what is known by then is written.
func (r *chunkRun) run(ctx, drain context.Context) {
	ctx, drain, span := r.startChunk(ctx, drain, r.job, r.lease)
	defer span.End()
	r.log = logr.FromContextOrDiscard(ctx).WithValues("campaign", r.job.Campaign, "channel", r.channel.name, "chunk", r.lease.Chunk)
	r.done, r.open = make(chan handed, r.share.most/r.share.want+1), map[*handing]struct{}{}
	for more := true; more && len(r.rows) > 0 && r.makeRoom(ctx) && !r.yields() && r.within(drain); {
		limit := r.channel.circuit.admit(r.share.want)
		trial := limit < r.share.want
		if limit == 0 {
			break
		}
		if limit = r.admit(drain, limit); limit == 0 {
			r.channel.circuit.untold()
			break
		}
		judged := time.Now() // at the earliest
		var batch store.Batch
		batch, more = r.commit(drain, limit)
		r.spare(batch)
		if len(batch.Recipients) == 0 {
			r.channel.circuit.untold()
			continue
		}
		r.handOver(ctx, batch, judged)
		if trial { // a single message that tries a channel in trouble decides about the rest
			r.collect(drain, 0)
		}
	}
	if ctx.Err() != nil {
		r.release(drain)
	}
	if !r.collect(drain, 0) {
		r.abandon()
	}
	r.finish(drain)
	r.putOff(drain)
}

// makeRoom waits until another batch may be committed: when one came back, whose outcomes are written with it, or when there is
// room for more in flight, as while an answer is long in coming or no other chunk is left. It is false when ctx ends first.
func (r *chunkRun) makeRoom(ctx context.Context) bool {
	for ctx.Err() == nil {
		spare := r.held - r.inFlight*r.share.want
		if surplus := spare - r.share.want; surplus > 0 && len(r.known) == 0 {
			r.channel.room.give(surplus)
			r.held -= surplus
		}
		if spare >= r.share.want {
			return true
		}
		n, freed := r.channel.room.more(r.share)
		if r.held += n; n > 0 {
			return true
		}
		health.Wait(ctx, watchedElsewhere)
		select {
		case back := <-r.done:
			r.take(back)
		case <-freed:
		case <-ctx.Done():
		}
		health.Wait(ctx, 0)
	}
	return false
}

// yields tells whether the rest of the chunk waits because an urgent send needs its place.
func (r *chunkRun) yields() bool { return !r.urgent && r.channel.yields.Load() }

// commit commits the next micro-batch with the outcomes so far. more is false when this worker must not go on with the
// chunk.
func (r *chunkRun) commit(drain context.Context, limit int) (batch store.Batch, more bool) {
	ctx, span := tracing.Start(drain, "commit intents")
	ctx, cancel := health.Step(ctx, r.o.StatementLimit)
	defer cancel()
	limit = min(limit, len(r.rows))
	batch, err := r.db.CommitBatch(ctx, store.BatchRequest{
		Lease: r.lease, Settlements: r.known, Rows: r.rows[:limit], Attributes: r.job.Attributes, Terms: r.job.Terms,
		Tracked: r.job.Tracking.Any(), Identified: r.job.Channel.Type == store.WebhookType,
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
	h := newHanding(batch)
	r.inFlight++
	r.open[h] = struct{}{}
	ctx, span := tracing.Start(ctx, "hand over", tracing.Channel(r.channel.name))
	watched := r.watch.Begin(r.id, "hand-over on channel "+r.channel.name, r.o.StatementLimit) // of which writing takes a fraction
	rows := r.paced.admitted
	go func() {
		defer watched.End()
		var memory pages
		defer memory.giveBack()
		settlements, messages, attempts := r.write(&memory, h)
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
			began := time.Now()
			results, err := r.deliver(ctx, watched, messages)
			if ctx.Err() == nil {
				r.channel.report(ctx, results, err)
				r.hear(health.NewContext(ctx, watched), rows, attempts, results, time.Since(began))
			}
			for i, a := range attempts {
				if messages[i].Claim.Withdrawn() {
					continue // it is pending again
				}
				result := deliver.Result{Outcome: deliver.Unknown}
				if i < len(results) {
					result = results[i]
				}
				settlements = append(settlements, r.settle(a, result))
			}
		}
		endHandOver(span, settlements)
		r.o.Metrics.BatchSeconds.WithLabelValues(r.id, r.channel.name).Observe(time.Since(judged).Seconds())
		r.done <- handed{h, settlements}
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
func (r *chunkRun) write(memory *pages, h *handing) (settlements []store.Settlement, messages []deliver.Message, attempts []store.Attempt) {
	recipients := h.batch.Recipients
	messages = make([]deliver.Message, 0, len(recipients))
	attempts = make([]store.Attempt, 0, len(recipients))
	for i, recipient := range recipients {
		message, err := r.job.write(memory, recipient)
		if err != nil {
			settlements = append(settlements, store.Settlement{
				Attempt: recipient.Attempt, State: campaign.RowFailed, Reason: "NotWritten", Reply: err.Error(),
			})
			continue
		}
		message.Claim = &h.claims[i]
		messages = append(messages, message)
		attempts = append(attempts, recipient.Attempt)
	}
	return settlements, messages, attempts
}

// maxRetryIn bounds how long a server may ask to wait.
const maxRetryIn = 12 * time.Hour

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
		delay, again := campaign.RetryDeferred(r.o.Deferral, r.job.PatientUntil, r.o.Now(), a.Number, seedOf(r.lease.SendID, a.Seq))
		s.State, s.RetryIn = campaign.RowPending, max(delay, min(result.RetryIn, maxRetryIn))
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
		case back := <-r.done:
			r.take(back)
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
