package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Events have a partition for the month before, the running one and three to come, which the operator makes ahead, and
// a default partition for everything else: an import of years of history goes there, and no event is ever refused
// for want of a partition.
const (
	monthsBehind = 1
	monthsAhead  = 3
)

// movable is how many events of a month the default partition may hold and still have them moved into a partition of
// their own. They are moved under a lock that readers wait for; this many take well under a second, and PostgreSQL's
// own look through the default partition about a second for ten million events, once a month. A fuller month stays
// where it is, which costs some pruning and nothing else.
const movable = 20_000

// EnsureEventPartitions makes the monthly partitions that are due at a time. It writes only what is missing.
func (db *DB) EnsureEventPartitions(ctx context.Context, now time.Time) error {
	rows, err := db.Pool.Query(ctx, `select relname from pg_class
		where relnamespace = $1::regnamespace and relispartition and relname like 'event\_2%'`, Schema)
	if err != nil {
		return fmt.Errorf("read the partitions of events: %w", err)
	}
	present, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the partitions of events: %w", err)
	}
	for _, month := range planPartitions(present, now) {
		if err := db.makeEventPartition(ctx, month); err != nil {
			return err
		}
	}
	return nil
}

func partitionName(month time.Time) string { return month.Format("event_2006_01") }

// planPartitions lists the months that are due and have no partition, each by its first moment in UTC.
func planPartitions(present []string, now time.Time) []time.Time {
	known := map[string]bool{}
	for _, name := range present {
		known[name] = true
	}
	now = now.UTC()
	var missing []time.Time
	for offset := -monthsBehind; offset <= monthsAhead; offset++ {
		month := time.Date(now.Year(), now.Month()+time.Month(offset), 1, 0, 0, 0, 0, time.UTC)
		if !known[partitionName(month)] {
			missing = append(missing, month)
		}
	}
	return missing
}

// makeEventPartition makes a month's partition, with the events of that month that came to the default partition
// before. It does nothing where those are too many to move while readers wait.
func (db *DB) makeEventPartition(ctx context.Context, month time.Time) error {
	name, next := partitionName(month), month.AddDate(0, 1, 0)
	var stray int64
	err := db.Pool.QueryRow(ctx, `select count(*) from (select from event_default where occurred_at >= $1 and occurred_at < $2 limit $3) e`,
		month, next, movable+1).Scan(&stray)
	if err != nil {
		return fmt.Errorf("count the events for partition %s: %w", name, err)
	}
	if stray > movable {
		return nil
	}
	err = db.withShortLocks(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "lock table event_default in access exclusive mode"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "create table "+sqlName(name)+" (like event including defaults including constraints)"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "with moved as (delete from event_default where occurred_at >= $1 and occurred_at < $2 returning *) insert into "+
			sqlName(name)+" select * from moved", month, next); err != nil {
			return err
		}
		return executeFormatted(ctx, tx, "attach the partition", "alter table event attach partition %I for values from (%L) to (%L)",
			name, month.Format(time.RFC3339), next.Format(time.RFC3339))
	})
	if err != nil {
		return fmt.Errorf("make partition %s: %w", name, err)
	}
	return nil
}
