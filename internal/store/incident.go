package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// Incident is a burst of negative mentions of a topic.
type Incident struct {
	ID       int64  `json:"-"`
	PublicID string `json:"id"`
	Monitor  string `json:"monitor"`
	Topic    string `json:"topic"`
	// FromHistory says that it was found when history was learned: nobody was alarmed.
	FromHistory bool `json:"fromHistory,omitempty"`
	monitor.Incident
	Drivers Drivers `json:"drivers"`
}

// Drivers are what drives an incident: no texts, and nobody's name.
type Drivers struct {
	Terms   []monitor.Term `json:"terms"`
	Sources []SourceCount  `json:"sources"`
	Samples []string       `json:"samples"` // public ids of mentions, those with the most engagement first
}

// SourceCount is how many negative mentions a source brought.
type SourceCount struct {
	Source    string `json:"source"`
	Negatives int64  `json:"negatives"`
}

// IncidentEvent is something that happened to an incident.
type IncidentEvent struct {
	ID       int64        `json:"id"`
	Kind     monitor.Kind `json:"kind"`
	At       time.Time    `json:"at"`
	NotedAt  time.Time    `json:"notedAt"`
	Incident Incident     `json:"incident"` // as it was then
}

// incidentColumns are what scanIncident reads, of an incident i of a topic t of a monitor m.
const incidentColumns = `i.id, i.public_id::text, m.name, t.name, i.from_history, i.began, i.opened, i.last_unusual, i.closed, coalesce(i.ending, ''), i.rule,
	i.evidence, i.peak, i.peak_usual, i.drivers`

func collectIncident(row pgx.CollectableRow) (Incident, error) { return scanIncident(row) }

// scanIncident reads incidentColumns, and what else there is behind them.
func scanIncident(row pgx.CollectableRow, besides ...any) (i Incident, err error) {
	var closed *time.Time
	err = row.Scan(append([]any{
		&i.ID, &i.PublicID, &i.Monitor, &i.Topic, &i.FromHistory, &i.Began, &i.Opened, &i.LastUnusual, &closed, &i.Ending, &i.Rule,
		&i.Evidence, &i.Peak, &i.PeakUsual, &i.Drivers,
	}, besides...)...)
	if closed != nil {
		i.Closed = closed.UTC()
	}
	i.Began, i.Opened, i.LastUnusual = i.Began.UTC(), i.Opened.UTC(), i.LastUnusual.UTC()
	return i, err
}

// topicIncidents reads the incidents of a topic that lie, with a part at least, after a time.
func topicIncidents(ctx context.Context, tx pgx.Tx, topic int64, after time.Time) ([]Incident, error) {
	rows, err := tx.Query(ctx, "select "+incidentColumns+` from incident i join topic t on t.id = i.topic_id join monitor m on m.id = t.monitor_id
		where i.topic_id = $1 and coalesce(i.closed, 'infinity') > $2 order by i.began, i.id`, topic, after)
	if err != nil {
		return nil, fmt.Errorf("read the incidents: %w", err)
	}
	list, err := pgx.CollectRows(rows, collectIncident)
	if err != nil {
		return nil, fmt.Errorf("read the incidents: %w", err)
	}
	return list, nil
}

// insertIncident writes an incident that is new.
func insertIncident(ctx context.Context, tx pgx.Tx, w *watched, i monitor.Incident, fromHistory bool) (Incident, error) {
	n := Incident{Monitor: w.monitor, Topic: w.name, FromHistory: fromHistory, Incident: i}
	err := tx.QueryRow(ctx, `
		insert into incident (topic_id, from_history, began, opened, last_unusual, closed, ending, rule, evidence, peak, peak_usual)
		values ($1, $2, $3, $4, $5, $6, nullif($7, ''), $8, $9, $10, $11) returning id, public_id::text`,
		w.topic, fromHistory, i.Began, i.Opened, i.LastUnusual, nullTime(i.Closed), string(i.Ending), string(i.Rule), i.Evidence, i.Peak, i.PeakUsual).
		Scan(&n.ID, &n.PublicID)
	if err != nil {
		return n, fmt.Errorf("write the incident: %w", err)
	}
	return n, nil
}

// updateIncident writes how an incident stands. It writes nothing where that is known.
func updateIncident(ctx context.Context, tx pgx.Tx, n Incident) error {
	_, err := tx.Exec(ctx, `
		update incident set last_unusual = $2, closed = $3, ending = nullif($4, ''), peak = $5, peak_usual = $6
		where id = $1 and (last_unusual, closed, coalesce(ending, ''), peak) is distinct from ($2::timestamptz, $3::timestamptz, $4::text, $5::bigint)`,
		n.ID, n.LastUnusual, nullTime(n.Closed), string(n.Ending), n.Peak, n.PeakUsual)
	if err != nil {
		return fmt.Errorf("write how the incident stands: %w", err)
	}
	return nil
}

// tellIncident writes down that something happened to an incident, with what drives it.
func tellIncident(ctx context.Context, tx pgx.Tx, w *watched, n *Incident, kind monitor.Kind, at time.Time) (err error) {
	if n.Drivers, err = findDrivers(ctx, tx, w, n.Incident, at); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "update incident set drivers = $2 where id = $1", n.ID, n.Drivers); err != nil {
		return fmt.Errorf("write what drives the incident: %w", err)
	}
	if _, err := tx.Exec(ctx, "insert into incident_event (incident_id, kind, at, incident) values ($1, $2, $3, $4)", n.ID, string(kind), at, n); err != nil {
		return fmt.Errorf("write what happened to the incident: %w", err)
	}
	return nil
}
