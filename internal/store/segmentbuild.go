package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// Evaluation is what building a segment found.
type Evaluation struct {
	Entered int64
	Left    int64
	Members int64
	// Rebuilt is true when the membership had been built with another definition, or never.
	Rebuilt bool
}

// Changed tells whether the evaluation changed anything that a status shows.
func (e Evaluation) Changed() bool { return e.Entered > 0 || e.Left > 0 || e.Rebuilt }

// SegmentBusyError says that a segment cannot be built yet: transactions are under way that began to write before anybody took
// note of what it depends on. They end by themselves.
type SegmentBusyError struct {
	Segment string
}

func (e *SegmentBusyError) Error() string {
	return fmt.Sprintf("segment %q waits for transactions that began to write before it was declared", e.Segment)
}

const (
	// segmentLock is held by who builds a segment. It is no lock of the row: an edit does not wait for a build.
	segmentLock = "select pg_advisory_xact_lock(hashtextextended('segment/' || $1, 0))"
	// shardLocks stops the evaluation of changes for as long as a transaction.
	shardLocks = "select pg_advisory_xact_lock(1902115849, s) from generate_series(0, 15) s"
	// touchedAtOnce is how many contacts that changed during a build are evaluated by a statement, and how many may be left for
	// the moment in which nobody else evaluates.
	touchedAtOnce = 10_000
	// buildPatience is how long a build waits for writers that have to end first, before others have their turn.
	buildPatience = 2 * time.Second
)

// EvaluateSegment builds a segment: it evaluates everybody and writes the difference to its membership, in one transaction.
// Until that commits, everybody sees the membership of before. A segment that is suspended keeps its membership, and one that
// is not there returns ErrNotFound.
//
// Who changes meanwhile is noted by those who evaluate changes, and evaluated again before the commit, in the end under the
// locks of all shards. It may return a SegmentBusyError.
func (db *DB) EvaluateSegment(ctx context.Context, name string) (Evaluation, error) {
	var result Evaluation
	err := retryEvaluation(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, segmentLock, name); err != nil {
				return err
			}
			result, err = db.buildSegment(ctx, tx, name)
			return err
		})
	})
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluate segment %q: %w", name, err)
	}
	return result, nil
}

