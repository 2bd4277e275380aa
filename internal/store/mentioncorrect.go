package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// ByPerson is the engine of mentions whose sentiment a person decided on.
const ByPerson = "person"

// correctedPolarity is that of a mention whose label a person changed: of a plain good word, as the lexicon has it, or a plain bad one.
const correctedPolarity = 0.5

// SentimentCorrection is what a person said of how a mention was judged.
type SentimentCorrection struct {
	Label     sentiment.Label
	Was       sentiment.Label
	WasEngine string // who decided before
	Decider
	At time.Time
}

// CorrectSentiment records how a mention is really meant, and counts it so from then on. A person who agrees is recorded too. It returns
// ErrNotFound for a mention that is unknown or forgotten.
func (db *DB) CorrectSentiment(ctx context.Context, publicID string, label sentiment.Label, d Decider) (SentimentCorrection, error) {
	c := SentimentCorrection{Label: label, Decider: d}
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var id int64
		var polarity float64
		var createdAt time.Time
		var likes, reposts, replies *int64
		// Locked as by those who write mentions, whose tally comes last too.
		err := tx.QueryRow(ctx, `
			select id, label, polarity, engine, created_at, likes, reposts, replies from mention
			where public_id = $1 and forgotten_at is null for no key update`, publicID).
			Scan(&id, &c.Was, &polarity, &c.WasEngine, &createdAt, &likes, &reposts, &replies)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		changes, err := correctionTally(ctx, tx, id, c, createdAt, likes, reposts, replies)
		if err != nil {
			return err
		}
		if c.Was != label {
			polarity = map[sentiment.Label]float64{sentiment.Negative: -correctedPolarity, sentiment.Positive: correctedPolarity}[label]
		}
		var queue pgx.Batch
		queue.Queue("update mention set label = $2, polarity = $3, confidence = 1, deciding = null, ironic = false, engine = $4 where id = $1",
			id, label, polarity, ByPerson)
		queue.Queue(`
			insert into mention_correction (mention_id, label, was, was_engine, token, decided_by, reason) values ($1, $2, $3, $4, $5, $6, $7)
			returning decided_at`, id, label, c.Was, c.WasEngine, d.Token, d.By, d.Reason).QueryRow(func(row pgx.Row) error { return row.Scan(&c.At) })
		queueTally(&queue, changes)
		return tx.SendBatch(ctx, &queue).Close()
	})
	if err != nil {
		return SentimentCorrection{}, fmt.Errorf("correct the sentiment of a mention: %w", err)
	}
	return c, nil
}

// correctionTally is what a correction changes in the counts of the topics that a mention is about.
func correctionTally(
	ctx context.Context, tx pgx.Tx, id int64, c SentimentCorrection, createdAt time.Time, likes, reposts, replies *int64,
) (changes []tallyChange, err error) {
	if c.Was == c.Label {
		return nil, nil
	}
	var counted listen.Engagement
	for from, to := range map[*int64]*int64{likes: &counted.Likes, reposts: &counted.Reposts, replies: &counted.Replies} {
		if from != nil {
			*to = *from
		}
	}
	rows, err := tx.Query(ctx, "select topic_id, source_id from mention_topic where mention_id = $1", id)
	if err != nil {
		return nil, err
	}
	var topic, source int64
	_, err = pgx.ForEachRow(rows, []any{&topic, &source}, func() error {
		change := tallyChange{Topic: topic, Source: source, At: createdAt, Label: string(c.Was), Engagement: engaged(&counted), N: -1}
		after := change
		after.Label, after.N = string(c.Label), 1
		changes = append(changes, change, after)
		return nil
	})
	return changes, err
}

// Corrections are what people said of how a mention was judged, the last first.
func (db *DB) Corrections(ctx context.Context, publicID string) (list []SentimentCorrection, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select c.label, c.was, c.was_engine, c.token, c.decided_by, c.reason, c.decided_at
			from mention m join mention_correction c on c.mention_id = m.id where m.public_id = $1 and m.forgotten_at is null
			order by c.id desc limit 50`, publicID)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c SentimentCorrection, err error) {
			err = row.Scan(&c.Label, &c.Was, &c.WasEngine, &c.Token, &c.By, &c.Reason, &c.At)
			return c, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at the corrections of a mention: %w", err)
	}
	return list, nil
}
