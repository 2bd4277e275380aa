package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func (b *engineBench) public(contact int) string {
	b.Helper()
	return b.texts("select public_id::text from contact where id = $1", contact)[0]
}

// TestWhoIsMergedGoesOnce has two records of one person in a rule when that is found out.
func TestWhoIsMergedGoesOnce(t *testing.T) {
	b := newEngineBench(t, 3)
	b.save("buy", on("purchased", automate.Step{Name: "wait", Wait: &automate.Wait{For: days(1)}},
		automate.Step{Name: "mail", Send: &automate.Send{Template: "hello", Channel: "mail", Purpose: "news"}}))
	for contact := range 3 {
		b.purchase(contact+1, "1")
	}
	b.work()
	if _, err := b.db.Merge(b.ctx, b.public(1), b.public(2), store.Decider{Token: "t", By: "ana"}); err != nil {
		t.Fatal(err)
	}
	b.purchase(int(b.number("select id from contact where id in (1, 2)")), "2") // as the person that they are
	b.ahead = 25 * time.Hour
	b.work()
	b.want("how many mails", b.texts("select count(*)::text from ledger where state = 'pending'"), []string{"2"})
	b.want("entries by status", b.texts("select status || ' ' || count(*) from automation_entry group by status order by 1"), []string{"Ended 2", "Exited 1"})
}

func (b *ruleBench) number(sql string, arguments ...any) (n int64) {
	b.Helper()
	if err := b.db.Pool.QueryRow(b.ctx, sql, arguments...).Scan(&n); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return n
}

