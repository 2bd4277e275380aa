package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// EventType is an event type's row.
type EventType struct {
	crm.EventType
	Suspended bool // new events of this name are refused
}

// SaveEventType brings an event type into force. It writes only what differs and tells whether it wrote.
func (db *DB) SaveEventType(ctx context.Context, e EventType) (changed bool, err error) {
	properties := e.Properties
	if properties == nil {
		properties = []crm.Property{}
	}
	tag, err := db.Pool.Exec(ctx, `
		insert into event_type (name, properties, suspended)
		select $1, $2, $3 where not exists (
			select from event_type where name = $1 and properties = $2 and suspended = $3 and dormant_since is null)
		on conflict (name) do update set properties = excluded.properties, suspended = excluded.suspended, dormant_since = null`,
		e.Name, properties, e.Suspended)
	if err != nil {
		return false, fmt.Errorf("save event type %q: %w", e.Name, err)
	}
	return tag.RowsAffected() > 0, nil
}

// DormantEventType records that an event type's object was deleted: its events stay, new ones are refused.
func (db *DB) DormantEventType(ctx context.Context, name string) error {
	return db.sleep(ctx, "update event_type set dormant_since = now() where name = $1 and dormant_since is null", name)
}

// sleep runs the statement that makes a named row dormant. A row that never was needs no sleep.
func (db *DB) sleep(ctx context.Context, statement, name string) error {
	if _, err := db.Pool.Exec(ctx, statement, name); err != nil {
		return fmt.Errorf("put %q to sleep: %w", name, err)
	}
	return nil
}

// LoadSchema reads what expressions, imports and templates are checked against: the attributes that a RecordType
// declares and the event types in force, suspended ones included.
func (db *DB) LoadSchema(ctx context.Context) (crm.Schema, error) {
	var schema crm.Schema
	rows, err := db.Pool.Query(ctx, `select name, type, enum, indexed, personal, role from attribute
		where record_type = 'contact' and declared order by name`)
	if err != nil {
		return crm.Schema{}, fmt.Errorf("read the attributes: %w", err)
	}
	schema.Attributes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[crm.Attribute])
	if err != nil {
		return crm.Schema{}, fmt.Errorf("read the attributes: %w", err)
	}
	rows, err = db.Pool.Query(ctx, "select name, properties from event_type where dormant_since is null order by name")
	if err != nil {
		return crm.Schema{}, fmt.Errorf("read the event types: %w", err)
	}
	schema.Events, err = pgx.CollectRows(rows, pgx.RowToStructByPos[crm.EventType])
	if err != nil {
		return crm.Schema{}, fmt.Errorf("read the event types: %w", err)
	}
	return schema, nil
}
