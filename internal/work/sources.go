package work

import (
	"context"
	"time"

	"github.com/tertulia-crm/tertulia/internal/health"
)

const (
	// settledAtOnce is how many people of several records are looked at in a step when the order of sources is new, some tenths of a second in which
	// imports, merges and events wait.
	settledAtOnce = 100
	// settleRest is how long it is rested after a step, in lengths of the step.
	settleRest = 4
)

// settleSources has a new order of sources count for everybody who has several records, slowly.
func (t *tenant) settleSources(ctx context.Context) error {
	for {
		began := time.Now()
		more, err := t.settleSome(ctx)
		if err != nil || !more {
			return err
		}
		pause := settleRest * time.Since(began)
		health.Wait(ctx, pause+t.o.StatementLimit)
		rest := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			rest.Stop()
			return nil
		case <-rest.C:
		}
	}
}

func (t *tenant) settleSome(ctx context.Context) (more bool, err error) {
	ctx, cancel := health.Step(ctx, t.o.StatementLimit)
	defer cancel()
	return t.db.SettleSources(ctx, settledAtOnce)
}
