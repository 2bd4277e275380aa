package bluesky

import (
	"context"
	"slices"
	"sync"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// maxPileBytes bounds the events that a batch in hand is made of, beside listen.MaxBatch posts: most of a post can be what its pictures are said to show.
const maxPileBytes = 4 << 20

// pile is what was read of a stream and not handed over yet. One goroutine reads on while another stores; when the pile is full the
// reader waits, then the connection does, and then the server, which ends a connection that is too slow: its cursor goes on from there.
type pile struct {
	mu    sync.Mutex
	batch listen.Batch
	bytes int
	time  int64 // of the latest event
	err   error // why there is no more
	// full is told when a batch should be handed over at once, room when one was.
	full, room chan struct{}
	// resumed is the moment from which the stream goes on, and 0 once its first event was there.
	resumed int64
}

func newPile(resumed int64) *pile {
	return &pile{full: make(chan struct{}, 1), room: make(chan struct{}, 1), resumed: resumed}
}

// add puts what an event means on the pile, as soon as there is room. It fails when ctx ends.
func (p *pile) add(ctx context.Context, v verdict) error {
	p.mu.Lock()
	for p.isFull() {
		p.mu.Unlock()
		tell(p.full)
		select {
		case <-p.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	if v.time != 0 && p.resumed != 0 {
		if gap, missed := missing(p.resumed, v.time); missed {
			p.batch.Gaps = append(p.batch.Gaps, gap)
		}
		p.resumed = 0
	}
	p.time = max(p.time, v.time)
	switch {
	case v.post != nil:
		p.batch.Posts = append(p.batch.Posts, *v.post)
		p.bytes += v.size
	case v.deletion != listen.Deletion{}:
		p.withdraw(v.deletion)
	}
	if v.rejected != "" {
		if p.batch.Rejected == nil {
			p.batch.Rejected = map[string]int{}
		}
		p.batch.Rejected[v.rejected]++
	}
	return nil
}

// withdraw adds a deletion. What it takes back is not handed over at all: a batch does not tell what came first.
func (p *pile) withdraw(d listen.Deletion) {
	p.batch.Posts = slices.DeleteFunc(p.batch.Posts, func(post listen.Post) bool {
		return post.ID == d.PostID || d.PostID == "" && post.Author.ID == d.AuthorID
	})
	p.batch.Deleted = append(p.batch.Deleted, d)
}

func (p *pile) isFull() bool {
	return len(p.batch.Posts) >= listen.MaxBatch || len(p.batch.Deleted) >= listen.MaxBatch || p.bytes >= maxPileBytes
}

// end says that nothing more comes.
func (p *pile) end(err error) {
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	tell(p.full)
}

// sweep takes what is there. The error is why nothing more comes.
func (p *pile) sweep() (b listen.Batch, timeUS int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, p.batch, p.bytes = p.batch, listen.Batch{}, 0
	tell(p.room)
	return b, p.time, p.err
}

// tell wakes whoever waits, now or later.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
