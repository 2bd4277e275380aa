package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// Evaluation is what evaluating a segment found.
type Evaluation struct {
	Entered int64
	Left    int64
	Members int64
	// Rebuilt is true when the membership had been built with another definition, or never.
	Rebuilt bool
}

// Changed tells whether the evaluation changed anything that a status shows.
func (e Evaluation) Changed() bool { return e.Entered > 0 || e.Left > 0 || e.Rebuilt }

// SegmentWork is a segment with what decides whether it is due.
type SegmentWork struct {
	Name  string
	State segment.State
}

// SegmentsAtWork lists the segments that are in force, for segment.Due to judge.
func (db *DB) SegmentsAtWork(ctx context.Context) ([]SegmentWork, error) {
	rows, err := db.Pool.Query(ctx, `
		select g.name, g.suspended or tenant.suspended, g.digest, coalesce(g.built_digest, ''), g.refresh_asked_at, g.built_at
		from segment g cross join tenant where g.dormant_since is null order by g.built_at nulls first, g.name`)
	if err != nil {
		return nil, fmt.Errorf("read the segments: %w", err)
	}
	work, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SegmentWork, error) {
		var w SegmentWork
		var asked, built *time.Time
		err := row.Scan(&w.Name, &w.State.Suspended, &w.State.Digest, &w.State.BuiltDigest, &asked, &built)
		w.State.AskedAt, w.State.BuiltAt = valueOf(asked), valueOf(built)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the segments: %w", err)
	}
	return work, nil
}

// segmentLock is taken for as long as a membership is evaluated, so that two evaluations do not undo each other. It is
// no lock of the row: an import that asks for a refresh meanwhile must not wait.
const segmentLock = "select pg_advisory_xact_lock(hashtextextended('segment/' || $1, 0))"

// EvaluateSegment evaluates a segment as a whole and writes the difference to its membership, in one transaction. A
// segment that is suspended keeps its membership, and one that is not there returns ErrNotFound.
//
// The engine that follows changes will replace this function and nothing around it.
func (db *DB) EvaluateSegment(ctx context.Context, name string) (Evaluation, error) {
	var result Evaluation
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, segmentLock, name); err != nil {
			return err
		}
		d, err := loadDefinition(ctx, tx, name)
		if err != nil || d.suspended {
			return err
		}
		if err := applyMembership(ctx, tx, d, &result); err != nil {
			return err
		}
		result.Rebuilt = d.built != d.digest
		return recordEvaluation(ctx, tx, d, result)
	})
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluate segment %q: %w", name, err)
	}
	return result, nil
}

// definition is a segment as an evaluation finds it.
type definition struct {
	segment.Evaluation
	name      string
	digest    string
	suspended bool
	built     string // "" before the first time
	asked     *time.Time
}

func loadDefinition(ctx context.Context, tx pgx.Tx, name string) (definition, error) {
	d := definition{name: name}
	err := tx.QueryRow(ctx, `
		select id, digest, predicate, arguments, suspended, coalesce(built_digest, ''), refresh_asked_at
		from segment where name = $1 and dormant_since is null`, name).
		Scan(&d.SegmentID, &d.digest, &d.Predicate, &d.Arguments, &d.suspended, &d.built, &d.asked)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, ErrNotFound
	}
	return d, err
}

// applyMembership runs the predicate over every contact and writes who entered and who left. The statement is planned
// for its arguments, and takes no place in the connection's cache.
func applyMembership(ctx context.Context, tx pgx.Tx, d definition, result *Evaluation) error {
	statement := d.Everyone()
	if statement.Settings != "" {
		if _, err := tx.Exec(ctx, statement.Settings); err != nil {
			return fmt.Errorf("set up the planner: %w", err)
		}
	}
	arguments := append([]any{pgx.QueryExecModeDescribeExec}, statement.Arguments...)
	return tx.QueryRow(ctx, statement.SQL, arguments...).Scan(&result.Members, &result.Entered, &result.Left)
}

func recordEvaluation(ctx context.Context, tx pgx.Tx, d definition, result Evaluation) error {
	// Who asked for a refresh while this one ran gets another. The clock of this moment and not the transaction's, which
	// may have waited for another evaluation that is younger.
	_, err := tx.Exec(ctx, `
		update segment set built_digest = $2, built_at = clock_timestamp(), members = $3,
			changed_at = case when $4 then clock_timestamp() else changed_at end,
			refresh_asked_at = case when refresh_asked_at is distinct from $5 then refresh_asked_at end
		where id = $1`, d.SegmentID, d.digest, result.Members, result.Changed(), d.asked)
	if err != nil {
		return fmt.Errorf("record the evaluation: %w", err)
	}
	if !result.Changed() {
		return nil
	}
	return noteStatusChange(ctx, tx, SegmentKind, d.name)
}
