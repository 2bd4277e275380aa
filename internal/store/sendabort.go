package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// abortChunks is how many chunks' rows are skipped in one transaction.
const abortChunks = 20

// EndAbortedSends skips what is pending of sends that a person aborted, a few chunks in each transaction, and records the
// end of those that have no open row any more. Intents are left to whoever settles them: one that was not taken after all
// becomes pending, and is skipped the next time. Chunks that somebody is changing at this moment are passed over. It returns
// the campaigns whose counts changed.
func (db *DB) EndAbortedSends(ctx context.Context) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		select s.id, s.campaign, s.finished_at is null from send s
		where s.state = 'Aborted' and (s.finished_at is null or s.id in (select send_id from send_chunk where open)) order by s.id`)
	if err != nil {
		return nil, fmt.Errorf("look for aborted sends: %w", err)
	}
	type aborted struct {
		ID         int64
		Campaign   string
		Unfinished bool
	}
	sends, err := pgx.CollectRows(rows, pgx.RowToStructByPos[aborted])
	if err != nil {
		return nil, fmt.Errorf("look for aborted sends: %w", err)
	}
	var changed []string
	for _, s := range sends {
		skipped, err := db.endPending(ctx, s.ID, campaign.AbortedSend)
		if skipped > 0 {
			changed = append(changed, s.Campaign)
		}
		if err == nil && s.Unfinished {
			err = db.finishAborted(ctx, s.ID, s.Campaign)
		}
		if err != nil {
			return changed, fmt.Errorf("end aborted campaign %q: %w", s.Campaign, err)
		}
	}
	return changed, nil
}

// chunkRange is a chunk and the rows that it holds.
type chunkRange struct {
	Chunk             int
	FirstSeq, LastSeq int64
	Leased            bool
}

// endPending skips what is pending of a send that has ended for a reason, in bounded transactions.
func (db *DB) endPending(ctx context.Context, sendID int64, reason campaign.SkipReason) (skipped int64, err error) {
	for after := -1; ; {
		n, chunks, err := db.endSomePending(ctx, sendID, after, reason)
		skipped += n
		if err != nil || len(chunks) < abortChunks {
			return skipped, err
		}
		after = chunks[len(chunks)-1].Chunk
	}
}

// endSomePending skips what is pending of the next chunks after one, in one transaction.
func (db *DB) endSomePending(ctx context.Context, sendID int64, after int, reason campaign.SkipReason) (skipped int64, chunks []chunkRange, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) (err error) {
		if chunks, err = lockPending(ctx, tx, sendID, after); err != nil {
			return fmt.Errorf("lock chunks: %w", err)
		}
		// In statements of their own, so that they see what was committed before the chunks were locked.
		if reason == campaign.Ended {
			if err := failPutOff(ctx, tx, sendID, chunks); err != nil {
				return err
			}
		}
		if skipped, err = skipPending(ctx, tx, sendID, chunks, reason); err != nil {
			return err
		}
		for _, c := range chunks {
			if c.Leased { // whoever holds it settles the chunk when it is given back
				continue
			}
			if err := settleChunk(ctx, tx, sendID, c.Chunk); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return skipped, chunks, nil
}

// lockPending locks the next chunks after one that hold pending rows, in the order of their key, as everybody does.
func lockPending(ctx context.Context, tx pgx.Tx, sendID int64, after int) ([]chunkRange, error) {
	rows, err := tx.Query(ctx, `
		select c.chunk, c.first_seq, c.last_seq, c.leased_until is not null and c.leased_until > now() from send_chunk c
		where c.send_id = $1 and c.open and c.chunk > $2
			and exists (select from ledger l where l.send_id = $1 and l.seq between c.first_seq and c.last_seq and l.state = 'pending')
		order by c.chunk limit $3 for no key update of c skip locked`, sendID, after, abortChunks)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[chunkRange])
}

// skipPending skips the pending rows of chunks that are locked, and tallies them. Each chunk's rows are found by a range of
// the ledger's key.
func skipPending(ctx context.Context, tx pgx.Tx, sendID int64, chunks []chunkRange, reason campaign.SkipReason) (skipped int64, err error) {
	var queue pgx.Batch
	for _, c := range chunks {
		queue.Queue(`
			with dropped as (
				update ledger set state = 'skipped', reason = $5, settled_at = now(), not_before = null
				where send_id = $1 and seq between $2 and $3 and state = 'pending' returning seq
			), tally as (
				insert into send_tally (send_id, chunk, outcome, n) select $1, $4, $6, count(*) from dropped having count(*) > 0
				on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n
			)
			select count(*) from dropped`, sendID, c.FirstSeq, c.LastSeq, c.Chunk, reason, skippedOutcome+string(reason)).
			QueryRow(func(row pgx.Row) error {
				var n int64
				err := row.Scan(&n)
				skipped += n
				return err
			})
	}
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return 0, fmt.Errorf("skip what is pending: %w", err)
	}
	return skipped, nil
}

// finishAborted records the end of an aborted send that has no open row.
func (db *DB) finishAborted(ctx context.Context, sendID int64, name string) error {
	return db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update send set finished_at = now() where id = $1 and state = 'Aborted' and finished_at is null
				and not exists (select from send_chunk where send_id = $1 and open)`, sendID)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return noteStatusChange(ctx, tx, CampaignKind, name)
	})
}
