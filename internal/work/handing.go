package work

import (
	"context"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// handing is a batch that is handed over.
type handing struct {
	batch  store.Batch
	claims []deliver.Claim // of its recipients' messages
}

func newHanding(batch store.Batch) *handing {
	return &handing{batch: batch, claims: make([]deliver.Claim, len(batch.Recipients))}
}

// handed is what became of a batch.
type handed struct {
	*handing
	settlements []store.Settlement
}

// take takes note of a batch that came back.
func (r *chunkRun) take(back handed) {
	delete(r.open, back.handing)
	r.inFlight--
	r.known = append(r.known, back.settlements...)
}

// withdraw takes back the messages of a batch that no connection has yet.
func (h *handing) withdraw() (settlements []store.Settlement) {
	for i := range h.claims {
		if h.claims[i].Withdraw() {
			settlements = append(settlements, h.batch.Recipients[i].Undone())
		}
	}
	return settlements
}

// release lets others go on with the chunk of a worker that is told to stop, while answers are due to it: what was not offered is
// pending again, and the chunk is given back. An answer that comes after that needs no lease to be written.
func (r *chunkRun) release(drain context.Context) {
	if r.inFlight == 0 {
		return // finish gives it back
	}
	left := len(r.rows)
	for h := range r.open {
		withdrawn := h.withdraw()
		left += len(withdrawn)
		r.known = append(r.known, withdrawn...)
	}
	if left == 0 {
		return
	}
	ctx, cancel := health.Step(drain, r.o.StatementLimit)
	defer cancel()
	if err := r.db.FinishChunk(ctx, r.lease, r.known); err != nil {
		r.log.Info("cannot give a chunk back before the last answers", "error", store.Brief(err).Error())
		return // finish tries again
	}
	r.written(0)
}
