package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Events, and what is done with messages, have a partition for the month before, the running one and three to come, which the
// operator makes ahead, and a default partition for everything else: an import of years of history goes there, and nothing is
// ever refused for want of a partition.
const (
	monthsBehind = 1
	monthsAhead  = 3
)

// monthly is a table that has a partition a month.
type monthly struct {
	table  string
	column string // that says when
}

var (
	eventMonths      = monthly{"event", "occurred_at"}
	engagementMonths = monthly{"engagement", "at"}
)

// movable is how many rows of a month the default partition may hold and still have them moved into a partition of
// their own. They are moved under a lock that readers wait for; this many take well under a second, and PostgreSQL's
// own look through the default partition about a second for ten million events, once a month. A fuller month stays
// where it is, which costs some pruning and nothing else.
const movable = 20_000

// EnsureEventPartitions makes the monthly partitions of events that are due at a time. It writes only what is missing.
func (db *DB) EnsureEventPartitions(ctx context.Context, now time.Time) error {
	return db.ensurePartitions(ctx, eventMonths, now)
}

// EnsureEngagementPartitions makes those of what is done with messages.
func (db *DB) EnsureEngagementPartitions(ctx context.Context, now time.Time) error {
	return db.ensurePartitions(ctx, engagementMonths, now)
}

func (db *DB) ensurePartitions(ctx context.Context, m monthly, now time.Time) error {
	present, err := db.listPartitions(ctx, m)
	if err != nil {
		return err
	}
	for _, month := range planPartitions(m, present, now) {
		if err := db.makePartition(ctx, m, month); err != nil {
			return err
		}
	}
	return nil
}

// listPartitions names the partitions of months.
func (db *DB) listPartitions(ctx context.Context, m monthly) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `select relname from pg_class
		where relnamespace = $1::regnamespace and relispartition and relname like $2`, Schema, m.table+`\_2%`)
	if err != nil {
		return nil, fmt.Errorf("read the partitions of %s: %w", m.table, err)
	}
	present, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the partitions of %s: %w", m.table, err)
	}
	return present, nil
}

const partitionMonth = "_2006_01"

func (m monthly) partition(month time.Time) string { return m.table + month.Format(partitionMonth) }

// planPartitions lists the months that are due and have no partition, each by its first moment in UTC.
func planPartitions(m monthly, present []string, now time.Time) []time.Time {
	known := map[string]bool{}
	for _, name := range present {
		known[name] = true
	}
	now = now.UTC()
	var missing []time.Time
	for offset := -monthsBehind; offset <= monthsAhead; offset++ {
		month := time.Date(now.Year(), now.Month()+time.Month(offset), 1, 0, 0, 0, 0, time.UTC)
		if !known[m.partition(month)] {
			missing = append(missing, month)
		}
	}
	return missing
}

// makePartition makes a month's partition, with the rows of that month that came to the default partition
// before. It does nothing where those are too many to move while readers wait.
func (db *DB) makePartition(ctx context.Context, m monthly, month time.Time) error {
	name, next := m.partition(month), month.AddDate(0, 1, 0)
	var stray int64
	err := db.Pool.QueryRow(ctx, "select count(*) from (select from "+sqlName(m.table+"_default")+" where "+m.during()+" limit $3) e",
		month, next, movable+1).Scan(&stray)
	if err != nil {
		return fmt.Errorf("count the rows for partition %s: %w", name, err)
	}
	if stray > movable {
		return nil
	}
	err = db.withShortLocks(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "lock table "+sqlName(m.table+"_default")+" in access exclusive mode"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "create table "+sqlName(name)+" (like "+sqlName(m.table)+" including defaults including constraints)"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "with moved as (delete from "+sqlName(m.table+"_default")+" where "+m.during()+" returning *) insert into "+
			sqlName(name)+" select * from moved", month, next); err != nil {
			return err
		}
		return executeFormatted(ctx, tx, "attach the partition", "alter table %I attach partition %I for values from (%L) to (%L)",
			m.table, name, month.Format(time.RFC3339), next.Format(time.RFC3339))
	})
	if err != nil {
		return fmt.Errorf("make partition %s: %w", name, err)
	}
	return nil
}

// during is true for the rows of a month, whose first moment is $1 and whose end is $2.
func (m monthly) during() string {
	return sqlName(m.column) + " >= $1 and " + sqlName(m.column) + " < $2"
}
