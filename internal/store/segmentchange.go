package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// ChangesAtOnce is how many changes a worker takes in one transaction: enough that an import of a million people is worked off
// set by set, few enough that a shard is not held for long.
const ChangesAtOnce = 10_000

// Followed is what evaluating changes came to.
type Followed struct {
	Changes   int           // taken out of the queue
	Evaluated int           // contacts, once for each segment that they were evaluated for
	Entered   int64         // and how many of these entered
	Left      int64         // and left
	Lag       time.Duration // of the oldest change: from the statement that made it until it was taken
	Repeat    bool          // there may be more

	singly bool // statements are not sent together
}

// FollowChanges takes changes out of the queue, at most so many, evaluates the segments that depend on them for the contacts that
// they are about, and writes who entered and who left, in one transaction. Workers share the queue by shards; who holds one alone
// evaluates its contacts. A segment whose definition cannot be evaluated is put aside, to be built again.
func (db *DB) FollowChanges(ctx context.Context, most int) (Followed, error) {
	f, err := db.followBy(ctx, "segment_claim($1)", most)
	if err != nil {
		return Followed{}, fmt.Errorf("follow changes of contacts: %w", err)
	}
	return f, nil
}

// followBy takes changes by a statement, at most as many as its first argument says.
func (db *DB) followBy(ctx context.Context, claim string, most int, arguments ...any) (Followed, error) {
	var f Followed
	singly := false
	err := retryEvaluation(func() error {
		f = Followed{singly: singly}
		err := db.InTx(ctx, func(tx pgx.Tx) error { return f.follow(ctx, tx, most, claim, arguments...) })
		if isUnfit(err) && !singly {
			singly = true // to find out which segment it is
			return errEdited
		}
		return err
	})
	var broken *brokenSegmentError
	if errors.As(err, &broken) {
		return Followed{Repeat: true}, db.setAside(ctx, broken)
	}
	return f, err
}

func (f *Followed) follow(ctx context.Context, tx pgx.Tx, most int, claim string, arguments ...any) error {
	changes, err := f.claim(ctx, tx, claim, append([]any{most}, arguments...)...)
	if err != nil || len(changes) == 0 {
		return err
	}
	f.Repeat = f.Changes >= most
	watches := make([]int32, len(changes))
	for i, c := range changes {
		watches[i] = c.Watch
	}
	// Every statement from here on sees what was committed with the changes that were taken, and whether a build has begun.
	dependents, building, err := loadDependents(ctx, tx, watches)
	if err != nil {
		return err
	}
	if err := noteTouched(ctx, tx, segment.PlanTasks(changes, building)); err != nil {
		return err
	}
	return f.evaluate(ctx, tx, segment.PlanTasks(changes, dependents))
}

