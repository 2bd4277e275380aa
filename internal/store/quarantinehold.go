package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// HeldSend is a send that a release left for a person to decide about.
type HeldSend struct {
	SendKey    string
	Occurrence string
	Campaign   string
	HeldAt     time.Time
}

// sendHeld is true for a send s that waits for a person's decision after a quarantine.
const sendHeld = `exists (select from send_hold h where h.send_key = s.send_key and h.occurrence = s.occurrence and h.resumed_at is null)`

func holdSends(ctx context.Context, tx pgx.Tx, quarantine int64, held []HeldSend) error {
	for _, h := range held {
		_, err := tx.Exec(ctx, `
			insert into send_hold (send_key, occurrence, campaign, quarantine_id) values ($1, $2, $3, $4)
			on conflict (send_key, occurrence) do update set campaign = excluded.campaign, quarantine_id = excluded.quarantine_id, held_at = now(),
				resumed_at = null, resumed_token = null, resumed_by = null, resume_reason = null`, h.SendKey, h.Occurrence, h.Campaign, quarantine)
		if err != nil {
			return fmt.Errorf("hold send %q: %w", h.SendKey, err)
		}
		if err := noteStatusChange(ctx, tx, CampaignKind, h.Campaign); err != nil {
			return err
		}
	}
	return nil
}

// HeldSends lists the sends that wait for a person's decision.
func (db *DB) HeldSends(ctx context.Context) ([]HeldSend, error) {
	rows, err := db.Pool.Query(ctx, "select send_key, occurrence, campaign, held_at from send_hold where resumed_at is null order by campaign, send_key")
	if err != nil {
		return nil, fmt.Errorf("list the held sends: %w", err)
	}
	held, err := pgx.CollectRows(rows, pgx.RowToStructByPos[HeldSend])
	if err != nil {
		return nil, fmt.Errorf("list the held sends: %w", err)
	}
	return held, nil
}

// ResumeSends lets the held sends of a campaign go on where they stopped, and records who decided. It tells how many were
// held: none is no error, so that it can be repeated.
func (db *DB) ResumeSends(ctx context.Context, campaign string, r Release) (resumed int64, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update send_hold set resumed_at = now(), resumed_token = $2, resumed_by = $3, resume_reason = $4
			where resumed_at is null and (campaign = $1 or send_key in (select send_key from send where campaign = $1))`, campaign, r.Token, r.By, r.Reason)
		if err != nil {
			return err
		}
		resumed = tag.RowsAffected()
		return noteStatusChange(ctx, tx, CampaignKind, campaign)
	})
	if err != nil {
		return 0, fmt.Errorf("resume campaign %q: %w", campaign, err)
	}
	return resumed, nil
}
