package crash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var ruleScenarios = []Scenario{
	{
		Name: "rules", run: killAmongRules, Allows: Allowance{WorkerDeaths: kills},
		Done: "two workers send and take everybody through a rule of eight steps, in three waves; in each wave one of them is killed (kill -9) and " +
			"another takes its place, and PostgreSQL is ended in immediate mode",
	},
	{
		Name: "rules-stopped", run: stopAmongRules, Allows: Allowance{WorkerDeaths: 1},
		Done: "likewise, and one of them is stopped (SIGSTOP) again and again, at last until the other has taken it for dead, then goes on",
	},
}

// The rules: what they do leaves a trace for each time that it is done.
const (
	ruleName  = "journey"
	ruleEvent = "bought"
)

// beginRules declares a rule that everybody goes through, and begins as others do. Its mails leave over a channel that takes none: they are counted in
// the ledger.
func (w *world) beginRules(ctx context.Context) ([]*process, error) {
	moment := func(d time.Duration) *automate.Wait { return &automate.Wait{For: automate.Duration(d)} }
	rule := automate.Rule{On: automate.Trigger{Event: ruleEvent}, Steps: []automate.Step{
		{Name: "mark", Tag: "bought"},
		{Name: "mail", Send: &automate.Send{Template: campaignName, Channel: "nowhere", Purpose: "newsletter"}},
		{Name: "moment", Wait: moment(time.Second)},
		{Name: "tell", Notify: &automate.Notify{Channel: "nowhere"}},
		{Name: "unmark", Untag: "bought"},
		{Name: "other", Start: &automate.Start{Rule: ruleName + "-2"}},
		{Name: "again", Wait: moment(time.Second)},
		{Name: "thanks", Send: &automate.Send{Template: campaignName, Channel: "nowhere", Purpose: "newsletter"}},
	}}
	second := automate.Rule{On: automate.Trigger{Event: "never"}, Steps: []automate.Step{
		{Name: "moment", Wait: moment(time.Second)}, {Name: "done", Tag: "done"},
	}}
	for _, statement := range []string{
		"insert into event_type (name) values ('" + ruleEvent + "'), ('never')",
		"insert into channel (name, type, settings, suspended) values ('nowhere', 'Webhook', '{}', true)",
	} {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("make the rule's world: %w", err)
		}
	}
	if err := w.traceTags(ctx); err != nil {
		return nil, err
	}
	for name, r := range map[string]automate.Rule{ruleName: rule, ruleName + "-2": second} {
		if _, _, err := w.db.SaveRule(ctx, store.RuleDefinition{Name: name, Rule: r}); err != nil {
			return nil, err
		}
	}
	return w.begin(ctx, 2)
}

// traceTags has each change of somebody's tags leave a trace.
func (w *world) traceTags(ctx context.Context) error {
	for _, statement := range []string{
		"create table tag_trace (contact_id bigint, was text[], became text[])",
		"grant insert on tag_trace to " + runtimeName,
		`create function trace_tags() returns trigger language plpgsql as $$ begin
			insert into tertulia.tag_trace select o.id, o.tags, n.tags from was o join became n on n.id = o.id where n.tags <> o.tags; return null; end $$`,
		"create trigger trace_tags after update on contact referencing old table as was new table as became for each statement execute function trace_tags()",
	} {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("trace tags: %w", err)
		}
	}
	return nil
}

// buy has the people from one number to another do what the rule listens to.
func (w *world) buy(ctx context.Context, first, last int) error {
	_, err := w.db.Pool.Exec(ctx, `insert into event (name, occurred_at, identifier_id, contact_id, source)
		select $1, clock_timestamp(), i.id, c.id, 'shop' from contact c join identifier i on i.type = 'external:shop' and i.value = 'C' || c.id
			where c.id between $2 and $3`,
		ruleEvent, first, last)
	if err != nil {
		return fmt.Errorf("have people buy something: %w", err)
	}
	return nil
}

func killAmongRules(ctx context.Context, w *world) error {
	workers, err := w.beginRules(ctx)
	if err == nil {
		err = w.killAmong(ctx, workers, w.buy)
	}
	if err != nil {
		return err
	}
	return w.compareRules(ctx)
}

// killAmong has something happen to everybody, in waves, and kills a worker in each.
func (w *world) killAmong(ctx context.Context, workers []*process, happen func(ctx context.Context, first, last int) error) error {
	return w.killOnce(ctx, workers, happen, w.awaitEntered)
}

// killOnce does so once the workers have begun with a wave.
func (w *world) killOnce(
	ctx context.Context, workers []*process, happen func(ctx context.Context, first, last int) error, begun func(ctx context.Context, wave int) error,
) error {
	for i := range kills {
		wave := func() error {
			if err := happen(ctx, w.parameters.Size*i/kills+1, w.parameters.Size*(i+1)/kills); err != nil {
				return err
			}
			if err := begun(ctx, i); err != nil {
				return err
			}
			return w.replaceOne(ctx, workers, i == 1)
		}
		// The first is in the middle of the send. The others come when they come: it is the rules that are to be in the middle then.
		if i == 0 {
			first := wave
			wave = func() error { return w.disturb(ctx, w.shares(1)[0], first) }
		}
		if err := wave(); err != nil {
			return err
		}
	}
	return nil
}