// claim takes changes; the statement that does is named by the caller and takes locks of shards with it. What was noted about a record
// that belongs to another contact by now is noted about that one, whose shard may be somebody else's.
func (f *Followed) claim(ctx context.Context, tx pgx.Tx, claim string, arguments ...any) ([]segment.Change, error) {
	rows, err := tx.Query(ctx, `
		with claimed as materialized (
			select q.watch_id, q.contact_id, q.at, (select r.contact_id from contact_record r where r.id = q.contact_id) owner from `+claim+` q
		), passed as (
			insert into segment_change (side, shard, watch_id, contact_id, at)
			select (select newest from segment_queue), contact_shard(owner), watch_id, owner, at from claimed where owner <> contact_id
		)
		select watch_id, array_agg(contact_id), count(*), extract(epoch from clock_timestamp() - min(at))::float8
		from claimed group by watch_id`, arguments...)
	if err != nil {
		return nil, fmt.Errorf("take changes: %w", err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c segment.Change, err error) {
		var n int
		var age float64
		err = row.Scan(&c.Watch, &c.Contacts, &n, &age)
		f.Changes += n
		f.Lag = max(f.Lag, time.Duration(age*float64(time.Second)))
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("take changes: %w", err)
	}
	return changes, nil
}

// loadDependents reads the segments that depend on something: those whose membership is current, and those that are being built.
// Of the rest nobody evaluates changes, because a build is still to begin.
func loadDependents(ctx context.Context, tx pgx.Tx, watches []int32) (current, building []segment.Dependent, err error) {
	rows, err := tx.Query(ctx, `
		select g.id, g.predicate, g.arguments, g.building_since is not null,
			coalesce(array_agg(u.watch_id) filter (where w.kind <> 'time'), '{}'), coalesce(array_agg(u.watch_id) filter (where w.kind = 'time'), '{}')
		from segment_use u join segment_watch w on w.id = u.watch_id join segment g on g.id = u.segment_id
		where u.watch_id = any ($1) and g.watched
			and (g.building_since is not null or g.built_digest = g.digest and g.refresh_asked_at is null)
		group by g.id order by g.id`, watches)
	if err != nil {
		return nil, nil, fmt.Errorf("read which segments depend on changes: %w", err)
	}
	var d segment.Dependent
	var builds bool
	_, err = pgx.ForEachRow(rows, []any{&d.SegmentID, &d.Predicate, &d.Arguments, &builds, &d.Changes, &d.Times}, func() error {
		if builds {
			building = append(building, d)
		} else {
			current = append(current, d)
		}
		d = segment.Dependent{}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read which segments depend on changes: %w", err)
	}
	return current, building, nil
}

// noteTouched tells those who build segments whom they have to evaluate again.
func noteTouched(ctx context.Context, tx pgx.Tx, tasks []segment.Task) error {
	for _, t := range tasks {
		_, err := tx.Exec(ctx, "insert into segment_touched (segment_id, contact_id) select $1, unnest($2::bigint[])", t.Segment.SegmentID, t.Contacts)
		if err != nil {
			return fmt.Errorf("note who changed during a build: %w", err)
		}
	}
	return nil
}

func (f *Followed) evaluate(ctx context.Context, tx pgx.Tx, tasks []segment.Task) error {
	if len(tasks) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, segment.SomeSettings); err != nil {
		return fmt.Errorf("set up the planner: %w", err)
	}
	if f.singly {
		return f.evaluateSingly(ctx, tx, tasks)
	}
	batch := &pgx.Batch{}
	for _, t := range tasks {
		s := t.Segment.Contacts(t.Reason, t.Contacts)
		batch.Queue(s.SQL, s.Arguments...).QueryRow(func(row pgx.Row) error { return f.count(row, t) })
	}
	return tx.SendBatch(ctx, batch).Close()
}

func (f *Followed) evaluateSingly(ctx context.Context, tx pgx.Tx, tasks []segment.Task) error {
	for _, t := range tasks {
		s := t.Segment.Contacts(t.Reason, t.Contacts)
		if err := f.count(tx.QueryRow(ctx, s.SQL, s.Arguments...), t); isUnfit(err) {
			return &brokenSegmentError{t.Segment.SegmentID, err}
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (f *Followed) count(row pgx.Row, t segment.Task) error {
	var entered, left int64
	if err := row.Scan(&entered, &left); err != nil {
		return err
	}
	f.Evaluated += len(t.Contacts)
	f.Entered += entered
	f.Left += left
	return nil
}

// brokenSegmentError says that a segment's definition cannot be evaluated: it was compiled for a schema that is another by now.
type brokenSegmentError struct {
	id  int64
	err error
}

func (e *brokenSegmentError) Error() string {
	return fmt.Sprintf("evaluate segment %d: %v", e.id, e.err)
}
func (e *brokenSegmentError) Unwrap() error { return e.err }

// isUnfit recognises errors that a definition causes, and not the state of the database.
func isUnfit(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && (said.Code[:2] == "42" || said.Code[:2] == "22")
}

// setAside keeps a segment from being evaluated until it is built, which tells what is wrong with it.
func (db *DB) setAside(ctx context.Context, broken *brokenSegmentError) error {
	_, err := db.Pool.Exec(ctx, "update segment set refresh_asked_at = coalesce(refresh_asked_at, clock_timestamp()) where id = $1", broken.id)
	if err != nil {
		return fmt.Errorf("set a segment aside: %w", err)
	}
	return nil
}
