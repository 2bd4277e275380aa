package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// RuleKind is the kind of objects that declare rules.
const RuleKind = "AutomationRule"

// RuleDefinition is what the operator decides of a rule.
type RuleDefinition struct {
	Name string
	Rule automate.Rule
	// Digest is of the rule and of the types that it was checked against; "" is that of the rule alone. There is a new version where it differs.
	Digest    string
	Suspended bool // nothing new begins, and entries stay where they are
}

// RuleState is what the data plane says of a rule.
type RuleState struct {
	Version int
	// Active entries are those that are not over: they wait or are stuck.
	Active, Waiting, Stuck int64
	// Fired is how many entries ever began.
	Fired int64
	// Trouble says why the rule does not do all that it should, in words for its author; "" where it does.
	Trouble      string
	TroubleSince *time.Time
	// StuckReason is the commonest reason why entries are stuck; "" while none is.
	StuckReason string
}

// SaveRule brings a rule into force. It writes only what differs, and makes a new version only where the digest differs. Entries of a rule of
// that name which was deleted less than campaign.DormancyLimit ago go on. It returns what the data plane says of the rule.
func (db *DB) SaveRule(ctx context.Context, d RuleDefinition) (changed bool, state RuleState, err error) {
	definition, err := json.Marshal(d.Rule)
	if err != nil {
		return false, state, fmt.Errorf("save rule %q: %w", d.Name, err)
	}
	if d.Digest == "" {
		sum := sha256.Sum256(definition)
		d.Digest = hex.EncodeToString(sum[:])
	}
	var settled bool
	err = db.Pool.QueryRow(ctx, `select exists (select from automation_rule r join automation_version v on v.rule_id = r.id and v.version = r.version
		where r.name = $1 and v.digest = $2 and r.suspended = $3 and r.dormant_since is null)`, d.Name, d.Digest, d.Suspended).Scan(&settled)
	if err == nil && !settled {
		err = db.InTx(ctx, func(tx pgx.Tx) error { return saveRule(ctx, tx, d, definition) })
	}
	if err != nil {
		return false, state, fmt.Errorf("save rule %q: %w", d.Name, err)
	}
	state, err = db.LoadRuleState(ctx, d.Name)
	return !settled, state, err
}

func saveRule(ctx context.Context, tx pgx.Tx, d RuleDefinition, definition []byte) error {
	var id int64
	var version int
	var outlived bool
	err := tx.QueryRow(ctx, `insert into automation_rule (name) values ($1) on conflict (name) do update set name = excluded.name
		returning id, version, coalesce(dormant_since < now() - $2::interval, false)`, d.Name, campaign.DormancyLimit).Scan(&id, &version, &outlived)
	if err != nil {
		return err
	}
	if outlived {
		// Whoever still waits waited for the rule that was deleted.
		if _, err := endEntries(ctx, tx, id, 0); err != nil {
			return err
		}
	}
	var digest string
	err = tx.QueryRow(ctx, "select digest from automation_version where rule_id = $1 and version = $2", id, version).Scan(&digest)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if digest != d.Digest {
		version++
		if err := saveVersion(ctx, tx, id, version, d, definition); err != nil {
			return err
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`update automation_rule set version = $2, suspended = $3, dormant_since = null,
			move_after = case when version = $2 then move_after when $4 then 0 end,
			trouble = case when version = $2 then trouble end, trouble_since = case when version = $2 then trouble_since end,
			next_at = case when version = $2 and dormant_since is null and not suspended then next_at end
		where id = $1`, id, version, d.Suspended, d.Rule.OnEdit == automate.Move)
	batch.Queue("update send set suspended = $2, dormant_since = null where starts_with(campaign, $1) and (suspended <> $2 or dormant_since is not null)",
		ruleCampaign(d.Name, ""), d.Suspended)
	queueFollowRules(batch)
	return tx.SendBatch(ctx, batch).Close()
}

// queueFollowRules has triggers note what is listened to from now on, and workers read the rules again.
func queueFollowRules(batch *pgx.Batch) {
	batch.Queue("select domain_event_follow()")
	batch.Queue("update automation_revision set revision = revision + 1")
}

// saveVersion writes a version of a rule and what it listens to. What only versions listened to that nobody is on any more is forgotten: who is on one
// may still come to wait.
func saveVersion(ctx context.Context, tx pgx.Tx, id int64, version int, d RuleDefinition, definition []byte) error {
	var events, names []string
	var edits, awaited []bool
	for _, l := range listens(d.Name, d.Rule) {
		events, names, edits, awaited = append(events, l.event), append(names, l.name), append(edits, l.edits), append(awaited, l.awaited)
	}
	batch := &pgx.Batch{}
	batch.Queue("insert into automation_version (rule_id, version, definition, digest) values ($1, $2, $3, $4)", id, version, definition, d.Digest)
	batch.Queue(`insert into domain_event_watch (event, name, edits) select distinct * from unnest($1::text[], $2::text[], $3::boolean[])
		on conflict (event, name, edits) do nothing`, events, names, edits)
	batch.Queue(`insert into automation_listen (rule_id, version, watch_id, awaited)
		select distinct $1::bigint, $2::int, w.id, l.awaited from unnest($3::text[], $4::text[], $5::boolean[], $6::boolean[]) l (event, name, edits, awaited)
			join domain_event_watch w using (event, name, edits)`, id, version, events, names, edits, awaited)
	// One at most is looked for of each version, and not all of them.
	batch.Queue(`delete from automation_listen l where l.rule_id = $1 and l.version < $2 and (select e.id from automation_entry e
		where e.rule_id = l.rule_id and e.version = l.version and e.status in ('Waiting', 'Stuck') limit 1) is null`, id, version)
	return tx.SendBatch(ctx, batch).Close()
}

// SuspendRule stops a rule whose declaration cannot be applied at the moment, so that nothing goes on under an older one; SaveRule decides
// again. A rule that is not there is no error.
func (db *DB) SuspendRule(ctx context.Context, name string) error {
	return db.stopRule(ctx, name, "suspend", "update automation_rule set suspended = true where name = $1 and not suspended and dormant_since is null",
		"update send set suspended = true where starts_with(campaign, $1) and not suspended and dormant_since is null")
}

// DormantRule records that a rule's object was deleted. Its entries wait for campaign.DormancyLimit for a rule of that name; then they end. However many
// there are, none of them is touched.
func (db *DB) DormantRule(ctx context.Context, name string) error {
	return db.stopRule(ctx, name, "put to sleep", "update automation_rule set dormant_since = now() where name = $1 and dormant_since is null",
		"update send set dormant_since = now() where starts_with(campaign, $1) and dormant_since is null")
}

func (db *DB) stopRule(ctx context.Context, name, what, stop, stopSends string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, stop, name)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(stopSends, ruleCampaign(name, ""))
		queueFollowRules(batch)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("%s rule %q: %w", what, name, err)
	}
	return nil
}