// everybody has the first contacts do something.
func (b *engineBench) everybody(event string, people int) {
	b.Helper()
	b.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source)
		select $1, clock_timestamp(), g, g, 'shop' from generate_series(1, $2::int) g`, event, people)
}

func TestWhoIsErasedLeavesNoEntry(t *testing.T) {
	b := newEngineBench(t, 2)
	b.save("buy", on("purchased", automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}}, automate.Step{
		Name: "wait",
		Wait: &automate.Wait{For: days(1)},
	}))
	keyed := on("purchased", automate.Step{Name: "wait", Wait: &automate.Wait{For: days(1)}})
	keyed.Key = "event.place"
	b.exec(`update event_type set properties = '[{"name": "place", "type": "String"}]' where name = 'purchased'`)
	b.save("keyed", keyed)
	b.exec(`insert into event (name, occurred_at, identifier_id, contact_id, source, properties)
		select 'purchased', clock_timestamp(), g, g, 'shop', jsonb_build_object('place', 'p' || g) from generate_series(1, 2) g`)
	b.work()
	b.want("how many passes there are", b.texts("select count(*)::text from automation_pass"), []string{"4"})
	for _, statement := range []string{
		"delete from consent where contact_id = 1", "delete from identifier_link where contact_id = 1",
		"delete from contact where id = 1",
	} {
		b.exec(statement)
	}
	for table, where := range map[string]string{"automation_entry": "contact_id = 1", "automation_pass": "key = 'c/1'"} {
		if n := b.number("select count(*) from " + table + " where " + where); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	b.want("how many passes are left", b.texts("select count(*)::text from automation_pass"), []string{"2"})
	b.want("the outbox", b.texts("select body ->> 'contact' from outbox"), []string{b.public(2)})
	if state, _ := b.db.LoadRuleState(b.ctx, "buy"); state.Waiting != 1 {
		t.Errorf("%d entries are counted as waiting", state.Waiting)
	}
}

// TestARuleThatTriggersItselfIsCut has two rules start each other, and one answer to a segment that follows what it does.
func TestARuleThatTriggersItselfIsCut(t *testing.T) {
	b := newEngineBench(t, 1)
	always := automate.Reentry{Mode: automate.ReentryAlways}
	ping := on("purchased", automate.Step{Name: "pong", Start: &automate.Start{Rule: "pong"}})
	pong := on("visited", automate.Step{Name: "ping", Start: &automate.Start{Rule: "ping"}})
	round := automate.Rule{On: automate.Trigger{Event: automate.SegmentEntered, Segment: "lapsed"}, Steps: []automate.Step{{Name: "tag", Tag: "x"}}}
	ping.Reentry, pong.Reentry, round.Reentry = always, always, always
	b.save("ping", ping)
	b.save("pong", pong)
	b.save("round", round)
	b.purchase(1, "1")
	if sum := b.work(); sum.Entered != 11 || sum.Cut != 1 {
		t.Errorf("%d entered and %d were cut", sum.Entered, sum.Cut)
	}
	trouble := b.texts("select trouble from automation_rule where name in ('ping', 'pong') and trouble is not null")
	if len(trouble) != 1 || !strings.Contains(trouble[0], "ping → pong → ping") && !strings.Contains(trouble[0], "pong → ping → pong") {
		t.Errorf("the rules' status says %q", trouble)
	}
	b.exec("insert into segment (id, name, match, digest, predicate, arguments) overriding system value values (1, 'lapsed', '', '', 'true', '[]')")
	b.exec("alter table segment_member disable trigger user; insert into segment_member (segment_id, contact_id) values (1, 1)")
	cut := 0
	for range 14 {
		b.exec("insert into segment_event (segment_id, contact_id, entered, reason) values (1, 1, true, 'Data')")
		cut += b.work().Cut
	}
	if cut != 3 {
		t.Errorf("%d of 14 rounds were cut", cut)
	}
	b.want("the status", b.texts("select trouble from automation_rule where name = 'round' and trouble like '%round → round%'"),
		b.texts("select trouble from automation_rule where name = 'round'"))
	// It is the pace that tells: who comes round after a while is no circle.
	b.ahead = time.Hour
	b.exec("insert into segment_event (segment_id, contact_id, entered, reason) values (1, 1, true, 'Data')")
	if sum := b.work(); sum.Entered != 1 {
		t.Errorf("after an hour %d entered", sum.Entered)
	}
}

func TestNoHourHasMoreEntriesThanARuleAllows(t *testing.T) {
	b := newEngineBench(t, 7)
	rule := on("purchased", automate.Step{Name: "tag", Tag: "x"})
	rule.MaxPerHour = 3
	b.save("buy", rule)
	for contact := range 7 {
		b.purchase(contact+1, "1")
	}
	for hour, want := range []int64{3, 6, 7} {
		b.ahead = time.Duration(hour) * 62 * time.Minute
		b.work()
		if n := b.number("select count(*) from contact where tags <> '{}'"); n != want {
			t.Errorf("after %d hours %d have gone through, not %d", hour, n, want)
		}
	}
}

// TestOneWhoCannotGoOnHoldsUpNobody has the database refuse what a rule does for one contact.
func TestOneWhoCannotGoOnHoldsUpNobody(t *testing.T) {
	b := newEngineBench(t, 4)
	b.exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one' using errcode = '22023'; end $$`)
	b.exec("create trigger refuse before update on contact for each row when (old.id = 2) execute function refuse()")
	b.save("buy", on("purchased", automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}}, automate.Step{Name: "tag", Tag: "x"}))
	for contact := range 4 {
		b.purchase(contact+1, "1")
	}
	b.work()
	b.want("the tags", []string{b.tags()}, []string{"1:x 3:x 4:x"})
	state, err := b.db.LoadRuleState(b.ctx, "buy")
	if err != nil || state.Stuck != 1 || !strings.Contains(state.StuckReason, `step "tag" of rule "buy"`) {
		t.Errorf("the state is %+v, %v", state, err)
	}
	b.exec("drop trigger refuse on contact")
	if n, err := b.db.RetryStuck(b.ctx, "buy", "ana", "mended", 10); n != 1 || err != nil {
		t.Errorf("%d are tried again, %v", n, err)
	}
	b.work()
	b.want("the tags", []string{b.tags()}, []string{"1:x 2:x 3:x 4:x"})
	b.want("what was told", b.texts("select count(*)::text from outbox"), []string{"4"})
	entries, _, err := b.db.ListEntries(b.ctx, store.EntryQuery{Rule: "buy", Contact: b.public(2)})
	if err != nil || len(entries) != 1 || entries[0].Status != automate.Ended || entries[0].Path[0].By != "ana" {
		t.Errorf("its entry is %+v, %v", entries, err)
	}
}

