package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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

// StaleSegments lists the segments that are to be evaluated: their definition is not the one that their membership was
// built with, an import asked for it, or they were built longer ago than the given age.
func (db *DB) StaleSegments(ctx context.Context, age time.Duration) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		select g.name from segment g cross join tenant
		where g.dormant_since is null and not g.suspended and not tenant.suspended
			and (g.built_digest is distinct from g.digest or g.refresh_asked_at is not null or g.built_at < now() - $1::interval)
		order by g.built_at nulls first, g.name`, age)
	if err != nil {
		return nil, fmt.Errorf("look for stale segments: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for stale segments: %w", err)
	}
	return names, nil
}

// segmentLock is taken for as long as a membership is evaluated, so that two evaluations do not undo each other.
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
		result.Rebuilt = d.built == nil || *d.built != d.digest
		result.Members = valueOf(d.members) + result.Entered - result.Left
		if d.members == nil {
			if err := tx.QueryRow(ctx, "select count(*) from segment_member where segment_id = $1", d.id).Scan(&result.Members); err != nil {
				return err
			}
		}
		return recordEvaluation(ctx, tx, d, result)
	})
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluate segment %q: %w", name, err)
	}
	return result, nil
}

// definition is a segment as an evaluation finds it.
type definition struct {
	id        int64
	name      string
	digest    string
	predicate string
	arguments []string
	suspended bool
	built     *string
	members   *int64
	asked     *time.Time
}

func loadDefinition(ctx context.Context, tx pgx.Tx, name string) (definition, error) {
	d := definition{name: name}
	err := tx.QueryRow(ctx, `
		select id, digest, predicate, arguments, suspended, built_digest, members, refresh_asked_at
		from segment where name = $1 and dormant_since is null`, name).
		Scan(&d.id, &d.digest, &d.predicate, &d.arguments, &d.suspended, &d.built, &d.members, &d.asked)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, ErrNotFound
	}
	return d, err
}

// applyMembership runs the predicate over every contact and writes who entered and who left. The predicate is SQL that
// the operator compiled; whatever its author wrote is in the arguments.
func applyMembership(ctx context.Context, tx pgx.Tx, d definition, result *Evaluation) error {
	arguments := make([]any, 0, len(d.arguments)+1)
	for _, a := range d.arguments {
		arguments = append(arguments, a)
	}
	arguments = append(arguments, d.id)
	statement := fmt.Sprintf(`
		with matching as materialized (
			select c.id from contact c where %[1]s
		), entered as (
			insert into segment_member (segment_id, contact_id)
			select $%[2]d::bigint, m.id from matching m
			where not exists (select from segment_member s where s.segment_id = $%[2]d::bigint and s.contact_id = m.id)
			returning 1
		), gone as (
			delete from segment_member s
			where s.segment_id = $%[2]d::bigint and not exists (select from matching m where m.id = s.contact_id)
			returning 1
		)
		select (select count(*) from entered), (select count(*) from gone)`, d.predicate, len(arguments))
	// A statement that is run rarely and has as many forms as there are segments is not worth a place in the cache.
	arguments = append([]any{pgx.QueryExecModeDescribeExec}, arguments...)
	return tx.QueryRow(ctx, statement, arguments...).Scan(&result.Entered, &result.Left)
}

func recordEvaluation(ctx context.Context, tx pgx.Tx, d definition, result Evaluation) error {
	// Who asked for a refresh while this one ran gets another.
	_, err := tx.Exec(ctx, `
		update segment set built_digest = $2, built_at = now(), members = $3,
			changed_at = case when $4 then now() else changed_at end,
			refresh_asked_at = case when refresh_asked_at is distinct from $5 then refresh_asked_at end
		where id = $1`, d.id, d.digest, result.Members, result.Changed(), d.asked)
	if err != nil {
		return fmt.Errorf("record the evaluation: %w", err)
	}
	if !result.Changed() {
		return nil
	}
	return noteStatusChange(ctx, tx, SegmentKind, d.name)
}
