package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// maxIncidents is how many incidents, or events of them, are read at once.
const maxIncidents = 500

// IncidentQuery asks for incidents, the newest first.
type IncidentQuery struct {
	Monitor  string // "" for all
	OpenOnly bool
	Before   int64 // the ID of the last one that is known; 0 for the first page
	Limit    int   // at most 500; 0 is 50
}

func pageOf(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, maxIncidents)
}

// ListIncidents reads incidents, the newest first: those of history come before those that were told of.
func (db *DB) ListIncidents(ctx context.Context, q IncidentQuery) ([]Incident, error) {
	rows, err := db.Pool.Query(ctx, "select "+incidentColumns+` from incident i join topic t on t.id = i.topic_id join monitor m on m.id = t.monitor_id
		where ($1 = '' or m.name = $1) and (not $2 or i.closed is null)
			and ($3 = 0 or (i.opened, i.id) < (select opened, id from incident where id = $3))
		order by i.opened desc, i.id desc limit $4`, q.Monitor, q.OpenOnly, q.Before, pageOf(q.Limit))
	if err != nil {
		return nil, fmt.Errorf("list the incidents: %w", err)
	}
	list, err := pgx.CollectRows(rows, collectIncident)
	if err != nil {
		return nil, fmt.Errorf("list the incidents: %w", err)
	}
	return list, nil
}

// LoadIncident reads an incident by its public id. It returns ErrNotFound where there is none.
func (db *DB) LoadIncident(ctx context.Context, publicID string) (Incident, error) {
	rows, err := db.Pool.Query(ctx, "select "+incidentColumns+` from incident i join topic t on t.id = i.topic_id join monitor m on m.id = t.monitor_id
		where i.public_id = case when $1 ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then $1::text::uuid end`, publicID)
	if err != nil {
		return Incident{}, fmt.Errorf("read the incident: %w", err)
	}
	list, err := pgx.CollectRows(rows, collectIncident)
	if err != nil {
		return Incident{}, fmt.Errorf("read the incident: %w", err)
	}
	if len(list) == 0 {
		return Incident{}, fmt.Errorf("read the incident: %w", ErrNotFound)
	}
	return list[0], nil
}

// IncidentEvents reads what happened to incidents after an event, in the order in which it was noted. Nothing is committed later with an id
// before one that was read.
func (db *DB) IncidentEvents(ctx context.Context, after int64, limit int) ([]IncidentEvent, error) {
	rows, err := db.Pool.Query(ctx, `select id, kind, at, noted_at, incident, incident_id from incident_event where id > $1 order by id limit $2`,
		after, pageOf(limit))
	if err != nil {
		return nil, fmt.Errorf("read what happened to incidents: %w", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e IncidentEvent, err error) {
		var id int64
		err = row.Scan(&e.ID, &e.Kind, &e.At, &e.NotedAt, &e.Incident, &id)
		e.Incident.ID, e.At, e.NotedAt = id, e.At.UTC(), e.NotedAt.UTC()
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what happened to incidents: %w", err)
	}
	return events, nil
}
