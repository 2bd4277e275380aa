package supervise

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// Group is a set of programs that are kept running, each known by its command's name. Its methods may be called by several
// goroutines; they take turns.
type Group struct {
	// Log is told when a program ended by itself. Default: nobody. Set it before the first Run.
	Log logr.Logger

	mu   sync.Mutex
	kept map[string]*Kept
}

// Run starts a program, waits until it is ready (at once where ready is nil) for as long as atMost, and keeps it running from
// then on. On an error the program has ended.
func (g *Group) Run(ctx context.Context, c Command, atMost time.Duration, ready func(context.Context) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept[c.Name] != nil {
		return fmt.Errorf("%s runs already", c.Name)
	}
	process, err := Start(ctx, c)
	if err != nil {
		return err
	}
	if ready != nil {
		if err := process.AwaitReady(ctx, atMost, ready); err != nil {
			return errors.Join(err, process.Stop(ctx))
		}
	}
	if g.kept == nil {
		g.kept = map[string]*Kept{}
	}
	g.kept[c.Name] = Keep(process, g.Log)
	return nil
}

// Runs reports whether a program of that name was started and has not been stopped.
func (g *Group) Runs(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept[name] != nil
}

// Stop ends the programs in the order of their names here, and returns when they are gone. A name that does not run is none to
// end.
func (g *Group) Stop(ctx context.Context, names ...string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, name := range names {
		if program := g.kept[name]; program != nil {
			delete(g.kept, name)
			errs = append(errs, program.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}
