package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ZonesOfRows reads the time zones of the contacts of a send's rows; contacts without one are missing.
func (db *DB) ZonesOfRows(ctx context.Context, sendID int64, pending []PendingRow) (map[int64]string, error) {
	rows, err := db.Pool.Query(ctx, `
		select l.seq, c.time_zone from ledger l join contact c on c.id = `+contactNow("l.contact_id")+`
		where l.send_id = $1 and l.seq = any ($2::bigint[]) and c.time_zone is not null`, sendID, seqsOf(pending))
	if err != nil {
		return nil, fmt.Errorf("read the time zones of recipients: %w", err)
	}
	zones := make(map[int64]string, len(pending))
	var seq int64
	var zone string
	if _, err := pgx.ForEachRow(rows, []any{&seq, &zone}, func() error { zones[seq] = zone; return nil }); err != nil {
		return nil, fmt.Errorf("read the time zones of recipients: %w", err)
	}
	return zones, nil
}

// PutOffRows keeps pending rows of a leased chunk from being tried before a moment each. A lease that is void by now changes
// nothing.
func (db *DB) PutOffRows(ctx context.Context, l Lease, pending []PendingRow, until []time.Time) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		held, err := lockChunk(ctx, tx, l)
		if err != nil || !held {
			return err
		}
		_, err = tx.Exec(ctx, `
			update ledger l set not_before = u.until from unnest($2::bigint[], $3::timestamptz[]) u (seq, until)
			where l.send_id = $1 and l.seq = u.seq and l.state = 'pending'`, l.SendID, seqsOf(pending), until)
		return err
	})
	if err != nil {
		return fmt.Errorf("put off rows of send %d: %w", l.SendID, err)
	}
	return nil
}
