package work

import (
	"sync"
	"time"
)

// statusNotes gathers the campaigns whose counts have changed, so that each is noted at most once in an interval.
type statusNotes struct {
	every time.Duration

	mu      sync.Mutex
	touched map[string]bool
	noted   map[string]time.Time
}

func newStatusNotes(every time.Duration) *statusNotes {
	return &statusNotes{every: every, touched: map[string]bool{}, noted: map[string]time.Time{}}
}

// touch records that a campaign's counts have changed.
func (n *statusNotes) touch(campaign string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.touched[campaign] = true
}

// due returns the campaigns that are to be noted now.
func (n *statusNotes) due(now time.Time) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var due []string
	for name := range n.touched {
		if now.Sub(n.noted[name]) >= n.every {
			due = append(due, name)
			delete(n.touched, name)
			n.noted[name] = now
		}
	}
	for name, at := range n.noted {
		if now.Sub(at) >= n.every && !n.touched[name] {
			delete(n.noted, name)
		}
	}
	return due
}

// rest returns all that were not noted yet, whenever the last note was.
func (n *statusNotes) rest() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var rest []string
	for name := range n.touched {
		rest = append(rest, name)
	}
	clear(n.touched)
	return rest
}
