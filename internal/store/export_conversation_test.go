package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// SettleMessage settles an answer by its public id, as the outbox does.
func (db *DB) SettleMessage(ctx context.Context, publicID string, state MessageState, native []string, reply string) error {
	return db.InTx(ctx, func(tx pgx.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, "select id from message where public_id = $1", publicID).Scan(&id); err != nil {
			return err
		}
		return settleMessage(ctx, tx, id, state, native, "https://social.example/answer", reply, time.Now())
	})
}

// ConversationsOf takes up mentions, as rules do.
func (db *DB) ConversationsOf(ctx context.Context, mentions []int64) (found map[int64]int64, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		found, err = conversationsOf(ctx, tx, mentions)
		return err
	})
	return found, err
}

// TakeUpSlowly takes up mentions, and does something before that is committed.
func (db *DB) TakeUpSlowly(ctx context.Context, mentions []int64, before func()) error {
	return db.InTx(ctx, func(tx pgx.Tx) error {
		_, err := conversationsOf(ctx, tx, mentions)
		before()
		return err
	})
}

// RuleReply has a rule reply in a conversation.
func (db *DB) RuleReply(ctx context.Context, conversation int64, dedup, text string) (refused error, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		list, err := queueReplies(ctx, tx, []replyWish{{Conversation: conversation, Text: text, Dedup: dedup, Rule: 1, Entry: 1, Step: "reply", At: time.Now()}})
		if err == nil {
			refused = list[0]
		}
		return err
	})
	return refused, err
}
