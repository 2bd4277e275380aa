package store_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// engineBench is a tenant with people, what rules name, and a clock that can be moved.
type engineBench struct {
	*ruleBench
	rules *store.Rules
	ahead time.Duration
}

func newEngineBench(t *testing.T, people int) *engineBench {
	b := &engineBench{ruleBench: newRuleBench(t)}
	b.rules = store.NewRules(b.db)
	b.rules.Clock = func(now time.Time) time.Time { return now.Add(b.ahead) }
	if _, _, err := b.db.EnsureAttributes(b.ctx, []crm.Attribute{{Name: "plan", Type: crm.String}, {Name: "visits", Type: crm.Integer}, {
		Name: "born",
		Type: crm.Date,
	}}); err != nil {
		t.Fatal(err)
	}
	b.exec(`insert into event_type (name, properties) values ('purchased', '[{"name": "amount", "type": "Decimal"}]'), ('visited', '[]')`)
	b.exec(`insert into channel (name, type, settings) values ('mail', 'Email', '{}'), ('hook', 'Webhook', '{}')`)
	b.exec(`insert into template (name, default_locale, content, digest) values ('hello', 'en', '[]', '')`)
	b.exec(`insert into contact (id) overriding system value select generate_series(1, $1)`, people)
	b.exec(`insert into identifier (id, type, value) overriding system value select g, 'email', 'p' || g || '@example.com' from generate_series(1, $1) g`,
		people)
	b.exec(`insert into identifier_link (identifier_id, contact_id, verified, source) select g, g, true, 'test' from generate_series(1, $1) g`, people)
	b.exec(`insert into consent (contact_id, purpose, granted, source) select g, 'news', true, 'test' from generate_series(1, $1) g`, people)
	return b
}

// purchase has a contact buy something.
func (b *engineBench) purchase(contact int, amount string) {
	b.Helper()
	b.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source, properties) values ('purchased', clock_timestamp(), $1, $1, 'shop',
		jsonb_build_object('amount', $2::numeric))`,
		contact, amount)
}

// work handles all that there is, as a worker does.
func (b *engineBench) work() (sum store.Walked) {
	b.Helper()
	for again := true; again; {
		again = false
		for _, step := range []func() (store.Walked, error){
			func() (store.Walked, error) { return b.rules.HandleEvents(b.ctx, store.EventsAtOnce) },
			func() (store.Walked, error) { return b.rules.MoveEntries(b.ctx, 2) },
			func() (store.Walked, error) { return b.rules.WakeEntries(b.ctx, store.WakesAtOnce) },
		} {
			done, err := step()
			if err != nil {
				b.Fatal(err)
			}
			again = again || done.Repeat
			sum.Events, sum.Entered, sum.Passed = sum.Events+done.Events, sum.Entered+done.Entered, sum.Passed+done.Passed
			sum.Cut, sum.Woken, sum.Effects, sum.Stuck = sum.Cut+done.Cut, sum.Woken+done.Woken, sum.Effects+done.Effects, sum.Stuck+done.Stuck
		}
	}
	return sum
}

func (b *engineBench) entries() []string {
	b.Helper()
	return b.texts(`select concat_ws(' ', r.name, e.contact_id, e.status, e.state ->> 'step', e.reason) from automation_entry e
		join automation_rule r on r.id = e.rule_id order by e.id`)
}

func (b *engineBench) tags() string {
	b.Helper()
	return strings.Join(b.texts(`select id || ':' || array_to_string(tags, ',') from contact where tags <> '{}' order by id`), " ")
}

func (b *engineBench) want(what string, got, want []string) {
	b.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// days is a duration of a rule.
func days(n int) automate.Duration { return automate.Duration(time.Duration(n) * 24 * time.Hour) }

func on(event string, steps ...automate.Step) automate.Rule {
	return automate.Rule{On: automate.Trigger{Event: event}, Steps: steps}
}

func TestAJourney(t *testing.T) {
	b := newEngineBench(t, 3)
	rule := on("purchased",
		automate.Step{Name: "mark", Tag: "buyer"},
		automate.Step{Name: "mail", Send: &automate.Send{Template: "hello", Channel: "mail", Purpose: "news"}},
		automate.Step{Name: "wait", Wait: &automate.Wait{Event: "visited", For: days(3), Timeout: "tell"}},
		automate.Step{Name: "came", Tag: "came", Next: "rich"},
		automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}},
		automate.Step{Name: "rich", If: &automate.If{Condition: `event.amount > 100.0 && contact.tags.hasAny(["buyer"])`, Then: "set", Else: "out"}},
		automate.Step{Name: "set", Set: []automate.Assignment{{Attribute: "plan", Value: "gold"}}},
		automate.Step{Name: "out", Exit: &automate.Exit{Reason: "done"}},
	)
	rule.When = `event.amount > 10.0`
	b.save("buy", rule)
	b.purchase(1, "200")
	b.purchase(2, "50")
	b.purchase(3, "5") // too little
	b.work()
	b.want("troubles", b.texts("select trouble from automation_rule where trouble is not null"), nil)
	b.want("entries", b.entries(), []string{"buy 1 Waiting wait", "buy 2 Waiting wait"})
	b.want("ledger", b.texts("select contact_id || ' ' || state || ' ' || coalesce(reason, '') from ledger order by contact_id"), []string{
		"1 pending ",
		"2 pending ",
	})
	b.want("sends", b.texts("select campaign || ' ' || state || ' ' || purpose from send"), []string{"rule/buy/mail Sending news"})

	b.exec("insert into event (name, occurred_at, identifier_id, contact_id, source) values ('visited', clock_timestamp(), 1, 1, 'shop')")
	b.work()
	b.want("entries", b.entries(), []string{"buy 1 Exited out done", "buy 2 Waiting wait"})
	b.want("the tags", []string{b.tags()}, []string{"1:buyer,came 2:buyer"})
	b.want("plans", b.texts("select id || ' ' || attr_plan from contact where attr_plan is not null"), []string{"1 gold"})

	b.ahead = 73 * time.Hour
	b.work()
	b.want("entries", b.entries(), []string{"buy 1 Exited out done", "buy 2 Exited out done"})
	b.want("outbox", b.texts(`select channel || ' ' || state || ' ' || (body #>> '{event,facts,amount}') from outbox`), []string{"hook pending 50"})
	state, err := b.db.LoadRuleState(b.ctx, "buy")
	if err != nil || state.Fired != 2 || state.Active != 0 {
		t.Errorf("the rule's state is %+v, %v", state, err)
	}
	b.want("the path", b.texts(`select string_agg(p ->> 'step' || ':' || (p ->> 'how'), ' ' order by place) from automation_entry e cross
		join jsonb_array_elements(e.path) with ordinality x (p, place)
		where e.contact_id = 1`), []string{"mark:Done mail:Done wait:Waits wait:Arrived came:Done rich:Then set:Done out:Left"})
}

