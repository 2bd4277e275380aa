package lanes

import (
	"slices"
	"sync"
	"time"
)

// Conn is a connection of a transport. It is one lane's at a time, or idle.
type Conn interface {
	comparable
	// Usable tells whether the connection can take another message: nothing failed, the server is still there, and it has
	// served less than it may.
	Usable() bool
	// Leave closes a connection that no lane has, in the way that the server expects.
	Leave()
	// Cut ends the connection while a lane uses it, whose reads and writes fail from now on.
	Cut()
}

// Pool keeps a transport's connections from batch to batch. It is made by NewPool and safe for concurrent use.
type Pool[C Conn] struct {
	slots       chan struct{}
	idleTimeout time.Duration
	whenClosed  error

	mu     sync.Mutex
	idle   []*idle[C] // the last one was used last
	busy   map[C]struct{}
	closed bool
}

// idle is a connection that no lane has.
type idle[C Conn] struct {
	conn   C
	expiry *time.Timer // closes it
}

// NewPool makes a pool of at most so many connections. One that nobody has used for idleTimeout is closed; whenClosed is what
// Get answers after Close.
func NewPool[C Conn](connections int, idleTimeout time.Duration, whenClosed error) *Pool[C] {
	return &Pool[C]{slots: make(chan struct{}, connections), idleTimeout: idleTimeout, whenClosed: whenClosed, busy: map[C]struct{}{}}
}

// Enter waits until a lane may have a connection. It is false where the queue's time is over or others emptied it first. A
// lane that entered exits.
func (p *Pool[C]) Enter(q *Queue) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	case <-q.ctx.Done():
		return false
	case <-q.drained:
		return false
	}
}

// Exit lets another lane in. The lane has put its connection back.
func (p *Pool[C]) Exit() { <-p.slots }

// Get takes the idle connection that was used last and can be used, or the one that open returns, which may be none: a zero value.
func (p *Pool[C]) Get(open func() (C, error)) (C, error) {
	var none C
	for {
		c, err := p.take()
		if err != nil {
			return none, err
		}
		if c == none {
			break
		}
		if c.Usable() {
			return c, nil
		}
		p.Put(c)
	}
	c, err := open()
	if err != nil || c == none {
		return none, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Cut()
		return none, p.whenClosed
	}
	p.busy[c] = struct{}{}
	return c, nil
}

// take takes the idle connection that was used last, or none.
func (p *Pool[C]) take() (C, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var none C
	if p.closed {
		return none, p.whenClosed
	}
	if len(p.idle) == 0 {
		return none, nil
	}
	last := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	p.busy[last.conn] = struct{}{}
	last.expiry.Stop()
	return last.conn, nil
}

// Put keeps a connection that a lane had for the next batch, or closes it where it is of no use any more. None, a zero value, is
// left alone.
func (p *Pool[C]) Put(c C) {
	var none C
	if c == none {
		return
	}
	usable := c.Usable()
	p.mu.Lock()
	delete(p.busy, c)
	if usable && !p.closed {
		kept := &idle[C]{conn: c}
		kept.expiry = time.AfterFunc(p.idleTimeout, func() { p.expire(kept) })
		p.idle = append(p.idle, kept)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	c.Leave()
}

// expire closes a connection that nobody has used for a while, unless somebody took it meanwhile.
func (p *Pool[C]) expire(kept *idle[C]) {
	p.mu.Lock()
	i := slices.Index(p.idle, kept)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		kept.conn.Leave()
	}
}

// Close ends every connection, those in use too. It returns when the idle ones have taken leave.
func (p *Pool[C]) Close() {
	p.mu.Lock()
	left := p.idle
	p.idle, p.closed = nil, true
	for c := range p.busy {
		c.Cut()
	}
	p.mu.Unlock()
	var leaves sync.WaitGroup
	for _, kept := range left {
		kept.expiry.Stop()
		leaves.Go(kept.conn.Leave)
	}
	leaves.Wait()
}
