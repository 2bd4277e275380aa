package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// DecidedError says that two contacts are not suggested any more: somebody has decided meanwhile, or they have changed.
type DecidedError struct {
	// Contact is the public id of the one that both are by now, and "" where they are two.
	Contact string
	// Parted tells that somebody has decided that they are two people.
	Parted bool
	// By and At say who decided last of them, and when; zero where nobody did.
	By string
	At time.Time
}

// Error implements error.
func (e *DecidedError) Error() string {
	switch {
	case e.Contact != "":
		return "the two are one contact already"
	case e.Parted:
		return "somebody has decided that the two are two people"
	}
	return "the two are not suggested any more: what is known of them has changed"
}

// AcceptSuggestion merges two contacts that are suggested as one person, by their public ids. It returns ErrNotFound where one is not there, and a
// *DecidedError where they are not suggested any more.
func (db *DB) AcceptSuggestion(ctx context.Context, a, b string, d Decider) (Merged, error) {
	return db.decide(ctx, "accept a suggestion", func(tx pgx.Tx) (Merged, error) {
		records, err := findSuggested(ctx, tx, a, b)
		if err != nil {
			return Merged{}, err
		}
		return mergeRecords(ctx, tx, records, d)
	})
}

// RejectSuggestion records that two contacts that are suggested as one person are two. Its errors are those of AcceptSuggestion.
func (db *DB) RejectSuggestion(ctx context.Context, a, b string, d Decider) (Merged, error) {
	return db.decide(ctx, "reject a suggestion", func(tx pgx.Tx) (Merged, error) {
		records, err := findSuggested(ctx, tx, a, b)
		if err != nil {
			return Merged{}, err
		}
		return distinguish(ctx, tx, records, d)
	})
}

// Distinguish records that two contacts, by their public ids, are two people: nothing merges them, and they are not suggested. It returns
// ErrNotFound where one is not there, and a *DecidedError where they are one contact.
func (db *DB) Distinguish(ctx context.Context, a, b string, d Decider) (Merged, error) {
	return db.decide(ctx, "tell contacts apart", func(tx pgx.Tx) (Merged, error) {
		records, err := findPublic(ctx, tx, a, b)
		if err != nil {
			return Merged{}, err
		}
		return distinguish(ctx, tx, records, d)
	})
}

// findSuggested finds the contacts of a pair, which has to be suggested.
func findSuggested(ctx context.Context, tx pgx.Tx, a, b string) ([]int64, error) {
	records, err := findPublic(ctx, tx, a, b)
	if err != nil {
		return nil, err
	}
	decided, err := findDecided(ctx, tx, records)
	if err != nil {
		return nil, err
	}
	if decided.Contact != "" || decided.Parted {
		return nil, decided
	}
	var waits bool
	err = tx.QueryRow(ctx, `select exists(select from suggestion where a = least(`+contactNow("$1::bigint")+`, `+contactNow("$2::bigint")+`)
		and b = greatest(`+contactNow("$1::bigint")+`, `+contactNow("$2::bigint")+`))`, records[0], records[1]).Scan(&waits)
	if err != nil {
		return nil, fmt.Errorf("look for the suggestion: %w", err)
	}
	if !waits {
		return nil, decided
	}
	return records, nil
}

// findDecided tells what was decided of the contacts of two records.
func findDecided(ctx context.Context, tx pgx.Tx, records []int64) (*DecidedError, error) {
	first, err := recordsWith(ctx, tx, records[0])
	if err != nil {
		return nil, err
	}
	second, err := recordsWith(ctx, tx, records[1])
	if err != nil {
		return nil, err
	}
	e := &DecidedError{}
	if slices.Contains(first, records[1]) {
		contacts, err := contactsOf(ctx, tx, records[:1])
		if err != nil {
			return nil, err
		}
		e.Contact = contacts[0]
	}
	err = tx.QueryRow(ctx, `
		select l.by_whom, l.at, not l.same from (
			select distinct on (d.a, d.b) d.id, d.by_whom, d.at, d.same from contact_decision d
			where d.a = any ($1) and d.b = any ($2) or d.a = any ($2) and d.b = any ($1) order by d.a, d.b, d.id desc) l
		order by l.same, l.id desc limit 1`, first, second).Scan(&e.By, &e.At, &e.Parted)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("look what was decided of contacts: %w", err)
	}
	e.Parted = e.Parted && e.Contact == ""
	return e, nil
}

// distinguish records that the contacts of two records are two people, all records of the one from all of the other.
func distinguish(ctx context.Context, tx pgx.Tx, records []int64, d Decider) (result Merged, err error) {
	decided, err := findDecided(ctx, tx, records)
	if err != nil {
		return result, err
	}
	if decided.Contact != "" {
		return result, decided
	}
	// Who looks at this moment for who may be one person does not know of the decision: what they find is written before it.
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(suggestionLock)); err != nil {
		return result, fmt.Errorf("hold the suggestions: %w", err)
	}
	if !decided.Parted {
		first, err := recordsWith(ctx, tx, records[0])
		if err != nil {
			return result, err
		}
		second, err := recordsWith(ctx, tx, records[1])
		if err != nil {
			return result, err
		}
		if err := recordDecision(ctx, tx, first, second, false, d); err != nil {
			return result, err
		}
		if _, err := reconcile(ctx, tx, records, nil); err != nil {
			return result, err
		}
		result.Changed = true
	}
	_, err = tx.Exec(ctx, `delete from suggestion where a = least(`+contactNow("$1::bigint")+`, `+contactNow("$2::bigint")+`)
		and b = greatest(`+contactNow("$1::bigint")+`, `+contactNow("$2::bigint")+`)`, records[0], records[1])
	if err != nil {
		return result, fmt.Errorf("remove the suggestion: %w", err)
	}
	result.Contacts, err = contactsOf(ctx, tx, records)
	return result, err
}
