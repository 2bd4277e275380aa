package work

import (
	"context"
	"slices"
	"sync"
)

const (
	// intentsPerConnection bounds what a worker's death leaves ambiguous on a channel: twice four intents for each
	// connection, however they are spread over chunks and batches.
	intentsPerConnection = 8
	// chunksPerChannel is how many chunks of mass mails a worker holds for one channel: there is room to work on two or three, and
	// the next ones are leased and read, so that nothing waits for the database between two of them.
	chunksPerChannel = 4
	// urgentChunks is how many it may hold beyond that of sends that overtake mass mails.
	urgentChunks = 1
)

// room is how many intents a worker may hold for a channel while it does not know, or has not written, what became of them.
type room struct {
	mu      sync.Mutex
	used    int
	waiting []*share      // what those want who hold nothing yet, in the order in which they came
	freed   chan struct{} // closed when some is given back; nil while nobody waits
}

// take waits for a share of the room. It returns how many intents may be held, and 0 when ctx ends first.
func (r *room) take(ctx context.Context, s share) int {
	r.mu.Lock()
	r.waiting = append(r.waiting, &s)
	r.mu.Unlock()
	defer r.leave(&s)
	for {
		n, freed := r.grab(s, &s)
		if n > 0 {
			return n
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return 0
		}
	}
}

// leave ends a wait. It may have been in the way of others.
func (r *room) leave(s *share) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = slices.DeleteFunc(r.waiting, func(other *share) bool { return other == s })
	r.wake()
}

// more takes a further share for who has one, if there is so much and nobody waits for a first one. Else freed is closed when some
// is given back.
func (r *room) more(s share) (n int, freed <-chan struct{}) { return r.grab(s, nil) }

// grab takes a share of the room if there is so much, and none who came earlier waits: mass mails wait for each other and for urgent
// sends, and those for each other alone. Else freed is closed when some is given back.
func (r *room) grab(s share, ticket *share) (n int, freed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := true
	for _, other := range r.waiting {
		if other == ticket {
			break
		}
		first = first && other.most < s.most
	}
	if n := min(s.want, s.most-r.used); first && n >= s.least {
		r.used += n
		return n, nil
	}
	if r.freed == nil {
		r.freed = make(chan struct{})
	}
	return 0, r.freed
}

func (r *room) give(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
	r.wake()
}

func (r *room) wake() {
	if r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
}

// share is how much room a micro-batch of a chunk takes: want, or fewer intents where least are enough, as long as no more than
// most are held in all.
type share struct{ least, want, most int }

// planShare divides a channel's room. Two mass mails' batches fill nearly all of it, each at most four times the connections;
// what is left is for an urgent send, which takes as much as a mass mail while there is none. A chunk is cut into batches of
// one size.
func planShare(connections, rows int, urgent bool) share {
	connections = max(1, connections)
	whole := intentsPerConnection * connections
	kept := max(1, connections/2)
	largest := (whole - kept) / 2
	batches := max(1, (rows+largest-1)/largest)
	want := max(1, (rows+batches-1)/batches)
	if urgent {
		return share{least: min(kept, want), want: want, most: whole}
	}
	return share{least: want, want: want, most: whole - kept}
}
