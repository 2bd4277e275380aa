package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// shareQuantile is the part of a test share's messages that must have been accepted for its time to begin: a mailbox that is full
// for days does not keep the rest of the audience waiting.
const shareQuantile = 0.95

// DecideWinner decides which variant the rest of a send gets, where its time has come: all of the test share was tried, and the
// time that the test takes has passed since most of it was accepted. The decision is recorded with its numbers, once, whoever makes
// it. It returns nil where there is nothing to decide yet, or any more.
func (db *DB) DecideWinner(ctx context.Context, sendID int64, now time.Time) (*campaign.Decision, error) {
	var decided *campaign.Decision
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var name string
		var test campaign.Test
		var variants []SendVariant
		var frozenAt time.Time
		err := tx.QueryRow(ctx, `
			select campaign, test, variants, frozen_at from send
			where id = $1 and state = 'Sending' and test is not null and winner is null for no key update skip locked`, sendID).
			Scan(&name, &test, &variants, &frozenAt)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && now.Before(frozenAt.Add(test.After())) {
			return nil
		}
		if err != nil {
			return err
		}
		ready, err := testReady(ctx, tx, sendID, test, now)
		if err != nil || !ready {
			return err
		}
		responses, err := readResponses(ctx, tx, sendID, test.Metric, variants)
		if err != nil {
			return err
		}
		decision := campaign.Decide(test.Metric, responses)
		if _, err := tx.Exec(ctx, "update send set winner = $2, decision = $3 where id = $1", sendID, decision.Winner, decision); err != nil {
			return err
		}
		decided = &decision
		return noteStatusChange(ctx, tx, CampaignKind, name)
	})
	if err != nil {
		return nil, fmt.Errorf("decide the winner of send %d: %w", sendID, err)
	}
	return decided, nil
}

// testReady tells whether the time of a test is over.
func testReady(ctx context.Context, tx pgx.Tx, sendID int64, test campaign.Test, now time.Time) (bool, error) {
	var untried bool
	var sent *time.Time
	err := tx.QueryRow(ctx, `
		select coalesce(bool_or(l.state = 'intent' or l.state = 'pending' and l.attempts = 0), false),
			percentile_disc($2::float8) within group (order by l.settled_at) filter (where l.state = 'sent')
		from send_chunk c join ledger l on l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq
		where c.send_id = $1 and c.stage = 0`, sendID, shareQuantile).Scan(&untried, &sent)
	if err != nil || untried {
		return false, err
	}
	// Where nobody of the share got anything there is nothing to wait for.
	return sent == nil || !now.Before(sent.Add(test.After())), nil
}

// answersOf is what of a message's engagement a metric counts.
var answersOf = map[campaign.Metric]string{campaign.Opened: "opened", campaign.Clicked: "clicked"}

// readResponses reads how the variants did in the test share.
func readResponses(ctx context.Context, tx pgx.Tx, sendID int64, metric campaign.Metric, variants []SendVariant) ([]campaign.Response, error) {
	rows, err := tx.Query(ctx, `
		with accepted as (
			select l.variant, count(*) n from send_chunk c join ledger l on l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq
			where c.send_id = $1 and c.stage = 0 and l.state = 'sent' group by l.variant)
		select v.variant::int, coalesce(a.n, 0), coalesce(e.people, 0)
		from generate_series(0, $3::int - 1) v (variant) left join accepted a on a.variant = v.variant
			left join engagement_tally e on e.send_id = $1 and e.variant = v.variant and e.what = $2
		order by v.variant`, sendID, answersOf[metric], len(variants))
	if err != nil {
		return nil, fmt.Errorf("read what the variants did: %w", err)
	}
	responses := make([]campaign.Response, 0, len(variants))
	var i int
	var sent, answers int64
	_, err = pgx.ForEachRow(rows, []any{&i, &sent, &answers}, func() error {
		responses = append(responses, campaign.Response{Variant: variants[i].Name, Sent: sent, Answers: answers})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what the variants did: %w", err)
	}
	return responses, nil
}
