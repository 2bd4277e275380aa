package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// LookedSegment is what can be seen of a segment in force without looking at anybody.
type LookedSegment struct {
	Name        string
	Match       string
	Digest      string // of the definition in force
	BuiltDigest string // of the one that the membership was built with; "" before the first time
	Watched     bool   // neither it nor the tenant is suspended
	Building    bool
	// Asked is when a build became necessary; nil while none is.
	Asked *time.Time
	// Members are as they were last counted; nil before the first build.
	Members *int64
	// Waiting counts the changes that it depends on and that are not evaluated yet. Lag is the age of the oldest of them, or of the need
	// to build it; 0 while nothing waits.
	Waiting int64
	Lag     time.Duration

	ChangedAt *time.Time     // when somebody last entered or left, or the definition was built
	BuiltAt   *time.Time     // when everybody was last evaluated
	BuildTook *time.Duration // and how long that took; nil where it was not noted

	VerifiedAt *time.Time // when everybody was last compared with the definition
	Verifying  bool       // and that goes on at the moment
	Repaired   int64      // memberships that a verification ever mended
	RepairedAt *time.Time // the last of them

	// Dependencies are what it depends on; nil where nobody knows.
	Dependencies *expr.Dependencies
}

// State is where a segment stands, in a word.
func (s LookedSegment) State() SegmentCondition {
	switch {
	case !s.Watched:
		return SegmentSuspended
	case s.Building:
		return SegmentBuilding
	case s.Asked != nil || s.BuiltDigest != s.Digest:
		return SegmentWaiting
	}
	return SegmentCurrent
}

// SegmentCondition is where a segment stands.
type SegmentCondition string

// Where segments stand.
const (
	SegmentCurrent   SegmentCondition = "Current"   // its membership follows what changes
	SegmentBuilding  SegmentCondition = "Building"  // everybody is being evaluated; the membership of before holds
	SegmentWaiting   SegmentCondition = "Waiting"   // a build is due; the membership of before holds
	SegmentSuspended SegmentCondition = "Suspended" // the membership stays as it is
)

// LoadExpressionSchema reads what the expressions of segments are checked against: LoadSchema with the purposes of consent. Nobody has
// to declare who may be tracked.
func (db *DB) LoadExpressionSchema(ctx context.Context) (crm.Schema, error) {
	schema, err := db.LoadSchema(ctx)
	if err != nil {
		return crm.Schema{}, err
	}
	purposes, err := db.Purposes(ctx)
	if err != nil || len(purposes) == 0 {
		return schema, err
	}
	schema.Purposes = append(purposes, TrackingPurpose)
	slices.Sort(schema.Purposes)
	return schema, nil
}

// The bounds of statements that somebody waits for and that nobody needs.
const (
	lookLimit = 5 * time.Second
	lookLocks = time.Second
)

// ErrTooLong says that a question was given up because its answer took too long.
var ErrTooLong = errors.New("the answer took too long")

// look runs f in a transaction that can write nothing, whose statements end after a while, and which waits for no lock for long.
func (db *DB) look(ctx context.Context, limit time.Duration, f func(pgx.Tx) error) error {
	return lookOn(ctx, db.Pool, limit, f)
}

// beginner begins transactions: a pool, or a connection of it.
type beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

func lookOn(ctx context.Context, on beginner, limit time.Duration, f func(pgx.Tx) error) error {
	err := pgx.BeginTxFunc(ctx, on, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)",
			strconv.FormatInt(limit.Milliseconds(), 10), strconv.FormatInt(lookLocks.Milliseconds(), 10))
		if err != nil {
			return err
		}
		return f(tx)
	})
	if hasCode(err, "57014", "55P03") && ctx.Err() == nil {
		return ErrTooLong
	}
	return err
}

// lookedSegments selects what LookedSegment holds. The queue is counted as a whole, as it is when it is measured.
const lookedSegments = `
	with queue as (
		select u.segment_id, sum(q.n)::bigint n, min(q.since) since
		from (select watch_id, count(*) n, min(at) since from segment_change group by watch_id) q join segment_use u on u.watch_id = q.watch_id
		group by u.segment_id
	)
	select g.name, g.match, g.digest, coalesce(g.built_digest, ''), g.watched, g.building_since is not null, case when g.watched then g.refresh_asked_at end,
		g.members, coalesce(q.n, 0),
		coalesce(case when g.watched then greatest(0, extract(epoch from clock_timestamp() - least(q.since, g.refresh_asked_at))) end, 0)::float8,
		g.changed_at, g.built_at, g.build_took, g.verified_at, g.verified_to is not null, g.repaired, g.repaired_at,
		case when g.follows is not null then g.dependencies end
	from segment g left join queue q on q.segment_id = g.id
	where g.dormant_since is null`

func scanLooked(row pgx.CollectableRow) (s LookedSegment, err error) {
	var lag float64
	var dependencies []byte
	err = row.Scan(&s.Name, &s.Match, &s.Digest, &s.BuiltDigest, &s.Watched, &s.Building, &s.Asked, &s.Members, &s.Waiting, &lag,
		&s.ChangedAt, &s.BuiltAt, &s.BuildTook, &s.VerifiedAt, &s.Verifying, &s.Repaired, &s.RepairedAt, &dependencies)
	if err != nil {
		return s, err
	}
	s.Lag = time.Duration(lag * float64(time.Second))
	if dependencies == nil {
		return s, nil
	}
	s.Dependencies = &expr.Dependencies{}
	return s, json.Unmarshal(dependencies, s.Dependencies)
}

// ListSegments lists the segments in force by name.
func (db *DB) ListSegments(ctx context.Context) (list []LookedSegment, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lookedSegments+" order by g.name")
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanLooked)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at the segments: %w", err)
	}
	return list, nil
}

// DescribeSegment tells how one stands; ErrNotFound where no segment in force has this name.
func (db *DB) DescribeSegment(ctx context.Context, name string) (s LookedSegment, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) (err error) {
		s, err = lookedSegment(ctx, tx, name)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("look at segment %q: %w", name, err)
	}
	return s, nil
}

func lookedSegment(ctx context.Context, tx pgx.Tx, name string) (LookedSegment, error) {
	rows, err := tx.Query(ctx, lookedSegments+" and g.name = $1", name)
	if err != nil {
		return LookedSegment{}, err
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanLooked)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, ErrNotFound
	}
	return s, err
}

// SegmentUsers are those who need a segment's membership.
type SegmentUsers struct {
	Segments  []string // that ask for it
	Campaigns []string // that are sent to it, or leave it out, and have not ended
}

// LoadSegmentUsers lists who needs a segment, each by name.
func (db *DB) LoadSegmentUsers(ctx context.Context, name string) (u SegmentUsers, err error) {
	err = db.Pool.QueryRow(ctx, `
		select array(select name from segment where dormant_since is null and dependencies -> 'segments' ? $1 order by 1),
			array(select distinct campaign from send
				where ($1 = any (segments) or $1 = any (exclude)) and finished_at is null and dormant_since is null order by 1)`,
		name).Scan(&u.Segments, &u.Campaigns)
	if err != nil {
		return u, fmt.Errorf("read who needs segment %q: %w", name, err)
	}
	return u, nil
}
