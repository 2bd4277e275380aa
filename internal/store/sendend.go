package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// EndSends settles what is pending of sends whose end has come: a message that a receiver had put off has failed, and who was never
// tried is skipped. Intents are left to whoever settles them. It returns the campaigns whose counts changed.
func (db *DB) EndSends(ctx context.Context) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		select s.id, s.campaign from send s
		where s.state = 'Sending' and not `+sendUnended+` and exists (select from send_chunk c where c.send_id = s.id and c.open) order by s.id`)
	if err != nil {
		return nil, fmt.Errorf("look for sends that have ended: %w", err)
	}
	type ended struct {
		ID       int64
		Campaign string
	}
	sends, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ended])
	if err != nil {
		return nil, fmt.Errorf("look for sends that have ended: %w", err)
	}
	var changed []string
	for _, s := range sends {
		if _, err := db.endPending(ctx, s.ID, campaign.Ended); err != nil {
			return changed, fmt.Errorf("end campaign %q: %w", s.Campaign, err)
		}
		changed = append(changed, s.Campaign)
	}
	return changed, nil
}

// failPutOff gives up the messages of locked chunks that a receiver put off: it was asked, and said not now.
func failPutOff(ctx context.Context, tx pgx.Tx, sendID int64, chunks []chunkRange) error {
	var queue pgx.Batch
	for _, c := range chunks {
		queue.Queue(`
			with failed as (
				update ledger set state = 'failed', reason = $5, settled_at = now(), not_before = null
				where send_id = $1 and seq between $2 and $3 and state = 'pending' and reply is not null returning seq
			)
			insert into send_tally (send_id, chunk, outcome, n) select $1, $4, 'failed', count(*) from failed having count(*) > 0
			on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n`,
			sendID, c.FirstSeq, c.LastSeq, c.Chunk, campaign.Ended)
	}
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return fmt.Errorf("give up what was put off: %w", err)
	}
	return nil
}
