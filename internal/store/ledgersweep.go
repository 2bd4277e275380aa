package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// SweepIntents makes ambiguous what workers that are gone had committed and not settled: intents older than the given
// age whose lease is no longer in force. The age must exceed the time that a hand-over can take. It returns the
// campaigns whose counts changed.
func (db *DB) SweepIntents(ctx context.Context, age time.Duration) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		select c.send_id, c.chunk, s.campaign from send_chunk c join send s on s.id = c.send_id
		where c.open and c.owner is not null order by c.send_id, c.chunk`)
	if err != nil {
		return nil, fmt.Errorf("look for chunks with intents: %w", err)
	}
	type suspect struct {
		SendID   int64
		Chunk    int
		Campaign string
	}
	suspects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[suspect])
	if err != nil {
		return nil, fmt.Errorf("look for chunks with intents: %w", err)
	}
	var changed []string
	for _, s := range suspects {
		swept, err := db.sweepChunk(ctx, s.SendID, s.Chunk, age)
		if err != nil {
			return changed, fmt.Errorf("sweep chunk %d of send %d: %w", s.Chunk, s.SendID, err)
		}
		if swept {
			changed = append(changed, s.Campaign)
		}
	}
	return changed, nil
}

func (db *DB) sweepChunk(ctx context.Context, sendID int64, chunk int, age time.Duration) (swept bool, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		// A chunk that somebody works on at this moment is looked at the next time.
		var leased bool
		err := tx.QueryRow(ctx, `select leased_until is not null and leased_until > now() from send_chunk
			where send_id = $1 and chunk = $2 and open for no key update skip locked`, sendID, chunk).Scan(&leased)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			with lost as (
				update ledger l set state = 'ambiguous', settled_at = now()
				from send_chunk c
				where c.send_id = $1 and c.chunk = $2 and l.send_id = $1 and l.seq between c.first_seq and c.last_seq
					and l.state = 'intent' and l.intent_at < now() - $3::interval and not (l.epoch = c.epoch and $4)
				returning l.seq)
			insert into send_tally (send_id, chunk, outcome, n) select $1, $2, 'ambiguous', count(*) from lost having count(*) > 0
			on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n`, sendID, chunk, age, leased)
		if err != nil {
			return err
		}
		swept = tag.RowsAffected() > 0
		if leased {
			return nil
		}
		return settleChunk(ctx, tx, sendID, chunk)
	})
	return swept, err
}

// endDormantSend skips what is pending of a send whose campaign did not come back. One that was not frozen has nothing
// to skip: its deadline ends it.
func endDormantSend(ctx context.Context, tx pgx.Tx, sendID int64) error {
	// All chunks are locked first, in the order of the key, as everybody does who changes rows of the ledger.
	if _, err := tx.Exec(ctx, "select from send_chunk where send_id = $1 and open order by chunk for no key update", sendID); err != nil {
		return fmt.Errorf("lock the chunks of dormant send %d: %w", sendID, err)
	}
	_, err := tx.Exec(ctx, `
		with dropped as (
			update ledger l set state = 'skipped', reason = $2, settled_at = now()
			from send_chunk c
			where c.send_id = $1 and c.open and l.send_id = $1 and l.seq between c.first_seq and c.last_seq and l.state = 'pending'
			returning c.chunk)
		insert into send_tally (send_id, chunk, outcome, n)
		select $1, chunk, $3, count(*) from dropped group by chunk
		on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n`,
		sendID, campaign.Dormant, skippedOutcome+string(campaign.Dormant))
	if err != nil {
		return fmt.Errorf("skip what is pending of dormant send %d: %w", sendID, err)
	}
	// Chunks that hold intents of a worker that is gone stay open for the sweep.
	_, err = tx.Exec(ctx, `
		update send_chunk c set next_at = 'infinity',
			open = exists (select from ledger l where l.send_id = $1 and l.seq between c.first_seq and c.last_seq and l.state = 'intent')
		where c.send_id = $1 and c.open`, sendID)
	if err != nil {
		return fmt.Errorf("close the chunks of dormant send %d: %w", sendID, err)
	}
	return nil
}

// EndDormantSends skips what is pending of sends that have been dormant for longer than campaign.DormancyLimit.
func (db *DB) EndDormantSends(ctx context.Context) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select id from send where state = 'Sending' and dormant_since < now() - $1::interval order by id for update skip locked`, campaign.DormancyLimit)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := endDormantSend(ctx, tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end dormant sends: %w", err)
	}
	return nil
}
