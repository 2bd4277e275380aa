package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// SaveSources records whose word counts of a type of records, the highest first. It writes only what differs and tells whether it wrote.
// Workers then have the new order count for who has several records (SettleSources).
func (db *DB) SaveSources(ctx context.Context, recordType string, sources []string) (changed bool, err error) {
	tag, err := db.Pool.Exec(ctx, `
		insert into record_type (name, sources, settled_to) select $1, $2, 0
		where coalesce((select sources from record_type where name = $1), '{}') <> $2
		on conflict (name) do update set sources = excluded.sources, settled_to = excluded.settled_to`, recordType, orEmpty(sources))
	if err != nil {
		return false, fmt.Errorf("save the sources of record type %q: %w", recordType, err)
	}
	return tag.RowsAffected() > 0, nil
}

// SettleSources has a new order of sources count for the next contacts of several records, at most so many. It tells whether there may be
// more of them. Who dies in the middle of it has done nothing, and several who do it at once share it.
func (db *DB) SettleSources(ctx context.Context, most int) (more bool, err error) {
	var due bool
	err = db.Pool.QueryRow(ctx, "select exists (select from record_type where name = 'contact' and settled_to is not null)").Scan(&due)
	if err == nil && due {
		err = retryConflicts(func() error {
			return db.InTx(ctx, func(tx pgx.Tx) (err error) {
				more, err = settleSources(ctx, tx, most)
				return err
			})
		})
	}
	if err != nil {
		return false, fmt.Errorf("have a new order of sources count: %w", err)
	}
	return more, nil
}

// settleSources holds the identities alone: whoever read the order of before has committed. A newer order begins from the first contact again,
// and waits for this transaction at its row.
func settleSources(ctx context.Context, tx pgx.Tx, most int) (more bool, err error) {
	if _, err := tx.Exec(ctx, lockIdentities, int64(identityLock)); err != nil {
		return false, err
	}
	var after int64
	err = tx.QueryRow(ctx, "select settled_to from record_type where name = 'contact' and settled_to is not null for update").Scan(&after)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rows, err := tx.Query(ctx, "select distinct contact_id from contact_record where contact_id > $1 order by contact_id limit $2", after, most)
	if err != nil {
		return false, err
	}
	contacts, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return false, err
	}
	if len(contacts) == 0 {
		_, err := tx.Exec(ctx, "update record_type set settled_to = null where name = 'contact'")
		return false, err
	}
	if _, err := reconcile(ctx, tx, contacts, nil); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, "update record_type set settled_to = $1 where name = 'contact'", slices.Max(contacts))
	return true, err
}
