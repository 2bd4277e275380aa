package smtp

import (
	"context"
	"sync"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/lanes"
)

// maxReturns is how often a message whose connection ended before MAIL was answered is tried by another connection.
const maxReturns = 2

// batch is what one Deliver hands over. A lane of another one may join it.
type batch struct {
	*lanes.Queue
	over chan struct{} // closed when no lane has the batch any more

	mu      sync.Mutex
	lanes   int // that have it
	returns map[int]int
}

// newBatch refuses what could not even be written into a command, and queues the rest.
func newBatch(ctx context.Context, messages []deliver.Message) *batch {
	flaw := func(m *deliver.Message) string { return deliver.AddressFlaw(m.To) }
	return &batch{Queue: lanes.NewQueue(ctx, messages, flaw), over: make(chan struct{}), returns: map[int]int{}}
}

// join has a lane that has another batch take this one too, where its messages wait for a lane.
func (b *batch) join() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes == 0 || !b.Remaining() {
		return false
	}
	b.lanes++
	return true
}

// done tells that a lane has the batch no more.
func (b *batch) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes--; b.lanes == 0 {
		close(b.over)
	}
}

// putBack returns a message that was taken but not offered. It is false where that happened too often.
func (b *batch) putBack(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.returns[i]++
	b.PutBack(i)
	return b.returns[i] <= maxReturns
}
