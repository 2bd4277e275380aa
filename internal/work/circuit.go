package work

import (
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// circuit keeps a channel that takes nothing from being tried all the time: after each failure it is open for longer,
// then lets one message through to try.
type circuit struct {
	backoff campaign.Backoff
	seed    uint64
	now     func() time.Time

	mu       sync.Mutex
	failures int
	until    time.Time // while failures > 0: when the next try is due
	trying   bool      // the try is under way
}

// admit tells how many of n messages may be tried now: all, one, or none. Who is admitted must report.
func (c *circuit) admit(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failures == 0:
		return n
	case c.trying || c.now().Before(c.until):
		return 0
	}
	c.trying = true
	return min(n, 1)
}

// closed tells whether work may begin, without taking the one try.
func (c *circuit) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failures == 0 || (!c.trying && !c.now().Before(c.until))
}

// succeeded closes the circuit.
func (c *circuit) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures, c.trying = 0, false
}

// failed opens the circuit for longer than the last time. While it is open, failures of what was begun before do not
// count.
func (c *circuit) failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures > 0 && !c.trying && c.now().Before(c.until) {
		return
	}
	c.failures++
	c.trying = false
	c.until = c.now().Add(c.backoff.Delay(c.failures, c.seed))
}

// untold gives the one try back: nothing was learnt.
func (c *circuit) untold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying = false
}
