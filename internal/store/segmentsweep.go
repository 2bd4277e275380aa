package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// SegmentNews is what a look at the segments found.
type SegmentNews struct {
	Changes bool // wait to be evaluated
	Build   bool // of a segment is due
	Untold  bool // members are not in the segments' rows yet
}

// LookAtSegments sweeps over the boundaries of time and tells what there is to do, in one statement. interval is how often a
// segment is built of which nobody knows what it depends on.
func (db *DB) LookAtSegments(ctx context.Context, interval time.Duration) (n SegmentNews, err error) {
	err = db.Pool.QueryRow(ctx, `
		select segment_sweep(false) > 0 or exists (select from segment_change_0) or exists (select from segment_change_1),
			exists (select from segment where `+strings.ReplaceAll(buildDue, "$2", "$1")+`),
			exists (select from segment_tally where not told)`, interval).Scan(&n.Changes, &n.Build, &n.Untold)
	if err != nil {
		return n, fmt.Errorf("look at the segments: %w", err)
	}
	return n, nil
}

// TellMembers writes how many members segments have, and since when, into their rows, and asks for another look at their status.
// Evaluations write a tally for each shard, so that they do not wait for each other at these rows; this waits for none of them.
func (db *DB) TellMembers(ctx context.Context) error {
	_, err := db.Pool.Exec(ctx, `
		with news as materialized (
			select segment_id, shard, changed_at from segment_tally where not told for update skip locked
		), told as (
			update segment_tally t set told = true from news n where t.segment_id = n.segment_id and t.shard = n.shard
		), changed as (
			update segment g set members = t.members, changed_at = greatest(g.changed_at, n.changed_at)
			from (select segment_id, max(changed_at) changed_at from news group by 1) n
				cross join lateral (select sum(a.n) members from segment_tally a where a.segment_id = n.segment_id) t
			where g.id = n.segment_id and g.built_digest is not null
			returning g.name
		)
		insert into status_change (kind, name) select $1, name from changed order by name
		on conflict (kind, name) do update set name = excluded.name`, SegmentKind)
	if err != nil {
		return fmt.Errorf("tell how many members the segments have: %w", err)
	}
	return nil
}

// grownQueue is how large a side of the queue may become before the other is written.
const grownQueue = 4 << 20

// RotateChanges gives back the room of changes that were worked off. It does nothing while somebody uses what is to be truncated.
func (db *DB) RotateChanges(ctx context.Context) error {
	_, err := db.Pool.Exec(ctx, "select segment_rotate($1)", grownQueue)
	if err != nil && !hasCode(err, "55P03") {
		return fmt.Errorf("rotate the queue of changes: %w", err)
	}
	return nil
}

// settlePasses bounds how often SettleSegments looks for changes that evaluations made: segments that depend on one another are
// not nested deeper than expressions allow.
const settlePasses = 32

// SettleSegments brings the membership of some segments, and of those that they depend on, up to what had been committed before
// it was called. It returns a SegmentNotReadyError where one cannot be built yet.
func (db *DB) SettleSegments(ctx context.Context, names []string) error {
	due, err := db.dueAmong(ctx, names)
	if err != nil {
		return fmt.Errorf("bring segments up to date: %w", err)
	}
	for _, name := range due {
		_, err := db.EvaluateSegment(ctx, name)
		var busy *SegmentBusyError
		switch {
		case errors.As(err, &busy):
			return &SegmentNotReadyError{Segment: name}
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
	}
	if _, err := db.Pool.Exec(ctx, "select segment_sweep(true)"); err != nil {
		return fmt.Errorf("bring segments up to date: %w", err)
	}
	for range settlePasses {
		shards, err := db.shardsWithChanges(ctx)
		if err != nil {
			return fmt.Errorf("bring segments up to date: %w", err)
		}
		if len(shards) == 0 {
			break
		}
		for _, shard := range shards {
			if err := db.settleShard(ctx, shard); err != nil {
				return fmt.Errorf("bring segments up to date: %w", err)
			}
		}
	}
	return db.TellMembers(ctx)
}

// dueAmong lists those of some segments, and of those that they depend on, that have to be built, the ones that others depend on
// first. One of which nobody knows what it depends on always has.
func (db *DB) dueAmong(ctx context.Context, names []string) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		with recursive needed (id, depth) as (
			select id, 0 from segment where name = any ($1)
			union
			select g.id, n.depth + 1 from needed n join segment_use u on u.segment_id = n.id
				join segment_watch w on w.id = u.watch_id and w.kind = 'segment' join segment g on g.name = w.name
			where n.depth < $2
		)
		select g.name from needed n join segment g on g.id = n.id
		where g.watched and (g.refresh_asked_at is not null or g.built_digest is distinct from g.digest or g.follows is null)
		group by g.name order by max(n.depth) desc, g.name`, names, settlePasses)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (db *DB) shardsWithChanges(ctx context.Context) ([]int16, error) {
	rows, err := db.Pool.Query(ctx, "select s::smallint from generate_series(0, 15) s where exists (select from segment_change q where q.shard = s) order by s")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int16])
}

// settleShard works off what a shard's queue holds at the moment, and waits for who works on it.
func (db *DB) settleShard(ctx context.Context, shard int16) error {
	for {
		f, err := db.followBy(ctx, "segment_claim_certain($1, $2)", ChangesAtOnce, shard)
		if err != nil || !f.Repeat {
			return err
		}
	}
}
