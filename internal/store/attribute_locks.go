package store

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
)

// How long a change of a table in use waits for its lock before it makes way for those who wait behind it, and how
// often it tries again.
const (
	lockTimeout = 200 * time.Millisecond
	lockTries   = 12
)

// withShortLocks runs a transaction that changes tables in use. A lock that does not come within lockTimeout is given
// up, because everybody else would queue behind it, and tried again later.
func (db *DB) withShortLocks(ctx context.Context, f func(pgx.Tx) error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := db.InTx(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, fmt.Sprintf("set local lock_timeout = %d", lockTimeout.Milliseconds())); err != nil {
				return err
			}
			return f(tx)
		})
		if err != nil && !hasCode(err, "55P03", "40P01") { // lock not available, deadlock
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(lockTries))
	return err
}
