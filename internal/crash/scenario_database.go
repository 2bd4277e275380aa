package crash

import (
	"context"
	"fmt"
	"time"
)

var databaseScenarios = []Scenario{
	{
		Name: "database-crashed", Done: "PostgreSQL is ended in immediate mode, twice at random, and recovers; two workers send",
		run: crashDatabase,
	},
	{
		Name: "database-cut-off", Done: "every connection to PostgreSQL is cut, twice at random, and none is taken for a while; two workers send",
		run: cutDatabaseOff,
	},
	{
		Name: "database-flaky", Done: "connections to PostgreSQL are cut after a random number of bytes, in the middle of commits and of their answers",
		run: cutDatabaseRandomly,
	},
	{
		Name: "database-silent", run: silenceDatabase,
		Done: "what one of two workers and PostgreSQL say to each other is swallowed until the other has taken it for dead and sent the rest",
	},
}

func crashDatabase(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	for _, share := range w.shares(2) {
		if err := w.disturb(ctx, share, func() error { return w.database.restart(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// startWorkerThrough starts a worker that reaches the database through a proxy.
func (w *world) startWorkerThrough(ctx context.Context, root string) (*proxy, *process, error) {
	p, url, err := w.startProxy(ctx)
	if err != nil {
		return nil, nil, err
	}
	tenant, err := w.writeTenant(root, url)
	if err != nil {
		return nil, nil, err
	}
	worker, err := w.startWorker(ctx, tenant)
	return p, worker, err
}

// outage is how long a database stays away.
const outage = 700 * time.Millisecond

func cutDatabaseOff(ctx context.Context, w *world) error {
	if err := w.declare(ctx); err != nil {
		return err
	}
	var between []*proxy
	for _, root := range []string{"first", "second"} {
		p, _, err := w.startWorkerThrough(ctx, root)
		if err != nil {
			return err
		}
		between = append(between, p)
	}
	for _, share := range w.shares(2) {
		err := w.disturb(ctx, share, func() error {
			for _, p := range between {
				p.drop()
			}
			defer func() {
				for _, p := range between {
					p.comeBack()
				}
			}()
			return pause(ctx, outage)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pause lets an outage last: its length is what is tried, not what is waited for.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A flaky network cuts so many connections, each after at most so many bytes in a direction: a few micro-batches.
const (
	flakyCuts  = 8
	flakyBytes = 40_000
)

func cutDatabaseRandomly(ctx context.Context, w *world) error {
	if err := w.declare(ctx); err != nil {
		return err
	}
	between, _, err := w.startWorkerThrough(ctx, "flaky")
	if err != nil {
		return err
	}
	err = w.disturb(ctx, w.shares(1)[0], func() error {
		between.cutRandomly(flakyCuts, flakyBytes)
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.awaitEnd(ctx); err != nil {
		return err
	}
	if left := between.cutsLeft(); left > flakyCuts/2 {
		return fmt.Errorf("only %d of %d connections were cut, which proves little", flakyCuts-left, flakyCuts)
	}
	return nil
}

func silenceDatabase(ctx context.Context, w *world) error {
	if err := w.declare(ctx); err != nil {
		return err
	}
	between, silenced, err := w.startWorkerThrough(ctx, "silenced")
	if err != nil {
		return err
	}
	if _, err := w.working(ctx, silenced); err != nil {
		return err
	}
	if _, err := w.startWorkers(ctx, 1); err != nil {
		return err
	}
	err = w.disturb(ctx, w.shares(1)[0], func() error {
		if _, err := w.working(ctx, silenced); err != nil {
			return err
		}
		between.fallSilent()
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.awaitEnd(ctx); err != nil {
		return err
	}
	between.comeBack()
	return w.awaitQuiet(ctx)
}
