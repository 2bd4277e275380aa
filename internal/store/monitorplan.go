package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// topicAction is what becomes of a topic.
type topicAction struct {
	id         int64 // 0: it is new
	topic      MonitorTopic
	definition []byte
	// match says that what is stored is compared with it anew, wake that it was not looked for until now: what came meanwhile is history.
	match, wake bool
}

// monitorPlan is what is written to bring a monitor into force.
type monitorPlan struct {
	save   *Monitor // nil: its row stays as it is
	topics []topicAction
	drop   []int64
}

func (p *monitorPlan) writes() bool { return p.save != nil || len(p.topics) > 0 || len(p.drop) > 0 }

// planMonitor compares what is declared with what is in force. What people declare of a topic by another order of its lists is another
// definition: it is compared with what is stored once more than it needs to.
func planMonitor(before storedMonitor, m Monitor) (monitorPlan, error) {
	var p monitorPlan
	if !before.same(m) {
		p.save = &m
	}
	known := map[string]storedTopic{}
	for _, t := range before.topics {
		known[t.name] = t
	}
	named := map[string]bool{}
	for _, t := range m.Topics {
		name := t.Definition.Name
		if named[name] || name == "" {
			return p, fmt.Errorf("topic %q has no name, or one that another topic has: give it one of its own", name)
		}
		named[name] = true
		a, err := planTopic(before, m, known[name], t)
		if err != nil {
			return p, err
		}
		if a != nil {
			p.topics = append(p.topics, *a)
		}
	}
	for _, t := range before.topics {
		if !t.dropped && !named[t.name] {
			p.drop = append(p.drop, t.id)
		}
	}
	return p, nil
}

// same compares all but the topics.
func (s *storedMonitor) same(m Monitor) bool {
	return slices.Equal(s.Sources, m.Sources) && slices.Equal(s.Accounts, m.Accounts) && s.Crisis == m.Crisis && s.TimeZone == m.TimeZone &&
		s.Suspended == m.Suspended && !s.dormant
}

// planTopic compares a topic with its row, which has the id 0 where there is none. It returns nil where nothing is to be written.
func planTopic(before storedMonitor, m Monitor, old storedTopic, t MonitorTopic) (*topicAction, error) {
	definition, err := json.Marshal(t.Definition)
	if err != nil {
		return nil, fmt.Errorf("write topic %q: %w", t.Definition.Name, err)
	}
	slept := old.id == 0 || old.dropped || before.dormant || before.Suspended
	a := topicAction{id: old.id, topic: t, definition: definition, wake: slept && !m.Suspended || old.id == 0 || old.dropped}
	a.match = a.wake || !sameDefinition(old.definition, t) || !slices.Equal(before.Sources, m.Sources)
	if !a.match && old.role == t.Role {
		return nil, nil
	}
	return &a, nil
}

// sameDefinition compares a topic with its row, in which PostgreSQL has brought the members into an order of its own.
func sameDefinition(stored json.RawMessage, t MonitorTopic) bool {
	var before MonitorTopic
	if json.Unmarshal(stored, &before.Definition) != nil {
		return false
	}
	a, errA := json.Marshal(before.Definition)
	b, errB := json.Marshal(t.Definition)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func (p *monitorPlan) apply(ctx context.Context, tx pgx.Tx, id int64) error {
	if m := p.save; m != nil {
		_, err := tx.Exec(ctx, `update monitor set sources = $2, accounts = $3, crisis = $4, time_zone = $5, suspended = $6, dormant_since = null,
				answers_to = case when accounts = $3 and sources = $2 then answers_to end where id = $1`,
			id, m.Sources, m.Accounts, m.Crisis, m.TimeZone, m.Suspended)
		if err != nil {
			return err
		}
	}
	// What those store who may not know of the change yet has ids behind this: it is compared a second time.
	again, err := settledMentions(ctx, tx)
	if err != nil {
		return err
	}
	for _, a := range p.topics {
		if err := a.apply(ctx, tx, id, again); err != nil {
			return fmt.Errorf("topic %q: %w", a.topic.Definition.Name, err)
		}
	}
	if len(p.drop) > 0 {
		if _, err := tx.Exec(ctx, "update topic set dropped_at = now(), matched_to = null, match_again = null where id = any ($1)", p.drop); err != nil {
			return fmt.Errorf("drop topics: %w", err)
		}
	}
	return nil
}

func (a *topicAction) apply(ctx context.Context, tx pgx.Tx, monitor, again int64) error {
	if a.id == 0 {
		return tx.QueryRow(ctx, `insert into topic (monitor_id, name, role, definition, matched_to, match_again)
			values ($1, $2, $3, $4, 0, case when $5 then $6::bigint end) returning id`,
			monitor, a.topic.Definition.Name, a.topic.Role, a.definition, a.match, again).Scan(&a.id)
	}
	_, err := tx.Exec(ctx, `update topic set role = $2, definition = $3, dropped_at = null, changed_at = now(),
			live_from = case when $4 or role = 'Competitor' then now() else live_from end,
			matched_to = case when $5 then 0 else matched_to end, match_again = case when $5 then $6 else match_again end
		where id = $1`, a.id, a.topic.Role, a.definition, a.wake, a.match, again)
	return err
}