// replaceOne kills one of the workers and starts another, after the database where that is ended too.
func (w *world) replaceOne(ctx context.Context, workers []*process, database bool) (err error) {
	victim := w.random.IntN(len(workers))
	if err := w.kill(workers[victim]); err != nil {
		return err
	}
	if database {
		if err := w.database.restart(ctx); err != nil {
			return err
		}
		w.db.Pool.Reset() // its connections ended with the server
	}
	workers[victim], err = w.startWorker(ctx, w.tenant)
	return err
}

func stopAmongRules(ctx context.Context, w *world) error {
	workers, err := w.beginRules(ctx)
	if err != nil {
		return err
	}
	err = w.disturb(ctx, w.shares(1)[0], func() error { return w.buy(ctx, 1, w.parameters.Size) })
	if err != nil {
		return err
	}
	const stops = 6
	for i := range stops {
		if err := w.awaitEntered(ctx, 0); err != nil {
			return err
		}
		if err := workers[0].signal(syscall.SIGSTOP); err != nil {
			return err
		}
		length := time.Duration(w.random.Int64N(int64(300 * time.Millisecond)))
		if i == stops-1 {
			length = lease + time.Second
		}
		if err := errors.Join(pause(ctx, length), workers[0].signal(syscall.SIGCONT)); err != nil {
			return err
		}
	}
	return w.compareRules(ctx)
}

// awaitEntered waits until somebody of a wave is in the rule: to disturb before proves nothing.
func (w *world) awaitEntered(ctx context.Context, wave int) error {
	return w.awaitEvery(ctx, look, "somebody has entered the rule", func() (bool, string, error) {
		var n int
		err := w.db.Pool.QueryRow(ctx, "select count(*) from automation_entry where contact_id > $1", w.parameters.Size*wave/kills).Scan(&n)
		return n > 0, "nobody has", err
	})
}

// compareRules wants that each step was taken once for everybody.
func (w *world) compareRules(ctx context.Context) error {
	n := w.parameters.Size
	return w.compareEntries(ctx, `
		select 'mails: ' || count(*) || ' of ' || count(distinct (l.contact_id, s.id)) from ledger l join send s on s.id = l.send_id
			where s.campaign like 'rule/%'
		union all select 'told: ' || count(*) || ' of ' || count(distinct entry_id) from outbox`,
		fmt.Sprintf("entries of %s: %d of %d people", ruleName, n, n), fmt.Sprintf("entries of %s-2: %d of %d people", ruleName, n, n),
		fmt.Sprintf("mails: %d of %d", 2*n, 2*n), fmt.Sprintf("told: %d of %d", n, n), fmt.Sprintf("tagged {bought}: %d of %d", n, n),
		fmt.Sprintf("tagged {}: %d of %d", n, n), fmt.Sprintf("tagged {done}: %d of %d", n, n), fmt.Sprintf("counted: 0 0 %d", 2*n), "in rules: 0",
	)
}

// compareEntries waits until everybody is through two rules, and wants that these left no other traces. More are those that a statement lists.
func (w *world) compareEntries(ctx context.Context, more string, want ...string) error {
	err := w.await(ctx, "everybody is through the rules", func() (bool, string, error) {
		var stands string
		err := w.db.Pool.QueryRow(ctx, `select concat_ws(' ', (select count(*) from automation_entry where status = 'Ended'), (select count(*)
			from domain_event_queue))`).Scan(&stands)
		if err != nil { // the database may be away for a moment
			return false, err.Error(), nil
		}
		return stands == fmt.Sprintf("%d 0", 2*w.parameters.Size), stands, nil
	})
	if err != nil {
		return err
	}
	rows, err := w.db.Pool.Query(ctx, `
		select 'entries of ' || r.name || ': ' || count(*) || ' of ' || count(distinct e.contact_id) || ' people' from automation_entry e
			join automation_rule r on r.id = e.rule_id group by r.name
		union all select 'tagged ' || became::text || ': ' || count(*) || ' of ' || count(distinct contact_id) from tag_trace group by became
		union all select 'counted: ' || sum(waiting) || ' ' || sum(stuck) || ' ' || sum(fired) from automation_tally
		union all select 'in rules: ' || count(*) from automation_pass where active
		union all `+more)
	if err != nil {
		return fmt.Errorf("look what rules did: %w", err)
	}
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		found = append(found, line)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look what rules did: %w", err)
	}
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		return fmt.Errorf("rules did\n%s\nwhere everybody was to go through them once:\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	return nil
}