// BuildSegment builds a segment as EvaluateSegment does, unless it need not be built by now or another worker does it: then it returns
// nil. interval is that of segments of which nobody knows what they depend on.
func (db *DB) BuildSegment(ctx context.Context, name string, interval time.Duration) (*Evaluation, error) {
	var result *Evaluation
	err := retryEvaluation(func() error {
		result = nil
		return db.InTx(ctx, func(tx pgx.Tx) error {
			var mine bool
			err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock(hashtextextended('segment/' || $1, 0))`, name).Scan(&mine)
			if err != nil || !mine {
				return err
			}
			var due bool
			err = tx.QueryRow(ctx, "select exists (select from segment where name = $1 and "+buildDue+")", name, interval).Scan(&due)
			if err != nil || !due {
				return err
			}
			found, err := db.buildSegment(ctx, tx, name)
			result = &found
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("build segment %q: %w", name, err)
	}
	return result, nil
}

// buildDue is true for a segment that has to be built, as segment.Due judges it; $2 is the interval of those of which nobody knows
// what they depend on.
const buildDue = `watched and (refresh_asked_at is not null or built_digest is distinct from digest
	or follows is null and built_at < clock_timestamp() - $2::interval)`

// buildSegment builds a segment whose lock the transaction holds.
func (db *DB) buildSegment(ctx context.Context, tx pgx.Tx, name string) (result Evaluation, err error) {
	d, err := loadDefinition(ctx, tx, name)
	if err != nil || !d.watched {
		return result, err
	}
	if err := db.beginBuild(ctx, d); err != nil {
		return result, err
	}
	// The definition is read again: what is built is what holds behind the mark.
	if d, err = loadDefinition(ctx, tx, name); err != nil || !d.watched {
		return result, err
	}
	result.Rebuilt = d.built != d.digest
	began, reason := time.Now(), buildReason(d)
	everyone := d.Everyone(reason)
	if empty, err := hasNoMembers(ctx, tx, d); err != nil {
		return result, err
	} else if empty && d.built == "" {
		everyone = d.First(reason)
	}
	if err := runStatement(ctx, tx, everyone, &result); err != nil {
		return result, err
	}
	if err := catchUp(ctx, tx, d, reason, &result); err != nil {
		return result, err
	}
	return result, finishBuild(ctx, tx, d, &result, time.Since(began))
}

func hasNoMembers(ctx context.Context, tx pgx.Tx, d definition) (empty bool, err error) {
	err = tx.QueryRow(ctx, "select not exists (select from segment_member where segment_id = $1)", d.SegmentID).Scan(&empty)
	if err != nil {
		return false, fmt.Errorf("look for members: %w", err)
	}
	return empty, nil
}

func buildReason(d definition) segment.Reason {
	switch {
	case d.built != d.digest:
		return segment.Definition
	case d.asked != nil || d.followed:
		return segment.Data
	}
	return segment.Time
}

// beginBuild marks a segment as being built, in a transaction of its own, and waits until everybody heeds the mark: those who
// evaluate changes, and those who write by a trigger that did not watch yet what the segment depends on.
func (db *DB) beginBuild(ctx context.Context, d definition) error {
	_, err := db.Pool.Exec(ctx, `
		update segment set building_since = clock_timestamp(), build_awaits = case when building_since is not null and build_awaits is not null
			then build_awaits
			else array(select distinct l.virtualtransaction from pg_locks l
				where l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.granted and l.pid <> pg_backend_pid()
					and l.database = (select oid from pg_database where datname = current_database())
					and l.relation = any (select source::regclass from segment_source($1) source)) end
		where id = $1`, d.SegmentID)
	if err != nil {
		return fmt.Errorf("mark it as being built: %w", err)
	}
	if err := db.awaitWriters(ctx, d); err != nil {
		return err
	}
	// Who holds a shard may have looked before the mark was there.
	if _, err := db.Pool.Exec(ctx, shardLocks); err != nil {
		return fmt.Errorf("wait for changes under evaluation: %w", err)
	}
	return nil
}

func (db *DB) awaitWriters(ctx context.Context, d definition) error {
	asked := ctx
	ctx, cancel := context.WithTimeout(asked, buildPatience+time.Second)
	defer cancel()
	until := time.Now().Add(buildPatience)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		var busy bool
		err := db.Pool.QueryRow(ctx, `select exists (select from segment g join pg_locks l on l.virtualtransaction = any (g.build_awaits)
			where g.id = $1)`, d.SegmentID).Scan(&busy)
		switch {
		case err != nil && ctx.Err() != nil && asked.Err() == nil: // a slow answer: nobody knows that they have ended
			return &SegmentBusyError{Segment: d.name}
		case err != nil:
			return fmt.Errorf("wait for transactions that write: %w", err)
		case !busy:
			return nil
		case time.Now().After(until):
			return &SegmentBusyError{Segment: d.name}
		}
		select {
		case <-asked.Done():
			return context.Cause(asked)
		case <-pause.C:
		}
	}
}

// runStatement evaluates. The statement takes no place in the connection's cache when it is for everyone: it is planned for its
// arguments.
func runStatement(ctx context.Context, tx pgx.Tx, s segment.Statement, result *Evaluation) error {
	if _, err := tx.Exec(ctx, s.Settings); err != nil {
		return fmt.Errorf("set up the planner: %w", err)
	}
	var entered, left int64
	arguments := append([]any{pgx.QueryExecModeDescribeExec}, s.Arguments...)
	if err := tx.QueryRow(ctx, s.SQL, arguments...).Scan(&entered, &left); err != nil {
		return err
	}
	result.Entered += entered
	result.Left += left
	return nil
}

// catchUp evaluates who changed while everybody was evaluated: most of them while others go on, and the last under the locks of
// all shards, so that nobody is missed.
func catchUp(ctx context.Context, tx pgx.Tx, d definition, reason segment.Reason, result *Evaluation) error {
	for locked := false; ; {
		n, err := evaluateTouched(ctx, tx, d, reason, result)
		if err != nil {
			return err
		}
		switch {
		case locked && n == 0:
			return nil
		case !locked && n < touchedAtOnce:
			if _, err := tx.Exec(ctx, shardLocks); err != nil {
				return fmt.Errorf("lock the shards: %w", err)
			}
			locked = true
		}
	}
}

func evaluateTouched(ctx context.Context, tx pgx.Tx, d definition, reason segment.Reason, result *Evaluation) (int, error) {
	rows, err := tx.Query(ctx, `
		with taken as (
			delete from segment_touched where ctid = any (array(select ctid from segment_touched where segment_id = $1 limit $2))
			returning contact_id)
		select distinct contact_id from taken`, d.SegmentID, touchedAtOnce)
	if err != nil {
		return 0, fmt.Errorf("read who changed meanwhile: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("read who changed meanwhile: %w", err)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	return len(ids), runStatement(ctx, tx, d.Contacts(reason, ids), result)
}

// errEdited says that a definition has changed while it was built.
var errEdited = errors.New("its definition has changed meanwhile")

// finishBuild records what was built, unless the definition is another by now: then nothing of it remains.
func finishBuild(ctx context.Context, tx pgx.Tx, d definition, result *Evaluation, took time.Duration) error {
	if err := tx.QueryRow(ctx, "select coalesce(sum(n), 0) from segment_tally where segment_id = $1", d.SegmentID).Scan(&result.Members); err != nil {
		return fmt.Errorf("count the members: %w", err)
	}
	// Who asked for a build while this one ran gets another. The clock of this moment and not the transaction's, which may have
	// waited for another build that is younger.
	tag, err := tx.Exec(ctx, `
		update segment set built_digest = $2, built_at = clock_timestamp(), members = $3,
			changed_at = case when $4 then clock_timestamp() else changed_at end, building_since = null, build_awaits = null,
			refresh_asked_at = case when refresh_asked_at is distinct from $5 then refresh_asked_at end,
			verified_to = case when $6 then null else verified_to end, build_took = $7
		where id = $1 and digest = $2 and watched`, d.SegmentID, d.digest, result.Members, result.Changed(), d.asked, result.Rebuilt, took)
	if err != nil {
		return fmt.Errorf("record the evaluation: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errEdited
	}
	if !result.Changed() {
		return nil
	}
	return noteStatusChange(ctx, tx, SegmentKind, d.name)
}

// retryEvaluation runs an evaluation again, at most three times, where something came in its way: another transaction, or an edit.
func retryEvaluation(f func() error) error {
	err := f()
	for range 3 {
		if !isConflict(err) && !errors.Is(err, errEdited) {
			break
		}
		err = f()
	}
	return err
}
