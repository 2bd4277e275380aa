package store_test

import (
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestNothingReadsWhoWaits has many wait, and sees that what a worker looks at all the time, and what is done to a rule, reads none of them.
func TestNothingReadsWhoWaits(t *testing.T) {
	const waiting = 30_000
	b := newEngineBench(t, 10)
	rule := on("purchased", waitFor("wait", days(30)), automate.Step{Name: "visit", Wait: &automate.Wait{Event: "visited", For: days(3)}}, automate.Step{Name: "tag", Tag: "x"})
	b.save("r", rule)
	b.save("other", on("visited", automate.Step{Name: "tag", Tag: "came"}))
	b.exec(`insert into automation_entry (rule_id, version, contact_id, key, status, state, wake_at, began_at, since)
		select r.id, r.version, 100 + g, 'c/' || 100 + g, 'Waiting', jsonb_build_object('step', 'wait', 'status', 'Waiting', 'turn', 1, 'since', now(),
			'wakeAt', now() + interval '30 days'), now() + interval '30 days', now(), now() from automation_rule r cross join generate_series(1, $1::int) g
		where r.name = 'r'`, waiting)
	b.exec("vacuum analyze automation_entry")
	rules := store.NewRules(b.db)
	read := func() int64 {
		endConnections(t, b.db)
		return b.number(`select (coalesce(seq_tup_read, 0) + coalesce((select sum(idx_tup_read) from pg_stat_user_indexes i where i.relname = t.relname), 0))::bigint
			from pg_stat_user_tables t where relname = 'automation_entry'`)
	}
	edited := on("purchased", waitFor("wait", days(31)))
	for what, do := range map[string]func() error{
		"an event": func() error {
			b.everybody("visited", 5)
			_, err := rules.HandleEvents(b.ctx, 100)
			return err
		},
		"who is due":       func() error { _, err := rules.WakeEntries(b.ctx, 100); return err },
		"who is moved":     func() error { _, err := rules.MoveEntries(b.ctx, 100); return err },
		"schedules":        func() error { _, err := rules.Tick(b.ctx); return err },
		"what is over":     func() error { _, err := rules.SweepRules(b.ctx, 100); return err },
		"counts":           func() error { return rules.TellCounts(b.ctx) },
		"how rules fare":   func() error { _, err := rules.Measure(b.ctx); return err },
		"the rule's state": func() error { _, err := b.db.LoadRuleState(b.ctx, "r"); return err },
		"an edit": func() error {
			_, _, err := b.db.SaveRule(b.ctx, store.RuleDefinition{Name: "r", Rule: edited})
			return err
		},
		"a deletion":  func() error { return b.db.DormantRule(b.ctx, "r") },
		"one of them": func() error { _, _, err := b.db.ListEntries(b.ctx, store.EntryQuery{Rule: "r", Limit: 20}); return err },
	} {
		before := read()
		b.must(do())
		if n := read() - before; n > 500 {
			t.Errorf("%s: %d entries were read", what, n)
		}
	}
}

// TestAStormOfOnePerson has one contact do the same thing thousands of times in a moment, as a program does that has gone mad.
func TestAStormOfOnePerson(t *testing.T) {
	const storm = 3000
	b := newEngineBench(t, 2)
	b.save("never", on("purchased", automate.Step{Name: "tag", Tag: "bought"}))
	always := on("purchased", automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}})
	always.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("always", always)
	b.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source) select 'purchased', clock_timestamp(), 1, 1, 'shop' from generate_series(1, $1::int)`, storm)
	b.purchase(2, "1")
	began := time.Now()
	b.work()
	t.Logf("%d events of one contact took %v", storm, time.Since(began))
	if n := b.number("select count(*) from outbox"); n != storm+1 {
		t.Errorf("%d were told", n)
	}
	b.want("the tags", []string{b.tags()}, []string{"1:bought 2:bought"})
}
