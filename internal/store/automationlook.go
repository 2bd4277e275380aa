package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// LookedRule is what can be seen of a rule.
type LookedRule struct {
	Name         string
	Version      int
	Suspended    bool
	DormantSince *time.Time
	Rule         automate.Rule
	SavedAt      time.Time // its version
	RuleState
}

const lookedRuleSQL = `
	select r.name, r.version, r.suspended, r.dormant_since, v.definition, v.saved_at, coalesce(t.waiting, 0), coalesce(t.stuck, 0), coalesce(t.fired, 0),
		coalesce(r.trouble, ''), r.trouble_since
	from automation_rule r join automation_version v on v.rule_id = r.id and v.version = r.version left join lateral (
		select sum(waiting)::bigint waiting, sum(stuck)::bigint stuck, sum(fired)::bigint fired from automation_tally where rule_id = r.id) t on true`

func scanLookedRule(row pgx.CollectableRow) (l LookedRule, err error) {
	var definition []byte
	err = row.Scan(&l.Name, &l.Version, &l.Suspended, &l.DormantSince, &definition, &l.SavedAt, &l.Waiting, &l.Stuck, &l.Fired, &l.Trouble, &l.TroubleSince)
	if err == nil {
		err = json.Unmarshal(definition, &l.Rule)
	}
	l.Active, l.RuleState.Version = l.Waiting+l.Stuck, l.Version
	return l, err
}

// ListRules lists the rules, those that were deleted but wait to come back included, by name.
func (db *DB) ListRules(ctx context.Context) ([]LookedRule, error) {
	rows, err := db.Pool.Query(ctx, lookedRuleSQL+" where r.dormant_since is null or coalesce(t.waiting, 0) + coalesce(t.stuck, 0) > 0 order by r.name")
	if err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanLookedRule)
	if err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	return list, nil
}

// DescribeRule reads a rule. It returns ErrNotFound for an unknown one.
func (db *DB) DescribeRule(ctx context.Context, name string) (LookedRule, error) {
	rows, err := db.Pool.Query(ctx, lookedRuleSQL+" where r.name = $1", name)
	if err != nil {
		return LookedRule{}, fmt.Errorf("read rule %q: %w", name, err)
	}
	rule, err := pgx.CollectExactlyOneRow(rows, scanLookedRule)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err == nil && rule.Stuck > 0 {
		rule.StuckReason, err = db.stuckReason(ctx, name)
	}
	if err != nil {
		return LookedRule{}, fmt.Errorf("read rule %q: %w", name, err)
	}
	return rule, nil
}

// mostStuck bounds how many stuck entries are looked at for the commonest reason.
const mostStuck = 1000

func (db *DB) stuckReason(ctx context.Context, rule string) (reason string, err error) {
	err = db.Pool.QueryRow(ctx, `select coalesce(reason, '') from (
			select e.reason from automation_entry e join automation_rule r on r.id = e.rule_id where r.name = $1
				and e.status = 'Stuck' order by e.since desc limit $2) s
		group by 1 order by count(*) desc, 1 limit 1`, rule, mostStuck).Scan(&reason)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return reason, err
}

// LookedEntry is what can be seen of an entry.
type LookedEntry struct {
	ID       string // the public one
	Rule     string
	Version  int
	Contact  string // public id; "" where nobody is known
	Event    string // that it began with; "" where another rule started it
	Status   automate.Status
	Step     string
	Reason   string
	BeganAt  time.Time
	Since    time.Time
	WakeAt   *time.Time
	Awaits   string
	Attempts int
	Path     []PassedStep
	// Conversation and Ticket are the numbers of those that it has; 0 for none.
	Conversation, Ticket int64
	number               int64
}

// PassedStep is a step that an entry has passed, or what somebody did with it.
type PassedStep struct {
	Step string    `json:"step"`
	At   time.Time `json:"at"`
	How  string    `json:"how"`
	By   string    `json:"by,omitempty"`
	Why  string    `json:"why,omitempty"`
}

// EntryQuery asks for entries of a rule, the newest first.
type EntryQuery struct {
	Rule    string
	Status  automate.Status // "": of any
	Contact string          // public id; "": of anybody
	Before  int64           // 0: from the newest
	Limit   int             // at most MaxEntries; 0 is 50
}

// MaxEntries is how many entries are told at once at most.
const MaxEntries = 500

// ListEntries lists entries of a rule. next continues behind them; 0 where there are no more. It returns ErrNotFound for an unknown rule or contact.
func (db *DB) ListEntries(ctx context.Context, q EntryQuery) (list []LookedEntry, next int64, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, MaxEntries)
	var rule int64
	var contact *int64
	err = db.Pool.QueryRow(ctx, `select r.id, (select c.id from contact c where c.public_id::text = $2 union all select x.contact_id from contact_record x
		where x.public_id::text = $2 limit 1)
		from automation_rule r where r.name = $1`, q.Rule, q.Contact).Scan(&rule, &contact)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && q.Contact != "" && contact == nil {
		return nil, 0, fmt.Errorf("list entries of rule %q: %w", q.Rule, ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list entries of rule %q: %w", q.Rule, err)
	}
	rows, err := db.Pool.Query(ctx, `
		select e.id, e.public_id::text, e.version, coalesce(c.public_id::text, ''),
			coalesce(case w.event when 'event' then w.name else w.event end, ''), e.status, coalesce(e.state ->> 'step', ''),
			coalesce(e.reason, ''), e.began_at, e.since, e.wake_at, coalesce(e.state ->> 'awaits', ''), e.attempts, e.path,
			coalesce((select t.number from conversation t where t.id = e.conversation_id), 0),
			coalesce((select t.number from ticket t where t.id = e.ticket_id), 0)
		from automation_entry e left join contact c on c.id = `+contactNow("e.contact_id")+` left join domain_event_watch w on w.id = e.watch_id
		where e.rule_id = $1 and ($2 = '' or e.status = $2) and ($3::bigint is null or e.contact_id = any (`+recordsSQL("$3")+`)) and ($4 = 0 or e.id < $4)
		order by e.id desc limit $5`, rule, string(q.Status), contact, q.Before, limit+1)
	if err != nil {
		return nil, 0, fmt.Errorf("list entries of rule %q: %w", q.Rule, err)
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e LookedEntry, err error) {
		e.Rule = q.Rule
		err = row.Scan(&e.number, &e.ID, &e.Version, &e.Contact, &e.Event, &e.Status, &e.Step, &e.Reason, &e.BeganAt, &e.Since, &e.WakeAt, &e.Awaits,
			&e.Attempts, &e.Path, &e.Conversation, &e.Ticket)
		return e, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list entries of rule %q: %w", q.Rule, err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].number
	}
	return list, next, nil
}
