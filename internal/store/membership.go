package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// SegmentWork is a segment with what decides whether it has to be built.
type SegmentWork struct {
	Name  string
	State segment.State
}

// SegmentsAtWork lists the segments that are in force, for segment.Due to judge.
func (db *DB) SegmentsAtWork(ctx context.Context) ([]SegmentWork, error) {
	rows, err := db.Pool.Query(ctx, `
		select name, watched, follows is not null, digest, coalesce(built_digest, ''), refresh_asked_at, built_at
		from segment where dormant_since is null order by built_at nulls first, name`)
	if err != nil {
		return nil, fmt.Errorf("read the segments: %w", err)
	}
	work, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SegmentWork, error) {
		var w SegmentWork
		var asked, built *time.Time
		err := row.Scan(&w.Name, &w.State.Watched, &w.State.Followed, &w.State.Digest, &w.State.BuiltDigest, &asked, &built)
		w.State.AskedAt, w.State.BuiltAt = valueOf(asked), valueOf(built)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the segments: %w", err)
	}
	return work, nil
}

// definition is a segment as an evaluation finds it.
type definition struct {
	segment.Evaluation
	name     string
	digest   string
	watched  bool
	followed bool
	built    string // "" before the first time
	asked    *time.Time
}

const selectDefinition = `
	select id, name, digest, predicate, arguments, watched, follows is not null, coalesce(built_digest, ''), refresh_asked_at
	from segment where dormant_since is null and `

func scanDefinition(row pgx.CollectableRow) (d definition, err error) {
	err = row.Scan(&d.SegmentID, &d.name, &d.digest, &d.Predicate, &d.Arguments, &d.watched, &d.followed, &d.built, &d.asked)
	return d, err
}

func loadDefinition(ctx context.Context, tx pgx.Tx, name string) (definition, error) {
	rows, err := tx.Query(ctx, selectDefinition+"name = $1", name)
	if err != nil {
		return definition{}, err
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanDefinition)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, ErrNotFound
	}
	return d, err
}

// current tells whether changes are evaluated for a segment as they come: what it has is the membership of its definition.
func (d definition) current() bool { return d.watched && d.built == d.digest && d.asked == nil }