func TestReentry(t *testing.T) {
	never, after, always := automate.Reentry{}, automate.Reentry{Mode: automate.ReentryAfter, After: days(2)}, automate.Reentry{Mode: automate.ReentryAlways}
	wait := automate.Step{Name: "wait", Wait: &automate.Wait{For: days(1)}}
	tests := map[string]struct {
		reentry automate.Reentry
		steps   []automate.Step
		want    int64 // entries, of two purchases at once, one after 25 hours and one after 3 days
	}{
		"never":                        {never, nil, 1},
		"after a time":                 {after, nil, 2},
		"always":                       {always, nil, 4},
		"always, one active at a time": {always, []automate.Step{wait}, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newEngineBench(t, 1)
			rule := on("purchased", append(test.steps, automate.Step{Name: "tag", Tag: "x"})...)
			rule.Reentry = test.reentry
			b.save("r", rule)
			b.purchase(1, "1")
			b.purchase(1, "2")
			b.work()
			for _, ahead := range []time.Duration{25 * time.Hour, 72 * time.Hour} {
				b.ahead = ahead
				b.work()
				b.purchase(1, "3")
				b.work()
			}
			if state, _ := b.db.LoadRuleState(b.ctx, "r"); state.Fired != test.want {
				t.Errorf("%d entries began, not %d", state.Fired, test.want)
			}
		})
	}
}

func TestNothingGoesOnInATenantThatIsSuspended(t *testing.T) {
	b := newEngineBench(t, 1)
	b.save("buy", on("purchased", automate.Step{Name: "wait", Wait: &automate.Wait{For: days(1)}}, automate.Step{Name: "tag", Tag: "x"}))
	b.purchase(1, "1")
	b.work()
	b.exec("update tenant set suspended = true")
	b.ahead = 25 * time.Hour
	b.work()
	b.want("the tags", []string{b.tags()}, []string{""})
	b.exec("update tenant set suspended = false")
	b.work()
	b.want("the tags", []string{b.tags()}, []string{"1:x"})
}