func TestAStormOfOneEventHoldsUpNoOther(t *testing.T) {
	const storm = 8000
	b := newEngineBench(t, storm)
	b.save("buy", on("purchased", automate.Step{Name: "tag", Tag: "bought"}))
	b.save("visit", on("visited", automate.Step{Name: "tag", Tag: "came"}))
	b.everybody("purchased", storm)
	b.everybody("visited", 16)
	for b.number("select count(*) from contact where 'came' = any (tags)") < 16 {
		if _, err := b.rules.HandleEvents(b.ctx, 64); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.number("select count(*) from domain_event_queue"); n == 0 {
		t.Error("what came last was handled last")
	}
	b.work()
	if n := b.number("select count(*) from contact where 'bought' = any (tags)"); n != storm {
		t.Errorf("%d of %d events of the storm were handled", n, storm)
	}
}

func TestADeletedRuleIsTakenUpAgain(t *testing.T) {
	const people = 5000
	b := newEngineBench(t, people)
	rule := on("purchased", automate.Step{Name: "wait", Wait: &automate.Wait{For: days(1)}}, automate.Step{Name: "tag", Tag: "x"})
	b.save("buy", rule)
	b.everybody("purchased", people)
	b.work()
	const versions = "select md5(string_agg(concat_ws(' ', id, ctid, xmin), ',' order by id)) from automation_entry"
	before := b.texts(versions)
	b.must(b.db.DormantRule(b.ctx, "buy"))
	b.ahead = 25 * time.Hour
	if sum := b.work(); sum.Woken != 0 {
		t.Errorf("%d entries of a rule that was deleted woke", sum.Woken)
	}
	b.want("versions of entries", b.texts(versions), before)
	b.exec(`update automation_entry set wake_at = wake_at + interval '1 day', state = jsonb_set(state, '{wakeAt}', to_jsonb(wake_at + interval '1 day'))
		where contact_id > 100`)
	b.save("buy", rule)
	if sum := b.work(); sum.Woken != 100 {
		t.Errorf("%d entries of a rule that came back woke", sum.Woken)
	}
	b.must(b.db.DormantRule(b.ctx, "buy"))
	b.exec("update automation_rule set dormant_since = now() - interval '31 days'")
	for more := true; more; {
		var err error
		if more, err = b.rules.SweepRules(b.ctx, 2000); err != nil {
			t.Fatal(err)
		}
	}
	state, err := b.db.LoadRuleState(b.ctx, "buy")
	if err != nil || state.Active != 0 || state.Fired != people || b.number("select count(*) from automation_pass where active") != 0 {
		t.Errorf("after 31 days the state is %+v, %v", state, err)
	}
}

func TestSchedulesAndDates(t *testing.T) {
	b := newEngineBench(t, 4)
	b.exec("insert into segment (id, name, match, digest, predicate, arguments) overriding system value values (1, 'all', '', '', 'true', '[]')")
	b.exec("insert into segment_member (segment_id, contact_id) values (1, 1), (1, 2)")
	now := time.Now().UTC()
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	b.ahead = day.Add(12 * time.Hour).Sub(now)                                                 // the test begins at noon, whenever it is run
	born := func(days int) string { return "1992-" + day.AddDate(0, 0, days).Format("01-02") } // which had a 29 February too
	b.exec("update contact set attr_born = $1::date where id = 3", born(1))
	b.exec("update contact set attr_born = $1::date, time_zone = 'Pacific/Kiritimati' where id = 4", born(6))
	always := automate.Reentry{Mode: automate.ReentryAlways}
	b.save("daily", automate.Rule{
		On:      automate.Trigger{Schedule: &automate.ScheduleTrigger{Cron: "30 10 * * *", TimeZone: "UTC", Segment: "all"}},
		Reentry: always, Steps: []automate.Step{{Name: "tell", Notify: &automate.Notify{Channel: "hook"}}},
	})
	b.save("once", automate.Rule{
		On:      automate.Trigger{Schedule: &automate.ScheduleTrigger{Cron: "30 10 * * *", TimeZone: "UTC"}},
		Reentry: always, Steps: []automate.Step{{Name: "tell", Notify: &automate.Notify{Channel: "hook"}}},
	})
	b.save("birthday", automate.Rule{
		On:    automate.Trigger{Date: &automate.DateTrigger{Attribute: "born", At: "09:00", EveryYear: true}},
		Steps: []automate.Step{{Name: "tag", Tag: "greeted"}},
	})
	tick := func() {
		b.Helper()
		if _, err := b.rules.Tick(b.ctx); err != nil {
			t.Fatal(err)
		}
		b.work()
	}
	tick() // from here on they are looked at
	tick()
	b.want("before its time", b.texts("select dedup from outbox"), nil)
	b.ahead = day.AddDate(0, 0, 1).Add(10*time.Hour + 31*time.Minute).Sub(now)
	tick()
	tick()
	if told := b.number("select count(*) from outbox"); told != 3 {
		t.Errorf("%d documents were told of the schedule's day", told)
	}
	b.want("who was greeted", []string{b.tags()}, []string{"3:greeted"})
	b.ahead = day.AddDate(0, 0, 6).Add(-2 * time.Hour).Sub(now) // it is nine on its day there for hours
	tick()
	b.want("who was greeted", []string{b.tags()}, []string{"3:greeted 4:greeted"})
}

// TestCapsCountMailsOfRules wants a bound on messages to hold for rules and campaigns together.
func TestCapsCountMailsOfRules(t *testing.T) {
	b := newEngineBench(t, 2)
	b.exec(`insert into send_policy (name, caps) values ('few', '[{"name": "weekly", "purposes": [], "max": 1, "seconds": 604800}]')`)
	send := automate.Step{Name: "mail", Send: &automate.Send{Template: "hello", Channel: "mail", Purpose: "news"}}
	rule := on("purchased", send)
	rule.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("buy", rule)
	b.purchase(1, "1")
	b.work()
	b.exec("update ledger set state = 'sent', intent_at = now(), settled_at = now()")
	b.purchase(1, "1")
	b.purchase(2, "1")
	b.work()
	b.want("the ledger", b.texts("select contact_id || ' ' || state || ' ' || coalesce(reason, '') from ledger order by seq"), []string{
		"1 sent ", "1 skipped FrequencyCap", "2 pending ",
	})
}

// TestMailsOfTwoWhoAreMergedWhileTheyWait finds out that two are one person while both have mails of a rule that have not left.
func TestMailsOfTwoWhoAreMergedWhileTheyWait(t *testing.T) {
	b := newEngineBench(t, 3)
	rule := on("purchased", automate.Step{Name: "mail", Send: &automate.Send{Template: "hello", Channel: "mail", Purpose: "news"}})
	rule.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("buy", rule)
	for _, contact := range []int{2, 1, 2, 3} {
		b.purchase(contact, "1")
		b.work()
	}
	if _, err := b.db.Merge(b.ctx, b.public(1), b.public(2), store.Decider{Token: "t", By: "ana"}); err != nil {
		t.Fatal(err)
	}
	b.want("the ledger", b.texts("select contact_id || ' ' || state || ' ' || coalesce(reason, '') from ledger order by seq"), []string{
		"2 pending ", "1 skipped DuplicateContact", "2 pending ", "3 pending ",
	})
	b.want("the counts", b.texts("select outcome || ' ' || sum(n) from send_tally group by outcome order by 1"), []string{"planned 4", "skipped:DuplicateContact 1"})
}

// TestWhatARuleSetsOfWhoIsMerged has a rule set attributes of somebody with two records, and then one of these say something, and another one go.
func TestWhatARuleSetsOfWhoIsMerged(t *testing.T) {
	b := newEngineBench(t, 2)
	b.exec("update contact set attr_plan = 'old', attr_visits = 3")
	b.save("buy", on("purchased", automate.Step{Name: "set", Set: []automate.Assignment{
		{Attribute: "plan", Value: "gold"}, {Attribute: "visits", Value: "4"}, {Attribute: "born", Expression: "null"},
	}}))
	decider := store.Decider{Token: "t", By: "ana"}
	if _, err := b.db.Merge(b.ctx, b.public(1), b.public(2), decider); err != nil {
		t.Fatal(err)
	}
	merged := int(b.number("select id from contact where id in (1, 2)"))
	b.purchase(merged, "1")
	b.work()
	b.want("troubles", b.texts("select reason from automation_entry where reason is not null union all select trouble from automation_rule where trouble is not null"), nil)
	b.want("the contact", b.texts("select attr_plan || ' ' || attr_visits from contact where id = $1", merged), []string{"gold 4"})
	// What is known of them is put together again from what the records say.
	im := b.db.NewContactImport("shop", store.ContactColumns{Attributes: []crm.Attribute{{Name: "born", Type: crm.Date}}, EmailVerified: true}, store.ImportOptions{})
	defer im.Close(b.ctx)
	if _, err := im.Apply(b.ctx, []store.ContactRow{{ExternalID: "1", Email: "p1@example.com", Attributes: []string{"1990-01-02"}}}); err != nil {
		t.Fatal(err)
	}
	b.want("the contact, after a record said something else", b.texts("select attr_plan || ' ' || attr_visits || ' ' || attr_born from contact where id = $1", merged),
		[]string{"gold 4 1990-01-02"})
}