// LoadRuleState reads what the data plane says of a rule, without counting entries. It returns ErrNotFound for an unknown one.
func (db *DB) LoadRuleState(ctx context.Context, name string) (RuleState, error) {
	var s RuleState
	err := db.Pool.QueryRow(ctx, `
		select r.version, coalesce(sum(t.waiting), 0)::bigint, coalesce(sum(t.stuck), 0)::bigint, coalesce(sum(t.fired), 0)::bigint,
			coalesce(r.trouble, ''), r.trouble_since
		from automation_rule r left join automation_tally t on t.rule_id = r.id where r.name = $1 group by r.id`, name).
		Scan(&s.Version, &s.Waiting, &s.Stuck, &s.Fired, &s.Trouble, &s.TroubleSince)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err == nil && s.Stuck > 0 {
		s.StuckReason, err = db.stuckReason(ctx, name)
	}
	if err != nil {
		return RuleState{}, fmt.Errorf("read rule %q: %w", name, err)
	}
	s.Active = s.Waiting + s.Stuck
	return s, nil
}

// listened is something that a rule listens to: by its trigger, or where an entry waits.
type listened struct {
	event, name string
	edits       bool
	awaited     bool
}

// What the tables call the events that have names of their own.
const (
	namedEvent    = "event"
	scheduleEvent = "schedule"
	dateEvent     = "date"
)

// listens lists what a rule listens to.
func listens(name string, r automate.Rule) []listened {
	var list []listened
	switch {
	case r.On.Schedule != nil:
		list = append(list, listened{event: scheduleEvent, name: name})
	case r.On.Date != nil:
		list = append(list, listened{event: dateEvent, name: name})
	case r.On.Segment != "":
		list = append(list, listened{event: r.On.Event, name: r.On.Segment, edits: r.On.OnEdits})
	default:
		list = append(list, listenTo(r.On.Event))
	}
	for _, step := range r.Steps {
		if step.Wait != nil && step.Wait.Event != "" {
			l := listenTo(step.Wait.Event)
			l.awaited = true
			list = append(list, l)
		}
	}
	return list
}

// listenTo is how an event is listened to: one that every tenant has, or one by name.
func listenTo(event string) listened {
	for _, e := range automate.Events() {
		if e.Name == event {
			return listened{event: event}
		}
	}
	return listened{event: namedEvent, name: event}
}

// ruleCampaign is the name under which a step of a rule sends; that of the step "" begins all of them. No campaign of a manifest has a slash.
func ruleCampaign(rule, step string) string { return rulePrefix + rule + "/" + step }

const rulePrefix = "rule/"
