package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// MonitorSummary is a monitor in a list.
type MonitorSummary struct {
	Name      string
	TimeZone  string // whose hours and days count
	Suspended bool
	Topics    []TopicSummary // those that are declared
	MonitorState
}

// TopicSummary is a topic of a monitor.
type TopicSummary struct {
	ID   int64
	Name string
	Role TopicRole
	// Preparing says that what is stored is being compared with it, Ready that it is known what is usual.
	Preparing, Ready bool
	EvaluatedTo      *time.Time
}

// ListMonitors reads the monitors in force, by name, suspended ones too.
func (db *DB) ListMonitors(ctx context.Context) ([]MonitorSummary, error) {
	rows, err := db.Pool.Query(ctx, "select m.name, "+monitorZone+`, m.suspended from monitor m cross join tenant
		where m.dormant_since is null order by m.name limit 1000`)
	if err != nil {
		return nil, fmt.Errorf("list the monitors: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m MonitorSummary, err error) {
		err = row.Scan(&m.Name, &m.TimeZone, &m.Suspended)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the monitors: %w", err)
	}
	for i := range list {
		m := &list[i]
		if m.MonitorState, err = db.LoadMonitorState(ctx, m.Name); err != nil {
			return nil, err
		}
		if m.Topics, err = db.monitorTopics(ctx, m.Name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// monitorZone is the time zone of a monitor m.
const monitorZone = "coalesce(nullif(m.time_zone, ''), nullif(tenant.time_zone, ''), 'UTC')"

func (db *DB) monitorTopics(ctx context.Context, name string) ([]TopicSummary, error) {
	rows, err := db.Pool.Query(ctx, `
		select t.id, t.name, t.role, t.matched_to is not null, coalesce(d.ready, false), d.evaluated_to
		from topic t join monitor m on m.id = t.monitor_id left join monitor_detector d on d.topic_id = t.id
		where m.name = $1 and t.dropped_at is null order by t.role = 'Competitor', t.name`, name)
	if err != nil {
		return nil, fmt.Errorf("read the topics of monitor %q: %w", name, err)
	}
	topics, err := pgx.CollectRows(rows, pgx.RowToStructByPos[TopicSummary])
	if err != nil {
		return nil, fmt.Errorf("read the topics of monitor %q: %w", name, err)
	}
	return topics, nil
}

// A QueryError is that a question cannot be answered as it was asked. It says how to ask it.
type QueryError struct{ Message string }

// Error implements error.
func (e *QueryError) Error() string { return e.Message }

func queryErrorf(format string, args ...any) error { return &QueryError{fmt.Sprintf(format, args...)} }

// askedMonitor is a monitor that somebody asks about, with those of its topics.
type askedMonitor struct {
	id       int64
	location *time.Location
	topics   []TopicSummary
}

// askMonitor finds a monitor, and one of its topics by name; all of a role where no topic is named, and all where no role is either.
func (db *DB) askMonitor(ctx context.Context, name, topic string, role TopicRole) (a askedMonitor, err error) {
	var zone string
	err = db.Pool.QueryRow(ctx, "select m.id, "+monitorZone+" from monitor m cross join tenant where m.name = $1 and m.dormant_since is null", name).
		Scan(&a.id, &zone)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, fmt.Errorf("read monitor %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return a, fmt.Errorf("read monitor %q: %w", name, err)
	}
	if a.location, err = time.LoadLocation(zone); err != nil {
		return a, fmt.Errorf("the time zone %q of monitor %q is not known: write it as Europe/Madrid", zone, name)
	}
	all, err := db.monitorTopics(ctx, name)
	if err != nil {
		return a, err
	}
	for _, t := range all {
		if t.Name == topic || topic == "" && (role == "" || t.Role == role) {
			a.topics = append(a.topics, t)
		}
	}
	if topic != "" && len(a.topics) == 0 {
		return a, queryErrorf("monitor %q has no topic %q", name, topic)
	}
	return a, nil
}

func (a *askedMonitor) ids() []int64 {
	ids := []int64{}
	for _, t := range a.topics {
		ids = append(ids, t.ID)
	}
	return ids
}

// SeriesStep is how long the steps of a series are.
type SeriesStep string

// The steps of a series. Hours and days are those of its time zone: a day may have 23 hours, or 25.
const (
	SeriesSteps SeriesStep = "5m"
	SeriesHours SeriesStep = "1h"
	SeriesDays  SeriesStep = "1d"
)

// MaxSeries is how many steps a series has at most.
const MaxSeries = 10_000

// SeriesQuery asks for what was counted from one time up to another.
type SeriesQuery struct {
	Monitor  string
	Topic    string // "" for all that are the brand's, added up
	Source   string // "" for all
	From, To time.Time
	Step     SeriesStep
	TimeZone string // "" for the monitor's
}

// Series is what was counted, step by step. A post about two of its topics counts twice.
type Series struct {
	Monitor  string
	Topics   []string
	Step     SeriesStep
	TimeZone string
	Points   []SeriesPoint
}

// SeriesPoint is what was counted in one step. One without mentions has zeros.
type SeriesPoint struct {
	Start                                      time.Time
	Mentions, Negatives, Positives, Engagement int64
}

// MonitorSeries reads what was counted. The first step is the one that has From in it, the last the one before To. The error is a *QueryError
// where the question cannot be answered as it is asked.
func (db *DB) MonitorSeries(ctx context.Context, q SeriesQuery) (Series, error) {
	a, err := db.askMonitor(ctx, q.Monitor, q.Topic, BrandTopic)
	if err != nil {
		return Series{}, err
	}
	if q.TimeZone != "" {
		if a.location, err = time.LoadLocation(q.TimeZone); err != nil || q.TimeZone == "Local" {
			return Series{}, queryErrorf("the time zone %q is not known: write it as Europe/Madrid", q.TimeZone)
		}
	}
	starts, end, err := seriesStarts(q, a.location)
	if err != nil {
		return Series{}, err
	}
	s := Series{Monitor: q.Monitor, Topics: []string{}, Step: q.Step, TimeZone: a.location.String(), Points: make([]SeriesPoint, len(starts))}
	for _, t := range a.topics {
		s.Topics = append(s.Topics, t.Name)
	}
	for i, start := range starts {
		s.Points[i].Start = start
	}
	rows, err := db.Pool.Query(ctx, `
		select width_bucket(c.step, $1::timestamptz[]), sum(c.mentions)::bigint, sum(c.negatives)::bigint, sum(c.positives)::bigint, sum(c.engagement)::bigint
		from (`+tallied+`) c group by 1`, starts, end, a.ids(), q.Source)
	if err != nil {
		return Series{}, fmt.Errorf("read the series of monitor %q: %w", q.Monitor, err)
	}
	defer rows.Close()
	for rows.Next() {
		var i int
		var p SeriesPoint
		if err := rows.Scan(&i, &p.Mentions, &p.Negatives, &p.Positives, &p.Engagement); err != nil {
			return Series{}, fmt.Errorf("read the series of monitor %q: %w", q.Monitor, err)
		}
		p.Start = s.Points[i-1].Start
		s.Points[i-1] = p
	}
	if err := rows.Err(); err != nil {
		return Series{}, fmt.Errorf("read the series of monitor %q: %w", q.Monitor, err)
	}
	return s, nil
}

// tallied are the counts of topics $3 from the first of $1 up to $2: of the source $4, or of all. Counts that were filled in stand for all
// sources.
const tallied = `
	select y.topic_id, y.step, y.source_id, y.mentions, y.negatives, y.positives, y.engagement from monitor_tally y
	where y.topic_id = any ($3) and y.step >= ($1::timestamptz[])[1] and y.step < $2 and case when $4 = ''
		then y.source_id = 0 or not exists (select from monitor_tally f where f.topic_id = y.topic_id and f.source_id = 0 and f.step = y.step)
		else y.source_id = (select id from social_source where name = $4) end`

// seriesStarts are the beginnings of the steps, and the end of the last one.
func seriesStarts(q SeriesQuery, location *time.Location) (starts []time.Time, end time.Time, err error) {
	next, ok := map[SeriesStep]func(time.Time) time.Time{
		SeriesSteps: func(t time.Time) time.Time { return t.Add(tallyStep) },
		SeriesHours: func(t time.Time) time.Time { return t.Add(time.Hour) },
		SeriesDays:  func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, location) },
	}[q.Step]
	if !ok {
		return nil, end, queryErrorf("steps of %q: write 5m, 1h or 1d", q.Step)
	}
	from := q.From.In(location)
	switch q.Step {
	case SeriesSteps:
		from = from.Truncate(tallyStep)
	case SeriesHours: // where zones are half an hour apart hours begin there
		_, offset := from.Zone()
		shift := time.Duration(offset) * time.Second
		from = from.Add(shift).Truncate(time.Hour).Add(-shift)
	case SeriesDays:
		from = time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, location)
	}
	for from.Before(q.To) {
		if len(starts) == MaxSeries {
			return nil, end, queryErrorf("the time has more than %d steps of %s: ask for a shorter time, or for longer steps", MaxSeries, q.Step)
		}
		starts = append(starts, from)
		from = next(from)
	}
	if len(starts) == 0 {
		return nil, end, queryErrorf("the time ends before it begins: let from be before to")
	}
	return starts, from, nil
}

// RisingQuery asks for the terms that rose on a day.
type RisingQuery struct {
	Monitor string
	Topic   string // "" for the only topic of the brand
	Day     time.Time
	Limit   int // at most 50; 0 is 10
}

// RisingTerms tells what was said of a topic on a day more than in the four weeks before it. It looks at the newest 2,000 mentions of the day, and
// at the newest 4,000 before it.
func (db *DB) RisingTerms(ctx context.Context, q RisingQuery) ([]monitor.Term, error) {
	a, err := db.askMonitor(ctx, q.Monitor, q.Topic, BrandTopic)
	if err != nil {
		return nil, err
	}
	if len(a.topics) != 1 {
		return nil, queryErrorf("monitor %q has %d topics of role Brand: name the topic", q.Monitor, len(a.topics))
	}
	if q.Limit < 0 || q.Limit > 50 {
		return nil, queryErrorf("%d terms: ask for 1 to 50", q.Limit)
	}
	day := q.Day.In(a.location)
	from := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, a.location)
	terms, err := risingTerms(ctx, db.Pool, termQuery{topic: a.topics[0].ID, from: from, to: from.AddDate(0, 0, 1)}, nil, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("find the rising terms of topic %q of monitor %q: %w", a.topics[0].Name, q.Monitor, err)
	}
	return terms, nil
}
