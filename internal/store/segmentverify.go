package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// VerifiedSlice is a range of contacts whose membership in a segment was compared with what its definition says.
type VerifiedSlice struct {
	Segment string
	// Differing are the contacts that were not what they should be. What was committed or crossed a moment ago may be among them:
	// RepairSegment looks again.
	Differing []int64
	Contacts  int   // how many were compared
	UpTo      int64 // the last of them
	id        int64
	digest    string
}

// VerifySegments compares a slice of contacts with the definition of the segment whose turn it is. A segment's turn comes once in
// an interval, and then goes on until everybody was compared. It returns nil when nothing is to be compared at the moment, and when
// another worker does it.
func (db *DB) VerifySegments(ctx context.Context, interval time.Duration, contacts int) (*VerifiedSlice, error) {
	var slice *VerifiedSlice
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		d, after, err := nextVerified(ctx, tx, interval)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found := VerifiedSlice{Segment: d.name, id: d.SegmentID, digest: d.digest}
		err = tx.QueryRow(ctx, "select count(*), coalesce(max(id), 0) from (select id from contact where id > $1 order by id limit $2) c",
			after, contacts).Scan(&found.Contacts, &found.UpTo)
		if err != nil {
			return err
		}
		if found.UpTo == 0 { // everybody was
			return endVerification(ctx, tx, d.SegmentID)
		}
		if found.Differing, err = differing(ctx, tx, d.Differing(after, found.UpTo)); err != nil {
			return err
		}
		slice = &found
		if len(found.Differing) > 0 {
			return nil // RepairSegment goes on
		}
		return passVerified(ctx, tx, found)
	})
	if err != nil {
		return nil, fmt.Errorf("verify the segments: %w", err)
	}
	return slice, nil
}

// endVerification ends a segment's turn with the count of its members: evaluations only add to it and take away from it, so that it
// would stay wrong after a hand wrote past the triggers.
func endVerification(ctx context.Context, tx pgx.Tx, id int64) error {
	const miscounted = `
		select s.shard, coalesce(m.n, 0) n from generate_series(0, 15) s (shard)
			left join (select contact_shard(contact_id) shard, count(*) n from segment_member where segment_id = $1 group by 1) m on m.shard = s.shard
			left join segment_tally t on t.segment_id = $1 and t.shard = s.shard
		where coalesce(m.n, 0) <> coalesce(t.n, 0)`
	var wrong bool
	if err := tx.QueryRow(ctx, "select exists ("+miscounted+")", id).Scan(&wrong); err != nil {
		return fmt.Errorf("count the members: %w", err)
	}
	if wrong {
		if _, err := tx.Exec(ctx, shardLocks); err != nil {
			return fmt.Errorf("lock the shards: %w", err)
		}
		_, err := tx.Exec(ctx, `insert into segment_tally as t (segment_id, shard, n) select $1, w.shard, w.n from (`+miscounted+`) w
			on conflict (segment_id, shard) do update set n = excluded.n, changed_at = clock_timestamp(), told = false`, id)
		if err != nil {
			return fmt.Errorf("write the count of members: %w", err)
		}
	}
	_, err := tx.Exec(ctx, "update segment set verified_to = null, verified_at = now() where id = $1", id)
	return err
}

func nextVerified(ctx context.Context, tx pgx.Tx, interval time.Duration) (d definition, after int64, err error) {
	err = tx.QueryRow(ctx, `
		select id, name, digest, predicate, arguments, coalesce(verified_to, 0) from segment
		where pg_try_advisory_xact_lock(1902115848, 2) and watched and follows is not null and built_digest = digest
			and refresh_asked_at is null and building_since is null
			and (verified_to is not null or verified_at is null or verified_at < now() - $1::interval)
		order by verified_to is null, verified_at nulls first, id limit 1`, interval).
		Scan(&d.SegmentID, &d.name, &d.digest, &d.Predicate, &d.Arguments, &after)
	return d, after, err
}

