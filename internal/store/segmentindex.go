package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// eventCrossing is the index by which a sweep finds the events that have become so old. The name stands in it as an expression
// that no other statement uses: before the first ANALYZE the planner would take an index on the name for a contact's events too,
// and evaluating a segment would take minutes.
const eventCrossing = "((name || ''), occurred_at)"

// ensureCrossings makes the indexes by which sweeps find who crosses a segment's boundaries. They are built while everybody goes on
// writing; one whose build was interrupted is built again.
func (db *DB) ensureCrossings(ctx context.Context, d *segment.Dependencies) error {
	if d == nil {
		return nil
	}
	var columns []string
	events := false
	for _, b := range d.Boundaries {
		switch b.Of {
		case segment.OfEvent:
			events = true
		case segment.OfField:
			columns = append(columns, b.Name)
		}
	}
	if events {
		if err := db.ensureEventCrossing(ctx); err != nil {
			return err
		}
	}
	slices.Sort(columns)
	for _, column := range slices.Compact(columns) {
		if err := db.ensureFieldCrossing(ctx, column); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) ensureEventCrossing(ctx context.Context) error {
	var valid bool
	err := db.Pool.QueryRow(ctx, "select coalesce((select indisvalid from pg_index where indexrelid = to_regclass('event_crossing')), false)").Scan(&valid)
	if err != nil || valid {
		return err
	}
	return db.buildAlone(ctx, db.buildEventCrossing)
}

func (db *DB) buildEventCrossing(ctx context.Context) error {
	err := db.withShortLocks(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "create index if not exists event_crossing on only event "+eventCrossing)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the index of events by time: %w", err)
	}
	// Partitions that are made from now on have it from the beginning.
	rows, err := db.Pool.Query(ctx, `
		select p.relname from pg_inherits i join pg_class p on p.oid = i.inhrelid
		where i.inhparent = 'event'::regclass and not exists (
			select from pg_inherits c join pg_index x on x.indexrelid = c.inhrelid
			where c.inhparent = 'event_crossing'::regclass and x.indrelid = p.oid)
		order by 1`)
	if err != nil {
		return fmt.Errorf("read the partitions of event: %w", err)
	}
	partitions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the partitions of event: %w", err)
	}
	for _, partition := range partitions {
		index := partition + "_crossing"
		if err := db.buildIndex(ctx, index, partition, eventCrossing); err != nil {
			return err
		}
		err := db.withShortLocks(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "alter index event_crossing attach partition "+sqlName(index))
			return err
		})
		if err != nil {
			return fmt.Errorf("attach index %s: %w", index, err)
		}
	}
	return nil
}

// ensureFieldCrossing indexes a column of contacts, unless some index begins with it. The index is named after the column's number,
// because a column whose attribute gets another type is renamed and keeps its index.
func (db *DB) ensureFieldCrossing(ctx context.Context, column string) error {
	var name *string
	err := db.Pool.QueryRow(ctx, `
		select (select 'contact_crossing_' || a.attnum from pg_attribute a where a.attrelid = 'contact'::regclass and a.attname = $1
			and not a.attisdropped and not exists (
				select from pg_index x where x.indrelid = a.attrelid and x.indkey[0] = a.attnum and x.indisvalid and x.indpred is null))`,
		column).Scan(&name)
	if err != nil {
		return fmt.Errorf("look for an index of %s: %w", column, err)
	}
	if name == nil {
		return nil
	}
	return db.buildAlone(ctx, func(ctx context.Context) error {
		return db.buildIndex(ctx, *name, "contact", "("+sqlName(column)+")")
	})
}

// crossingsLock is the advisory lock under which these indexes are built.
const crossingsLock = 1902115850

// buildAlone runs f while nobody else builds such an index in this database: two that are built at once wait for each other, which
// PostgreSQL ends as a deadlock.
func (db *DB) buildAlone(ctx context.Context, f func(context.Context) error) error {
	turn := time.NewTicker(200 * time.Millisecond)
	defer turn.Stop()
	for {
		if ran, err := db.withSessionLock(ctx, crossingsLock, f); ran || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-turn.C:
		}
	}
}

// buildIndex builds an index while everybody goes on writing. What an interrupted build left behind goes first.
func (db *DB) buildIndex(ctx context.Context, name, table, on string) error {
	var invalid bool
	err := db.Pool.QueryRow(ctx, "select exists (select from pg_index where indexrelid = to_regclass($1) and not indisvalid)", sqlName(name)).Scan(&invalid)
	if err != nil {
		return fmt.Errorf("look at index %s: %w", name, err)
	}
	statements := []string{"create index concurrently if not exists " + sqlName(name) + " on " + sqlName(table) + " " + on}
	if invalid {
		statements = append([]string{"drop index concurrently if exists " + sqlName(name)}, statements...)
	}
	for _, statement := range statements {
		if _, err := db.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("build index %s: %w", name, err)
		}
	}
	if strings.HasPrefix(name, "event") {
		if _, err := db.Pool.Exec(ctx, "analyze "+sqlName(table)); err != nil {
			return fmt.Errorf("analyze %s: %w", table, err)
		}
	}
	return nil
}