func TestAnEventIsAwaitedOnACondition(t *testing.T) {
	b := newEngineBench(t, 1)
	b.save("more", on("purchased",
		automate.Step{Name: "more", Wait: &automate.Wait{Event: "purchased", For: days(3), When: "event.amount > trigger.amount", Timeout: "late"}},
		automate.Step{Name: "thanks", Tag: "more", Next: "out"},
		automate.Step{Name: "late", Tag: "late"},
		automate.Step{Name: "out", Exit: &automate.Exit{}},
	))
	b.purchase(1, "10")
	b.work()
	b.purchase(1, "5")
	b.work()
	b.want("after less", b.entries(), []string{"more 1 Waiting more"})
	b.purchase(1, "11")
	b.work()
	b.want("after more", b.entries(), []string{"more 1 Exited out"})
	b.want("the tags", []string{b.tags()}, []string{"1:more"})
}

func TestEntriesMoveToANewVersionWhereTheRuleSaysSo(t *testing.T) {
	for edit, want := range map[automate.OnEdit]string{automate.Finish: "1:old", automate.Move: "1:new"} {
		b := newEngineBench(t, 1)
		wait := automate.Step{Name: "wait", Wait: &automate.Wait{For: days(1)}}
		b.save("r", on("purchased", wait, automate.Step{Name: "tag", Tag: "old"}))
		b.purchase(1, "1")
		b.work()
		edited := on("purchased", wait, automate.Step{Name: "tag", Tag: "new"})
		edited.OnEdit = edit
		b.save("r", edited)
		b.ahead = 25 * time.Hour
		b.work()
		b.want(string(edit), []string{b.tags()}, []string{want})
	}
}

// TestWorkersSideBySide has four of them take the same people through a rule at once: nobody goes twice, nobody is forgotten.
func TestWorkersSideBySide(t *testing.T) {
	const people, times = 60, 5
	b := newEngineBench(t, people)
	b.exec("create table tag_trace (contact_id bigint)")
	b.exec(`create function trace_tags() returns trigger language plpgsql as $$ begin
		insert into tertulia.tag_trace select n.id from was o join became n on n.id = o.id where n.tags <> o.tags; return null; end $$`)
	b.exec("create trigger trace_tags after update on contact referencing old table as was new table as became for each statement execute function trace_tags()")
	once := on("purchased", automate.Step{Name: "tag", Tag: "once"}, automate.Step{Name: "mail", Send: &automate.Send{
		Template: "hello", Channel: "mail",
		Purpose: "news",
	}})
	always := on("purchased", automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}})
	always.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("once", once)
	b.save("always", always)
	for range times {
		b.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source) select 'purchased', clock_timestamp(), g, g, 'shop'
			from generate_series(1, $1::int) g`, people)
	}
	var workers sync.WaitGroup
	for range 4 {
		rules := store.NewRules(b.db)
		workers.Go(func() {
			for range 200 {
				if _, err := rules.HandleEvents(b.ctx, 10); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	b.work()
	for sql, want := range map[string]int64{
		"select count(*) from tag_trace": people, "select count(*) from ledger": people, "select count(*) from outbox": people * times,
		"select sum(fired)::bigint from automation_tally":              people * (times + 1),
		"select count(*) from automation_entry where status = 'Ended'": people * (times + 1),
	} {
		if n := b.number(sql); n != want {
			t.Errorf("%s: %d, not %d", sql, n, want)
		}
	}
}

// TestTagsOfManyRulesAreWrittenTogether has rules give a contact tags and take them at the same moment, and the records of one who was merged say so.
func TestTagsOfManyRulesAreWrittenTogether(t *testing.T) {
	b := newEngineBench(t, 4)
	b.exec("update contact set tags = '{old,kept}' where id <> 3")
	for name, step := range map[string]automate.Step{
		"a": {Name: "a", Tag: "x"}, "b": {Name: "b", Untag: "old"}, "c": {Name: "c", Tag: "kept"}, "d": {Name: "d", Tag: "y"}, "e": {Name: "e", Untag: "y"},
		"f": {Name: "f", Untag: "never"},
	} {
		b.save(name, on("purchased", step, automate.Step{Name: "again", Tag: "z"}))
	}
	if _, err := b.db.Merge(b.ctx, b.public(1), b.public(2), store.Decider{Token: "t", By: "ana"}); err != nil {
		t.Fatal(err)
	}
	merged := int(b.number("select id from contact where id in (1, 2)"))
	b.purchase(merged, "1")
	b.purchase(3, "1")
	b.work()
	b.want("the tags", b.texts("select array_to_string(tags, ',') from contact where id = $1 or id > 2 order by id", merged), []string{
		"kept,x,z", "x,kept,z", "old,kept",
	})
	b.want("what the records say", b.texts("select array_to_string(tags, ',') from contact_record where contact_id = $1 order by id = contact_id desc", merged),
		[]string{"kept,x,z", "kept"})
}
