package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/segment"
)

// SegmentDefinition is what the operator decides of a segment.
type SegmentDefinition struct {
	Name      string
	Match     string   // the expression, as its author wrote it
	Digest    string   // of the expression and the types it was checked against
	Predicate string   // SQL over contact c, with $n for each argument
	Arguments []string // in order; the predicate casts them
	// Dependencies are what the answer depends on; nil where that is not known, so that any change concerns it.
	Dependencies *expr.Dependencies
	Suspended    bool // the membership stays as it is
}

// SegmentState is what the data plane says of a segment.
type SegmentState struct {
	BuiltDigest string     // the definition that the membership was built with; "" before the first time
	Members     *int64     // nil before the first time
	ChangedAt   *time.Time // when the membership last changed or its definition was built
}

// SaveSegment brings a segment into force. It writes only what differs, asks for evaluation when the definition differs
// from the one before or when the segment wakes, and returns what the data plane says of it.
func (db *DB) SaveSegment(ctx context.Context, d SegmentDefinition) (changed bool, state SegmentState, err error) {
	arguments := d.Arguments
	if arguments == nil {
		arguments = []string{}
	}
	var dependencies expr.Dependencies
	var follows *segment.Dependencies
	if d.Dependencies != nil {
		dependencies = *d.Dependencies
		plan := segment.Depend(dependencies)
		follows = &plan
	}
	tag, err := db.Pool.Exec(ctx, `
		insert into segment (name, match, digest, predicate, arguments, suspended, dependencies, follows, refresh_asked_at)
		select $1, $2, $3, $4, $5, $6, $7, $8::jsonb, now() where not exists (
			select from segment where name = $1 and match = $2 and digest = $3 and predicate = $4 and arguments = $5
				and suspended = $6 and dependencies = $7 and follows is not distinct from $8::jsonb and dormant_since is null)
		on conflict (name) do update set match = excluded.match, digest = excluded.digest, predicate = excluded.predicate,
			arguments = excluded.arguments, suspended = excluded.suspended, dormant_since = null,
			dependencies = excluded.dependencies, follows = excluded.follows,
			refresh_asked_at = case
				when segment.digest <> excluded.digest or segment.dormant_since is not null or (segment.suspended and not excluded.suspended)
				then coalesce(segment.refresh_asked_at, now())
				else segment.refresh_asked_at end`,
		d.Name, d.Match, d.Digest, d.Predicate, arguments, d.Suspended, dependencies, follows)
	if err != nil {
		return false, SegmentState{}, fmt.Errorf("save segment %q: %w", d.Name, err)
	}
	if err := db.ensureCrossings(ctx, follows); err != nil {
		return false, SegmentState{}, fmt.Errorf("save segment %q: %w", d.Name, err)
	}
	state, err = db.LoadSegmentState(ctx, d.Name)
	return tag.RowsAffected() > 0, state, err
}

// LoadSegmentState reads what the data plane says of a segment.
func (db *DB) LoadSegmentState(ctx context.Context, name string) (SegmentState, error) {
	var state SegmentState
	err := db.Pool.QueryRow(ctx, "select coalesce(built_digest, ''), members, changed_at from segment where name = $1", name).
		Scan(&state.BuiltDigest, &state.Members, &state.ChangedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return SegmentState{}, fmt.Errorf("read segment %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return SegmentState{}, fmt.Errorf("read segment %q: %w", name, err)
	}
	return state, nil
}

// DormantSegment records that a segment's object was deleted: its membership stays as it is and costs nothing more.
func (db *DB) DormantSegment(ctx context.Context, name string) error {
	return db.sleep(ctx, "update segment set dormant_since = now() where name = $1 and dormant_since is null", name)
}
