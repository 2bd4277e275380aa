package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// SettleAnswer has an agent decide about an answer of which nobody knows whether it arrived, or which failed: a message of ours, by its public id, of
// the conversation that is named by a public id or a number. It returns ErrNotFound, and ErrPostingDecided where there is nothing to decide.
func (db *DB) SettleAnswer(ctx context.Context, ref, message string, by Actor, d PostingDecision) error {
	var dedup string
	err := db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		conversation, err := conversationRef(ctx, tx, ref)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `select o.dedup from message m join outbox o on o.message_id = m.id
			where m.conversation_id = $1 and m.public_id = $2::text::uuid and m.direction = 'Out'`, conversation, message).Scan(&dedup)
		return missing(err, "message", message)
	})
	if err == nil {
		d.By = by.Agent + " (" + by.Token + ")"
		err = db.DecidePosting(ctx, dedup, d)
	}
	if err != nil && !errors.Is(err, ErrPostingDecided) {
		return fmt.Errorf("settle an answer: %w", err)
	}
	return err
}
