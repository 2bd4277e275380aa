package work

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// paced is what a chunk's run knows of its pace.
type paced struct {
	admitted []store.PendingRow // of the last micro-batch
	wait     pause              // what the rest waits for
}

// classOf is the class of messages of a send.
func classOf(urgent bool) pace.Class {
	if urgent {
		return pace.Transactional
	}
	return pace.Bulk
}

// admit moves at most limit rows to the front that may be handed over at this moment, and tells how many there are.
func (r *chunkRun) admit(drain context.Context, limit int) int {
	var err error
	r.paced.admitted, r.paced.wait, err = r.channel.pacer.admit(drain, classOf(r.urgent), r.rows, limit)
	if err != nil {
		r.log.Info("cannot take tokens", "error", store.Brief(err).Error())
	}
	return len(r.paced.admitted)
}

// spare gives the tokens back of rows that were admitted and are no recipients.
func (r *chunkRun) spare(batch store.Batch) {
	if r.channel.pacer.free.Load() || len(batch.Recipients) == len(r.paced.admitted) {
		return
	}
	taken := make(map[int64]bool, len(batch.Recipients))
	for _, to := range batch.Recipients {
		taken[to.Seq] = true
	}
	r.channel.pacer.unused(classOf(r.urgent), slices.DeleteFunc(slices.Clone(r.paced.admitted), func(row store.PendingRow) bool { return taken[row.Seq] }))
}

// hear learns from what receivers said to a batch of these rows, which took so long.
func (r *chunkRun) hear(ctx context.Context, rows []store.PendingRow, attempts []store.Attempt, results []deliver.Result, took time.Duration) {
	r.channel.pacer.report(ctx, rows, attempts, results, took)
	if r.channel.pacer.free.Load() {
		return
	}
	var untouched []store.PendingRow
	for i, a := range attempts {
		if i < len(results) && results[i].Outcome == deliver.Untouched {
			untouched = append(untouched, store.PendingRow{Seq: a.Seq, Receiver: receiverOf(rows, a.Seq)})
		}
	}
	r.channel.pacer.unused(classOf(r.urgent), untouched)
}

// longestPutOff bounds how long it takes until a chunk hears that what it waited for has changed.
const longestPutOff = time.Minute

// putOff keeps the chunk that was given back from being leased while the receivers of its rows wait. A channel that waits as a
// whole leases none in any case.
func (r *chunkRun) putOff(drain context.Context) {
	wait := r.paced.wait
	if wait.until.IsZero() || wait.whole || len(r.rows) == 0 {
		return
	}
	ctx, cancel := health.Step(drain, r.o.StatementLimit)
	defer cancel()
	if err := r.db.PutOffChunk(ctx, r.lease, r.urgent, min(longestPutOff, wait.until.Sub(r.o.Now()))); err != nil {
		r.log.V(1).Info("cannot put a chunk off", "error", store.Brief(err).Error())
	}
}

// tendPaces keeps the pace of every channel in use.
func (s *sender) tendPaces(ctx context.Context) error {
	var failed error
	for _, c := range s.allChannels() {
		failed = errors.Join(failed, c.pacer.tend(ctx))
	}
	return failed
}

// closePaces gives back what tokens this worker has left.
func (s *sender) closePaces(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWriteTimeout)
	defer cancel()
	for _, c := range s.allChannels() {
		c.pacer.close(ctx)
	}
}

func (s *sender) allChannels() []*channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.channels))
}
