// Package lanes is what transports share that hand a batch over by several connections at a time. Each lane takes messages
// from the batch's queue and hands them over by one connection of the pool, until none is left.
package lanes

import (
	"context"
	"fmt"
	"sync"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

// Queue is a batch that lanes share: the messages that wait, and what became of the others. It is made by NewQueue and safe
// for concurrent use.
type Queue struct {
	Messages []deliver.Message
	Results  []deliver.Result // each written by the lane that took the message

	ctx context.Context // when it ends no further message is taken

	mu      sync.Mutex
	waiting []int         // indices of messages
	trouble error         // the first of any lane
	drained chan struct{} // closed when nothing waits for the first time: lanes that wait for a connection leave
}

// NewQueue refuses the messages in which flaw finds something, and queues the rest.
func NewQueue(ctx context.Context, messages []deliver.Message, flaw func(*deliver.Message) string) *Queue {
	q := &Queue{
		Messages: messages, Results: make([]deliver.Result, len(messages)),
		ctx: ctx, waiting: make([]int, 0, len(messages)), drained: make(chan struct{}),
	}
	for i := range messages {
		if why := flaw(&messages[i]); why != "" {
			q.Results[i] = deliver.Result{Outcome: deliver.Refused, Reply: why}
			continue
		}
		q.waiting = append(q.waiting, i)
	}
	return q
}

// Context is what ends the taking of messages.
func (q *Queue) Context() context.Context { return q.ctx }

// Waiting is how many messages no lane has taken.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Take gives the index of a message to a lane. It is false where none waits or ctx has ended.
func (q *Queue) Take() (int, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.ctx.Err() != nil {
		return 0, false
	}
	i := q.waiting[0]
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		select {
		case <-q.drained:
		default:
			close(q.drained)
		}
	}
	return i, true
}

// Remaining tells whether there is a message to take.
func (q *Queue) Remaining() bool {
	return q.Waiting() > 0 && q.ctx.Err() == nil
}

// PutBack returns a message that was taken and not offered, to the lane that brings it back or to another one.
func (q *Queue) PutBack(i int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, i)
}

// Fail notes a lane's trouble.
func (q *Queue) Fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.trouble == nil {
		q.trouble = err
	}
}

// Failed tells whether a lane is in trouble.
func (q *Queue) Failed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.trouble != nil
}

// Err tells, when the lanes have ended, why messages were left Untouched or Unknown. A lane's trouble that the others made good
// is none. doing is what the lanes were at.
func (q *Queue) Err(doing string) error {
	open := 0
	for i := range q.Results {
		if o := q.Results[i].Outcome; o == deliver.Untouched || o == deliver.Unknown {
			open++
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case open == 0:
		return nil
	case q.ctx.Err() != nil && q.trouble == nil:
		return fmt.Errorf("%s: %d of %d messages left: %w", doing, open, len(q.Results), context.Cause(q.ctx))
	}
	return q.trouble
}
