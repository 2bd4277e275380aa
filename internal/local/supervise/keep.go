package supervise

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// Delays between the end of a program and its next start.
const (
	firstDelay = 250 * time.Millisecond
	maxDelay   = 15 * time.Second
	// steady is how long a program must have run for its earlier ends to be forgotten.
	steady = 30 * time.Second
)

// nextDelay is how long to wait before a program is started again, given the wait before and how long it then ran.
func nextDelay(previous, ran time.Duration) time.Duration {
	if previous == 0 || ran >= steady {
		return firstDelay
	}
	return min(2*previous, maxDelay)
}

// Kept is a program that is started again whenever it ends by itself, with growing delays.
type Kept struct {
	log    logr.Logger
	cancel context.CancelFunc
	done   chan struct{} // closed when keep has returned

	mu      sync.Mutex
	current *Process
}

// Keep takes a running program over until Stop is called.
func Keep(p *Process, log logr.Logger) *Kept {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Kept{log: log, cancel: cancel, done: make(chan struct{}), current: p}
	go k.keep(ctx)
	return k
}

// PID is the process id of the program's latest start. The program may have ended since.
func (k *Kept) PID() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current.PID()
}

// Stop ends the program as Process.Stop does, and for good. It may be called again.
func (k *Kept) Stop(ctx context.Context) error {
	k.cancel()
	<-k.done
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current.Stop(ctx)
}

func (k *Kept) keep(ctx context.Context) {
	defer close(k.done)
	var delay time.Duration
	for {
		process, begun := k.current, time.Now() // only this goroutine writes current
		select {
		case <-ctx.Done():
			return
		case <-process.Done():
		}
		delay = nextDelay(delay, time.Since(begun))
		k.log.Info("a program ended and is started again", "what", describe(process), "after", delay.String(), "log", process.command.Log)
		next := k.restart(ctx, process.command, &delay)
		if next == nil {
			return
		}
		k.mu.Lock()
		k.current = next
		k.mu.Unlock()
	}
}

// restart tries until the program has been started; it returns nil when ctx ends first.
func (k *Kept) restart(ctx context.Context, c Command, delay *time.Duration) *Process {
	for {
		timer := time.NewTimer(*delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		process, err := Start(ctx, c)
		if err == nil {
			return process
		}
		*delay = nextDelay(*delay, 0)
		k.log.Error(err, "a program could not be started and will be tried again", "after", delay.String())
	}
}

func describe(p *Process) string {
	if err := p.Err(); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s: exit status 0", p.command.Name)
}
