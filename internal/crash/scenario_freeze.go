package crash

import (
	"context"
	"fmt"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

var freezeScenarios = []Scenario{
	{
		Name: "freeze-killed", run: killWhileFreezing,
		Done: "kill -9 of the worker, and PostgreSQL ended in immediate mode, when all of the audience is written and nothing of it committed",
	},
}

func killWhileFreezing(ctx context.Context, w *world) error {
	if err := w.declare(ctx); err != nil {
		return err
	}
	for _, disturbance := range []func(*process) error{
		w.kill,
		func(*process) error { return w.database.restart(ctx) },
	} {
		goOn, err := w.holdFreezes(ctx)
		if err != nil {
			return err
		}
		worker, err := w.startWorker(ctx, w.tenant)
		if err != nil {
			goOn()
			return err
		}
		err = w.awaitHeldFreeze(ctx)
		if err == nil {
			err = disturbance(worker)
		}
		goOn()
		if err != nil {
			return err
		}
		if err := w.awaitNothingHalf(ctx); err != nil {
			return err
		}
	}
	w.result.Disturbed = "0, 0"
	return nil
}

// holdFreezes lets every freeze write its ledger rows and stops it at their chunks, until goOn is called.
func (w *world) holdFreezes(ctx context.Context) (goOn func(), err error) {
	tx, err := w.db.Pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("hold freezes up: %w", err)
	}
	// It fails where the database was ended, which has let go of the lock by itself.
	goOn = func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }
	if _, err := tx.Exec(ctx, "lock table send_chunk in share mode"); err != nil {
		goOn()
		return nil, fmt.Errorf("hold freezes up: %w", err)
	}
	return goOn, nil
}

// awaitHeldFreeze waits until a freeze has got as far as it may.
func (w *world) awaitHeldFreeze(ctx context.Context) error {
	return w.await(ctx, "a freeze is in its middle", func() (bool, string, error) {
		var state string
		var held bool
		err := w.db.Pool.QueryRow(ctx, `
			select (select state from send), exists (select from pg_locks
				where relation = 'send_chunk'::regclass and mode = 'RowExclusiveLock' and not granted)`).Scan(&state, &held)
		return held && state == string(campaign.Freezing), state, err
	})
}

// awaitNothingHalf waits until the freeze that was disturbed is gone, and fails where a part of what it wrote is not: nobody
// has a row while the send is Freezing, and everybody has one afterwards.
func (w *world) awaitNothingHalf(ctx context.Context) error {
	var half error
	err := w.await(ctx, "the disturbed freeze is gone", func() (bool, string, error) {
		var state campaign.State
		var rows, chunked int
		var held bool
		err := w.db.Pool.QueryRow(ctx, `
			select (select state from send), (select count(*) from ledger), (select coalesce(sum(last_seq - first_seq + 1), 0) from send_chunk),
				exists (select from pg_locks where relation = 'ledger'::regclass and mode = 'RowExclusiveLock' and granted)`).
			Scan(&state, &rows, &chunked, &held)
		if err != nil { // the database may be away for a moment
			return false, err.Error(), nil
		}
		if want := w.parameters.Size; rows != chunked || state.Frozen() != (rows == want) || !state.Frozen() && rows != 0 {
			half = fmt.Errorf("the send is %s with %d rows of %d, and %d in chunks", state, rows, want, chunked)
			return true, "", nil
		}
		return !held || state.Frozen(), fmt.Sprintf("%s, %d rows", state, rows), nil
	})
	if err != nil {
		return err
	}
	return half
}
