package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// MonitorKind is the kind of monitors among those whose status the data plane changes.
const MonitorKind = "Monitor"

// Monitor is what the operator decides of a monitor: which topics are looked for, and from when on it is a crisis.
type Monitor struct {
	Name string
	// Sources are those whose mentions count; none means all.
	Sources []string
	// Accounts are ours, as topics write accounts: what they write answers others and asks nothing.
	Accounts  []string
	Topics    []MonitorTopic
	Crisis    CrisisConfig
	TimeZone  string // IANA, whose hours and weekends are the usual ones; "" for the tenant's
	Suspended bool
}

// MonitorTopic is a topic of a monitor, by the name in its definition.
type MonitorTopic struct {
	Role       TopicRole
	Definition match.Topic
}

// TopicRole is what a topic is to the brand.
type TopicRole string

// The roles. Topics of competitors raise no alarms.
const (
	BrandTopic      TopicRole = "Brand"
	ProductTopic    TopicRole = "Product"
	CompetitorTopic TopicRole = "Competitor"
)

// CrisisConfig bounds what an incident is. Zero means what is usual: see monitor.Config.
type CrisisConfig struct {
	MinNegatives int           `json:"minNegatives,omitempty"`
	MinAuthors   int           `json:"minAuthors,omitempty"`
	CoolDown     time.Duration `json:"coolDown,omitempty"`
	Lasting      time.Duration `json:"lasting,omitempty"`
}

// MonitorState is what the data plane says of a monitor.
type MonitorState struct {
	// InForce is false of one whose object was deleted.
	InForce bool
	// Topics are looked for; of Preparing of them what is stored is being compared yet.
	Topics, Preparing int
	// Ready says that it is known of every topic that may raise an alarm what is usual.
	Ready         bool
	OpenIncidents int
	// Mentions24h and Negatives24h count those of the last 24 hours of topics that are no competitor's.
	Mentions24h, Negatives24h int64
}

// Topic is a topic that is in force.
type Topic struct {
	ID         int64
	Monitor    string
	Name       string
	Role       TopicRole
	Definition match.Topic
	Sources    []string // of its monitor; none means all
}

// storedMonitor is a monitor's row.
type storedMonitor struct {
	id int64
	Monitor
	dormant bool
	topics  []storedTopic
}

// storedTopic is a topic's row.
type storedTopic struct {
	id         int64
	name       string
	role       TopicRole
	definition json.RawMessage
	dropped    bool
}

// SaveMonitor brings a monitor into force. It writes only what differs, and returns what the data plane says of it. A topic that is
// new or looks for something else is compared with what is stored, in the background.
func (db *DB) SaveMonitor(ctx context.Context, m Monitor) (changed bool, state MonitorState, err error) {
	m.Sources, m.Accounts = sorted(m.Sources), sorted(m.Accounts)
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		changed = false
		before, err := loadMonitor(ctx, tx, m.Name)
		if err == nil {
			if plan, err := planMonitor(before, m); err != nil || !plan.writes() {
				return err
			}
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		// The row is locked and read again: another operator may have written it meanwhile.
		_, err = tx.Exec(ctx, "insert into monitor (name, dormant_since) values ($1, now()) on conflict (name) do update set name = excluded.name", m.Name)
		if err != nil {
			return err
		}
		if before, err = loadMonitor(ctx, tx, m.Name); err != nil {
			return err
		}
		plan, err := planMonitor(before, m)
		if err != nil {
			return err
		}
		changed = plan.writes()
		return plan.apply(ctx, tx, before.id)
	})
	if err != nil {
		return false, MonitorState{}, fmt.Errorf("save monitor %q: %w", m.Name, err)
	}
	state, err = db.LoadMonitorState(ctx, m.Name)
	return changed, state, err
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return append([]string{}, slices.Compact(list)...)
}

