package smtp

import (
	"context"
	"fmt"
	"sync"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

// maxReturns is how often a message whose connection ended before MAIL was answered is tried by another connection.
const maxReturns = 2

// batch is what the lanes of one Deliver share: the messages that wait, and what became of the others.
type batch struct {
	messages []deliver.Message
	results  []deliver.Result // each written by the lane that took the message

	mu      sync.Mutex
	queue   []int // indices that wait
	returns map[int]int
	trouble error // the first of any lane
	drained chan struct{}
}

// newBatch refuses what could not even be written into a command, and queues the rest.
func newBatch(messages []deliver.Message) *batch {
	b := &batch{
		messages: messages, results: make([]deliver.Result, len(messages)), queue: make([]int, 0, len(messages)),
		drained: make(chan struct{}), returns: map[int]int{},
	}
	for i := range messages {
		if why := flaw(messages[i].To); why != "" {
			b.results[i] = deliver.Result{Outcome: deliver.Refused, Reply: why}
			continue
		}
		b.queue = append(b.queue, i)
	}
	return b
}

// take gives a message to a lane.
func (b *batch) take(ctx context.Context) (int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 || ctx.Err() != nil {
		return 0, false
	}
	i := b.queue[0]
	b.queue = b.queue[1:]
	if len(b.queue) == 0 && !b.isDrained() {
		close(b.drained)
	}
	return i, true
}

// isDrained tells whether the queue was empty once: lanes that still wait for a connection then leave, and a message
// that comes back is left to the lane that brought it back.
func (b *batch) isDrained() bool {
	select {
	case <-b.drained:
		return true
	default:
		return false
	}
}

// putBack returns a message that was taken but not offered. It is false where that happened too often.
func (b *batch) putBack(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.returns[i]++
	b.queue = append(b.queue, i)
	return b.returns[i] <= maxReturns
}

func (b *batch) remaining() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) > 0
}

func (b *batch) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trouble == nil {
		b.trouble = err
	}
}

func (b *batch) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trouble != nil
}

// err tells why messages were left Untouched or Unknown. A lane's trouble that the others made good is none.
func (b *batch) err(ctx context.Context, server string) error {
	open := 0
	for i := range b.results {
		if o := b.results[i].Outcome; o == deliver.Untouched || o == deliver.Unknown {
			open++
		}
	}
	switch {
	case open == 0:
		return nil
	case ctx.Err() != nil && b.trouble == nil:
		return fmt.Errorf("hand over to %s: %d of %d messages left: %w", server, open, len(b.results), context.Cause(ctx))
	}
	return b.trouble
}
