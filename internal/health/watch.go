package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Watch notices loops that are stuck. Each says before every step how long that may take at most; who says nothing new
// in time is stuck. The zero value works.
type Watch struct {
	// Slack is how late a loop may be: machines stall, and a probe that fails for nothing costs a restart. Default: 30 s.
	Slack time.Duration

	mu    sync.Mutex
	loops map[*Loop]struct{}
}

// Loop is something that goes on until it is over.
type Loop struct {
	watch        *Watch
	tenant, name string

	mu    sync.Mutex
	until time.Time
}

// Begin watches another loop of a tenant, whose first step may take so long.
func (w *Watch) Begin(tenant, name string, first time.Duration) *Loop {
	l := &Loop{watch: w, tenant: tenant, name: name}
	l.Beat(first)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loops == nil {
		w.loops = map[*Loop]struct{}{}
	}
	w.loops[l] = struct{}{}
	return l
}

// Beat says that the loop goes on, and how long its next step may take at most.
func (l *Loop) Beat(next time.Duration) {
	slack := l.watch.Slack
	if slack == 0 {
		slack = 30 * time.Second
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(next + slack)
}

// End says that the loop is over.
func (l *Loop) End() {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	delete(l.watch.loops, l)
}

// maxNamed bounds how many loops Live names.
const maxNamed = 10

// Live names the loops that are stuck; it returns nil while none is.
func (w *Watch) Live() error { return w.liveAt(time.Now()) }

func (w *Watch) liveAt(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stuck []string
	for l := range w.loops {
		l.mu.Lock()
		late := now.Sub(l.until)
		l.mu.Unlock()
		if late > 0 {
			stuck = append(stuck, fmt.Sprintf("tenant %q: the loop %q is stuck", l.tenant, l.name))
		}
	}
	if len(stuck) == 0 {
		return nil
	}
	slices.Sort(stuck)
	stuck = slices.Compact(stuck)
	if more := len(stuck) - maxNamed; more > 0 {
		stuck = append(stuck[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(stuck, "\n"))
}
