package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostingVerdict is what a person says of a posting.
type PostingVerdict string

// The verdicts.
const (
	VerdictSent   PostingVerdict = "Sent"   // it is there
	VerdictFailed PostingVerdict = "Failed" // it is not there, and need not be
	VerdictAgain  PostingVerdict = "Again"  // it is not there: it leaves again
)

// PostingDecision is a person's, about a posting that may be there, or that failed.
type PostingDecision struct {
	Verdict PostingVerdict
	By, Why string
	URL     string // where it is, of one that is there; "" where nobody said
}

// ErrPostingDecided says that there is nothing to decide: the posting is not ambiguous and did not fail, or is not there.
var ErrPostingDecided = errors.New("nothing is to be decided about it: it is under way, was sent, or is not there any more")

// DecidePosting has a person decide what nobody can find out: whether a posting is there, or leaves again. It returns ErrPostingDecided for one about
// which nothing is to be decided.
func (db *DB) DecidePosting(ctx context.Context, dedup string, d PostingDecision) error {
	err := retryConflicts(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "select "+durable); err != nil {
				return err
			}
			return decidePosting(ctx, tx, dedup, d)
		})
	})
	if err != nil {
		return fmt.Errorf("decide what became of a posting: %w", err)
	}
	return nil
}

// verdictStates are what verdicts make of a posting.
var verdictStates = map[PostingVerdict]PostingState{VerdictSent: PostingSent, VerdictFailed: PostingFailed, VerdictAgain: PostingPending}

// decidePosting decides about one. Whoever still has it in hand loses it: what they learn comes too late.
func decidePosting(ctx context.Context, tx pgx.Tx, dedup string, d PostingDecision) error {
	state, known := verdictStates[d.Verdict]
	if !known {
		return fmt.Errorf("the verdict %q is none of Sent, Failed, Again", d.Verdict)
	}
	rows, err := tx.Query(ctx, "select "+postingColumns+`, now() from outbox o
		where o.dedup = $1 and (o.state = 'ambiguous' or o.state = 'failed' and $2::boolean) for no key update of o`, dedup, state == PostingPending)
	if err != nil {
		return err
	}
	var at time.Time
	p, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (Posting, error) { return readPostingWith(row, &at) })
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrPostingDecided
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		update outbox o set state = $2, epoch = o.epoch + 1, attempts = 0, leased_until = null, reply = null,
			not_before = case when $2 = 'pending' then now() else o.not_before end, due_at = case when $2 = 'pending' then now() else o.due_at end,
			settled_at = case when $2 <> 'pending' then now() end, url = coalesce(nullif($3, ''), o.url),
			decision = jsonb_build_object('verdict', $4::text, 'by', $5::text, 'why', $6::text, 'at', now())
		where o.id = $1`, p.ID, state, d.URL, d.Verdict, d.By, d.Why)
	if err != nil {
		return err
	}
	s := Posted{Posting: p, State: state, Reply: d.Why, URL: d.URL}
	if w, err := p.ReadWritten(); err == nil && state == PostingSent {
		s.Native = w.ID
	}
	return tellOfPosting(ctx, tx, &s, at)
}

// againPostings has the publications of a send leave again that may be there: a person said that they are not.
func againPostings(ctx context.Context, tx pgx.Tx, sendID int64, d PostingDecision) error {
	rows, err := tx.Query(ctx, "select dedup from outbox where send_id = $1 and state = 'ambiguous' order by id", sendID)
	if err != nil {
		return fmt.Errorf("list what may be there: %w", err)
	}
	dedups, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list what may be there: %w", err)
	}
	d.Verdict = VerdictAgain
	for _, dedup := range dedups {
		if err := decidePosting(ctx, tx, dedup, d); err != nil {
			return fmt.Errorf("have a publication leave again: %w", err)
		}
	}
	return nil
}

// PostingQuery selects postings.
type PostingQuery struct {
	States  []PostingState // none: all
	Channel string         // "": any
	After   int64          // the last one that was listed before
	Limit   int            // default: 100
}

// LookedPosting is a posting as people see it.
type LookedPosting struct {
	ID      int64
	Kind    string
	Channel string
	DedupID string
	State   PostingState
	Rule    string // "" for none
	Step    string
	MadeAt  time.Time
	TriedAt *time.Time
	Tries   int
	URL     string
	Reply   string
}

// ListPostings lists postings, the newest first.
func (db *DB) ListPostings(ctx context.Context, q PostingQuery) ([]LookedPosting, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	states := make([]string, len(q.States))
	for i, s := range q.States {
		states[i] = string(s)
	}
	rows, err := db.Pool.Query(ctx, `
		select o.id, o.kind, o.channel, o.dedup, o.state, coalesce(r.name, ''), coalesce(o.step, ''), o.made_at, o.tried_at, o.attempts, coalesce(o.url, ''),
			coalesce(o.reply, '')
		from outbox o left join automation_rule r on r.id = o.rule_id
		where ($1 = 0 or o.id < $1) and (o.state = any ($2) or $2 = '{}') and $3 in ('', o.channel) order by o.id desc limit $4`,
		q.After, states, q.Channel, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list postings: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LookedPosting])
	if err != nil {
		return nil, fmt.Errorf("list postings: %w", err)
	}
	return list, nil
}
