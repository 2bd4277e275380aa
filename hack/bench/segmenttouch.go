package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// touched is what following changes reads and writes, for each change.
type touched struct {
	buffers float64 // pages of tables and indexes, whether in memory or not
	rows    float64 // rows and entries of indexes that were read, and rows that were written
	moves   float64 // of contacts into segments and out of them
}

const (
	touchRounds = 22 // of which the first ones are not counted: plans are made in them
	touchWarmUp = 2
	touchAtOnce = 25 // batches
)

// touch makes changes and follows them over one connection, and counts what that touches. Nobody else does anything meanwhile.
func (b *segmentBench) touch(ctx context.Context, contacts, firstBatch int) (t touched, err error) {
	if err := b.autovacuum(ctx, "off"); err != nil {
		return t, err
	}
	defer func() {
		if e := b.autovacuum(context.WithoutCancel(ctx), "on"); err == nil {
			err = e
		}
	}()
	db, err := store.Open(ctx, b.url, store.Options{MaxConns: 1})
	if err != nil {
		return t, err
	}
	defer db.Close()
	maker := changeMaker{contacts: contacts}
	n := 0
	for round := range touchRounds {
		for i := range touchAtOnce {
			if err := writeBatch(ctx, db, maker.batch(firstBatch+round*touchAtOnce+i)); err != nil {
				return t, err
			}
		}
		before, err := readTouched(ctx, db)
		if err != nil {
			return t, err
		}
		moves, err := followAll(ctx, db)
		if err != nil {
			return t, err
		}
		after, err := readTouched(ctx, db)
		if err != nil {
			return t, err
		}
		if round < touchWarmUp {
			continue
		}
		n += touchAtOnce * changeBatch
		t.buffers += after.buffers - before.buffers
		t.rows += after.rows - before.rows
		t.moves += moves
	}
	return touched{t.buffers / float64(n), t.rows / float64(n), t.moves / float64(n)}, nil
}

func writeBatch(ctx context.Context, db *store.DB, c changes) error {
	return db.Pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		_, err := c.write(ctx, conn.Conn())
		return err
	})
}

// followAll follows changes until there are none, and returns how many moved.
func followAll(ctx context.Context, db *store.DB) (moves float64, err error) {
	for more := true; more; {
		f, err := db.FollowChanges(ctx, store.ChangesAtOnce)
		if err != nil {
			return 0, err
		}
		moves += float64(f.Entered + f.Left)
		// Segments that others ask for make changes of their own.
		if err := db.Pool.QueryRow(ctx, "select exists (select from segment_change)").Scan(&more); err != nil {
			return 0, err
		}
	}
	return moves, nil
}

// readTouched reads what has been touched in the database until now. A connection tells of what it did when it is told to.
func readTouched(ctx context.Context, db *store.DB) (t touched, err error) {
	if _, err := db.Pool.Exec(ctx, "select pg_stat_force_next_flush()"); err != nil {
		return t, err
	}
	err = db.Pool.QueryRow(ctx, `
		select pg_stat_get_db_blocks_fetched(oid), pg_stat_get_db_tuples_returned(oid) + pg_stat_get_db_tuples_fetched(oid)
			+ pg_stat_get_db_tuples_inserted(oid) + pg_stat_get_db_tuples_updated(oid) + pg_stat_get_db_tuples_deleted(oid)
		from pg_database where datname = current_database()`).Scan(&t.buffers, &t.rows)
	if err != nil {
		return t, fmt.Errorf("read what was touched: %w", err)
	}
	return t, nil
}

// autovacuum turns the server's own housekeeping on or off.
func (b *segmentBench) autovacuum(ctx context.Context, to string) error {
	for _, statement := range []string{"alter system set autovacuum = " + to, "select pg_reload_conf()"} {
		if _, err := b.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("turn autovacuum %s: %w", to, err)
		}
	}
	return nil
}
