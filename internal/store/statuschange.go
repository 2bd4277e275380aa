package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The kinds of objects whose status the data plane changes.
const (
	SegmentKind  = "Segment"
	CampaignKind = "Campaign"
	ChannelKind  = "MessageChannel"
)

// tenantObject is the name that every CRMTenant has.
const tenantObject = "default"

// StatusChange names an object whose status is to be looked at again.
type StatusChange struct {
	Kind string
	Name string
}

// TakeStatusChanges returns what changed since the last call and forgets it. A change that a transaction has noted but
// not committed yet is waited for, so that whoever reads after this call sees it.
func (db *DB) TakeStatusChanges(ctx context.Context) ([]StatusChange, error) {
	rows, err := db.Pool.Query(ctx, "delete from status_change returning kind, name")
	if err != nil {
		return nil, fmt.Errorf("take status changes: %w", err)
	}
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StatusChange])
	if err != nil {
		return nil, fmt.Errorf("take status changes: %w", err)
	}
	return changes, nil
}

// NoteStatusChange asks for another look at an object's status.
func (db *DB) NoteStatusChange(ctx context.Context, kind, name string) error {
	return noteStatusChange(ctx, db.Pool, kind, name)
}

// statusNoter is a pool or a transaction.
type statusNoter interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// noteStatusChange locks the row that is there already (do nothing would not): otherwise a reader could take the row of
// an earlier change, read the status before this transaction commits, and never hear of it.
func noteStatusChange(ctx context.Context, q statusNoter, kind, name string) error {
	_, err := q.Exec(ctx, `
		insert into status_change (kind, name) values ($1, $2)
		on conflict (kind, name) do update set name = excluded.name`, kind, name)
	if err != nil {
		return fmt.Errorf("note a change of %s %q: %w", kind, name, err)
	}
	return nil
}