func loadMonitor(ctx context.Context, tx pgx.Tx, name string) (m storedMonitor, err error) {
	m.Name = name
	err = tx.QueryRow(ctx, "select id, sources, accounts, crisis, time_zone, suspended, dormant_since is not null from monitor where name = $1", name).
		Scan(&m.id, &m.Sources, &m.Accounts, &m.Crisis, &m.TimeZone, &m.Suspended, &m.dormant)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, ErrNotFound
	}
	if err != nil {
		return m, err
	}
	rows, err := tx.Query(ctx, "select id, name, role, definition, dropped_at is not null from topic where monitor_id = $1 order by id", m.id)
	if err != nil {
		return m, err
	}
	m.topics, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t storedTopic, err error) {
		err = row.Scan(&t.id, &t.name, &t.role, &t.definition, &t.dropped)
		return t, err
	})
	return m, err
}

// DormantMonitor records that a monitor's object was deleted: its topics are looked for no longer, and its counts stay.
func (db *DB) DormantMonitor(ctx context.Context, name string) error {
	return db.sleep(ctx, "update monitor set dormant_since = now() where name = $1 and dormant_since is null", name)
}

// LoadMonitorState reads what the data plane says of a monitor.
func (db *DB) LoadMonitorState(ctx context.Context, name string) (MonitorState, error) {
	var s MonitorState
	err := db.Pool.QueryRow(ctx, `
		select m.dormant_since is null, count(t.id), count(t.id) filter (where t.matched_to is not null),
			coalesce(bool_and(coalesce(d.ready, false)) filter (where t.role <> 'Competitor'), true),
			(select count(*) from incident i join topic o on o.id = i.topic_id where o.monitor_id = m.id and i.closed is null),
			coalesce(sum(n.mentions) filter (where t.role <> 'Competitor'), 0)::bigint,
			coalesce(sum(n.negatives) filter (where t.role <> 'Competitor'), 0)::bigint
		from monitor m left join topic t on t.monitor_id = m.id and t.dropped_at is null
			left join monitor_detector d on d.topic_id = t.id
			left join lateral (select sum(mentions) mentions, sum(negatives) negatives from monitor_tally y
				where y.topic_id = t.id and y.step > now() - interval '24 hours' and y.source_id > 0) n on true
		where m.name = $1 group by m.id`, name).
		Scan(&s.InForce, &s.Topics, &s.Preparing, &s.Ready, &s.OpenIncidents, &s.Mentions24h, &s.Negatives24h)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("read monitor %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("read monitor %q: %w", name, err)
	}
	return s, nil
}

// topicInForce is true for a topic t of a monitor m that is looked for.
const topicInForce = "t.dropped_at is null and m.dormant_since is null and not m.suspended"

// TopicVersion tells which set of topics is in force: it is another number after every change.
func (db *DB) TopicVersion(ctx context.Context) (version int64, err error) {
	if err := db.Pool.QueryRow(ctx, "select version from topic_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("ask which topics are in force: %w", err)
	}
	return version, nil
}

// Topics reads the topics in force, in an order that stays, with the version that they are of.
func (db *DB) Topics(ctx context.Context) (topics []Topic, version int64, err error) {
	// One statement sees one state of both tables.
	rows, err := db.Pool.Query(ctx, `
		select v.version, t.id, m.name, t.name, t.role, t.definition, m.sources
		from topic_version v left join (topic t join monitor m on m.id = t.monitor_id and `+topicInForce+`) on true order by t.id`)
	if err != nil {
		return nil, 0, fmt.Errorf("read the topics: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id *int64
		var monitor, name, role *string
		var definition []byte
		var t Topic
		if err := rows.Scan(&version, &id, &monitor, &name, &role, &definition, &t.Sources); err != nil {
			return nil, 0, fmt.Errorf("read the topics: %w", err)
		}
		if id == nil {
			continue
		}
		t.ID, t.Monitor, t.Name, t.Role = *id, *monitor, *name, TopicRole(*role)
		if err := json.Unmarshal(definition, &t.Definition); err != nil {
			return nil, 0, fmt.Errorf("read topic %q of monitor %q: %w", t.Name, t.Monitor, err)
		}
		t.Definition.Name = t.Name
		topics = append(topics, t)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read the topics: %w", err)
	}
	return topics, version, nil
}