func differing(ctx context.Context, tx pgx.Tx, s segment.Statement) ([]int64, error) {
	if _, err := tx.Exec(ctx, s.Settings); err != nil {
		return nil, fmt.Errorf("set up the planner: %w", err)
	}
	rows, err := tx.Query(ctx, s.SQL, append([]any{pgx.QueryExecModeDescribeExec}, s.Arguments...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func passVerified(ctx context.Context, tx pgx.Tx, s VerifiedSlice) error {
	_, err := tx.Exec(ctx, "update segment set verified_to = $2 where id = $1 and digest = $3", s.id, s.UpTo, s.digest)
	return err
}

// RepairSegment brings the contacts of a slice that are still not what they should be in line with the definition, and returns how
// many those were: each is the trace of a defect, or of a hand that wrote past the triggers. Call it a second or more after the
// slice was compared.
func (db *DB) RepairSegment(ctx context.Context, s VerifiedSlice) (repaired int, err error) {
	if err := db.SettleSegments(ctx, []string{s.Segment}); err != nil {
		return 0, err
	}
	err = retryEvaluation(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) (err error) {
			repaired, err = repairSlice(ctx, tx, s)
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("repair segment %q: %w", s.Segment, err)
	}
	return repaired, nil
}

func repairSlice(ctx context.Context, tx pgx.Tx, s VerifiedSlice) (repaired int, err error) {
	if _, err := tx.Exec(ctx, shardLocks); err != nil {
		return 0, fmt.Errorf("lock the shards: %w", err)
	}
	d, err := loadDefinition(ctx, tx, s.Segment)
	if errors.Is(err, ErrNotFound) || err == nil && (!d.current() || d.digest != s.digest) {
		return 0, nil // it is built anew, or nobody's concern any more
	}
	if err != nil {
		return 0, err
	}
	ids, err := differing(ctx, tx, d.StillDiffering(s.Differing))
	if err != nil {
		return 0, err
	}
	if ids, err = blameless(ctx, tx, d.SegmentID, ids); err != nil {
		return 0, err
	}
	var result Evaluation
	if len(ids) > 0 {
		if err := runStatement(ctx, tx, d.Contacts(segment.Repair, ids), &result); err != nil {
			return 0, err
		}
	}
	repaired = int(result.Entered + result.Left)
	if repaired > 0 {
		_, err := tx.Exec(ctx, "update segment set repaired = repaired + $2, repaired_at = clock_timestamp() where id = $1", s.id, repaired)
		if err != nil {
			return 0, fmt.Errorf("count what was repaired: %w", err)
		}
	}
	return repaired, passVerified(ctx, tx, s)
}

// blameless takes those out who differ because they have just crossed a boundary that is swept in half a second. They are queued here, so
// that they wait like whoever changed, and are evaluated for the reason Time.
func blameless(ctx context.Context, tx pgx.Tx, id int64, differing []int64) ([]int64, error) {
	if len(differing) == 0 {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, "select segment_crossing($1)", id); err != nil {
		return nil, fmt.Errorf("look who crosses a boundary: %w", err)
	}
	rows, err := tx.Query(ctx, `
		select d.id from unnest($1::bigint[]) d(id)
		where not exists (select from segment_change q where q.shard = contact_shard(d.id) and q.contact_id = d.id) order by 1`, differing)
	if err != nil {
		return nil, fmt.Errorf("look who crosses a boundary: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// segmentEventAge is how long it is kept who entered and left.
const segmentEventAge = 30 * 24 * time.Hour

// ForgetSegmentEvents deletes a part of what is older than that: rows stand in the order of their time.
func (db *DB) ForgetSegmentEvents(ctx context.Context) error {
	_, err := db.Pool.Exec(ctx, `
		delete from segment_event e using (select id, at from segment_event order by id limit 1) first
		where first.at < now() - $1::interval and e.id < first.id + 10000 and e.at < now() - $1::interval`, segmentEventAge)
	if err != nil {
		return fmt.Errorf("forget who entered and left segments: %w", err)
	}
	return nil
}
