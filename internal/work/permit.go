package work

import (
	"context"

	"github.com/go-logr/logr"
)

// permitNotice tells once that a tenant's ledger may not be sent from, and once that it may again. What may be sent is
// decided by the statements that lease chunks and commit intents, each for itself.
type permitNotice struct {
	known, permitted bool
}

func (n *permitNotice) note(ctx context.Context, t *tenant, permitted bool) {
	log := logr.FromContextOrDiscard(ctx)
	gauge := t.o.Metrics.Permitted.WithLabelValues(t.id)
	switch {
	case n.known && n.permitted == permitted:
		return
	case permitted:
		gauge.Set(1)
		if n.known {
			log.Info("the ledger may be sent from again")
		}
	default:
		gauge.Set(0)
		log.Info("nothing is sent: this ledger is not the one that the operator has permitted, as after a failover or a restored backup")
	}
	n.known, n.permitted = true, permitted
}
