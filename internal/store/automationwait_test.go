package store_test

import (
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func waitFor(name string, d automate.Duration) automate.Step {
	return automate.Step{Name: name, Wait: &automate.Wait{For: d}}
}

// TestWhatAnEarlierVersionAwaitsIsListenedTo edits a rule while somebody is on their way to a wait that the new version does not have.
func TestWhatAnEarlierVersionAwaitsIsListenedTo(t *testing.T) {
	b := newEngineBench(t, 1)
	b.save("r", on("purchased", waitFor("day", days(1)), automate.Step{Name: "visit", Wait: &automate.Wait{Event: "visited", For: days(3), Timeout: "late"}},
		automate.Step{Name: "came", Tag: "came", Next: "out"}, automate.Step{Name: "late", Tag: "late"}, automate.Step{Name: "out", Exit: &automate.Exit{}}))
	b.purchase(1, "1")
	b.work()
	b.save("r", on("purchased", waitFor("day", days(1))))
	b.save("r", on("purchased", waitFor("day", days(2))))
	b.ahead = 25 * time.Hour
	b.work()
	b.everybody("visited", 1)
	b.work()
	b.want("the tags", []string{b.tags()}, []string{"1:came"})
	// Nobody is on the first version any more.
	b.save("r", on("purchased", waitFor("day", days(3))))
	b.want("what is listened to", b.texts("select distinct w.event || ' ' || w.name from automation_listen l join domain_event_watch w on w.id = l.watch_id"),
		[]string{"event purchased"})
}

// TestMovedEntriesWaitAsTheNewVersionSays edits what people wait for who are waiting.
func TestMovedEntriesWaitAsTheNewVersionSays(t *testing.T) {
	b := newEngineBench(t, 5)
	tag := automate.Step{Name: "tag", Tag: "x"}
	b.save("r", on("purchased", waitFor("wait", days(30)), tag))
	b.everybody("purchased", 5)
	b.work()
	shorter := on("purchased", waitFor("wait", days(2)), tag)
	shorter.OnEdit = automate.Move
	b.save("r", shorter)
	b.ahead = 25 * time.Hour
	b.work()
	b.want("after a day", []string{b.tags()}, []string{""})
	awaits := on("purchased", automate.Step{Name: "wait", Wait: &automate.Wait{Event: "visited", For: days(30)}}, tag)
	awaits.OnEdit = automate.Move
	b.save("r", awaits)
	b.ahead = 49 * time.Hour
	b.work()
	b.want("after the time of an earlier version", []string{b.tags()}, []string{""})
	b.everybody("visited", 3)
	b.work()
	b.want("after what the new version awaits", []string{b.tags()}, []string{"1:x 2:x 3:x"})
	without := on("purchased", automate.Step{Name: "other", Tag: "y"})
	without.OnEdit = automate.Move
	b.save("r", without)
	b.work()
	b.want("where the step is not there any more", b.texts("select contact_id || ' ' || status || ' ' || version from automation_entry where contact_id > 3 order by 1"),
		[]string{"4 Waiting 3", "5 Waiting 3"})
	b.want("who is still to be moved", b.texts("select name from automation_rule where move_after is not null"), nil)
}

// TestARetryDoesNotWaitAgain has what comes behind a wait fail, and mends it.
func TestARetryDoesNotWaitAgain(t *testing.T) {
	b := newEngineBench(t, 2)
	b.exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one' using errcode = '22023'; end $$`)
	b.exec("create trigger refuse before update on contact for each row when (old.id = 2) execute function refuse()")
	rule := on("purchased", waitFor("day", days(1)), automate.Step{Name: "visit", Wait: &automate.Wait{Event: "visited", For: days(9)}},
		automate.Step{Name: "rich", If: &automate.If{Condition: "event.amount > 5.0", Else: "out"}}, automate.Step{Name: "tag", Tag: "x"},
		automate.Step{Name: "out", Exit: &automate.Exit{}})
	rule.Exit = `contact.plan == "gone"`
	b.save("r", rule)
	b.purchase(1, "10")
	b.purchase(2, "10")
	b.work()
	b.ahead = 25 * time.Hour
	b.work()
	b.everybody("visited", 2)
	b.work()
	b.want("who is stuck", b.texts("select contact_id || ' ' || (state ->> 'step') from automation_entry where status = 'Stuck'"), []string{"2 rich"})
	b.exec("drop trigger refuse on contact")
	if n, err := b.db.RetryStuck(b.ctx, "r", "ana", "mended", 10); n != 1 || err != nil {
		t.Fatalf("%d are tried again, %v", n, err)
	}
	b.work()
	b.want("the tags", []string{b.tags()}, []string{"1:x 2:x"})
}

// TestWhatComesWhileAnEntryBeginsToWaitIsNotLost has an event come, and be handled, while the transaction is under way in which an entry comes to wait for it.
func TestWhatComesWhileAnEntryBeginsToWaitIsNotLost(t *testing.T) {
	b := newEngineBench(t, 1)
	b.save("r", on("purchased", waitFor("day", days(1)), automate.Step{Name: "tag", Tag: "asked"},
		automate.Step{Name: "visit", Wait: &automate.Wait{Event: "visited", For: days(3), Timeout: "late"}},
		automate.Step{Name: "came", Tag: "came", Next: "out"}, automate.Step{Name: "late", Tag: "late"}, automate.Step{Name: "out", Exit: &automate.Exit{}}))
	b.purchase(1, "1")
	b.work()
	b.exec("update automation_entry set wake_at = now(), state = jsonb_set(state, '{wakeAt}', to_jsonb(now()))")
	held, err := b.db.Pool.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(b.ctx) }()
	if _, err := held.Exec(b.ctx, "select from contact where id = 1 for no key update"); err != nil {
		t.Fatal(err)
	}
	waiting := func() int64 {
		return b.number("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
	}
	ended := make(chan error, 2)
	go func() {
		_, err := store.NewRules(b.db).WakeEntries(b.ctx, 10)
		ended <- err
	}()
	gomega.NewWithT(t).Eventually(waiting, time.Minute, time.Millisecond).Should(gomega.Equal(int64(1)), "the entry is being woken")
	b.everybody("visited", 1)
	go func() {
		_, err := store.NewRules(b.db).HandleEvents(b.ctx, 10)
		ended <- err
	}()
	gomega.NewWithT(t).Eventually(func() bool {
		return waiting() == 2 || b.number("select count(*) from domain_event_queue") == 0
	}, time.Minute, time.Millisecond).Should(gomega.BeTrue(), "the event is taken")
	b.must(held.Rollback(b.ctx))
	for range 2 {
		b.must(<-ended)
	}
	b.work()
	b.want("the tags", []string{b.tags()}, []string{"1:asked,came"})
}

// TestAClockThatIsSetBackLosesNothing has time go backwards while somebody waits.
func TestAClockThatIsSetBackLosesNothing(t *testing.T) {
	b := newEngineBench(t, 2)
	rule := on("purchased", automate.Step{Name: "mail", Send: &automate.Send{Template: "hello", Channel: "mail", Purpose: "news"}},
		automate.Step{Name: "visit", Wait: &automate.Wait{Event: "visited", For: days(3), Timeout: "late"}},
		automate.Step{Name: "came", Tag: "came", Next: "out"}, automate.Step{Name: "late", Tag: "late"}, automate.Step{Name: "out", Exit: &automate.Exit{}})
	rule.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("r", rule)
	daily := automate.Rule{On: automate.Trigger{Schedule: &automate.ScheduleTrigger{Cron: "0 * * * *", TimeZone: "UTC"}}, Steps: []automate.Step{
		{Name: "tell", Notify: &automate.Notify{Channel: "hook"}},
	}}
	daily.Reentry = rule.Reentry
	b.save("hourly", daily)
	tick := func() {
		t.Helper()
		if _, err := b.rules.Tick(b.ctx); err != nil {
			t.Fatal(err)
		}
		b.work()
	}
	now := time.Now()
	half := now.Truncate(time.Hour).Add(90 * time.Minute).Sub(now) // past an hour, so that no other one comes while the test runs
	b.ahead = half
	tick()
	b.ahead = half + 2*time.Hour
	tick()
	b.purchase(1, "1")
	b.work()
	told := b.number("select count(*) from outbox")
	b.ahead = half
	tick()
	b.everybody("visited", 1)
	b.work()
	b.want("who came", []string{b.tags()}, []string{"1:came"})
	b.purchase(1, "1")
	b.purchase(2, "1")
	b.work()
	b.ahead = half + 2*time.Hour
	tick()
	b.want("the mails", b.texts("select contact_id || ' ' || count(*) from ledger group by contact_id order by 1"), []string{"1 2", "2 1"})
	if n := b.number("select count(*) from outbox"); n != told {
		t.Errorf("an hour that came twice was told of %d times more", n-told)
	}
	b.ahead = half + 75*time.Hour
	b.work()
	b.want("who was late", []string{b.tags()}, []string{"1:came,late 2:late"})
}

// TestWhatIsFoundToBeSomebodysIsHandledAfterWhatElseTheyDo has another worker handle what a contact does, while it is found that an event is theirs too.
func TestWhatIsFoundToBeSomebodysIsHandledAfterWhatElseTheyDo(t *testing.T) {
	b := newEngineBench(t, 2)
	rule := on("purchased", automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}})
	rule.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("r", rule)
	b.purchase(1, "1")
	b.purchase(2, "2")
	if _, err := b.db.Merge(b.ctx, b.public(1), b.public(2), store.Decider{Token: "t", By: "ana"}); err != nil {
		t.Fatal(err)
	}
	held, err := b.db.Pool.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(b.ctx) }()
	if _, err := held.Exec(b.ctx, "select pg_advisory_xact_lock(1902115851, (id & 15)::int) from contact where id in (1, 2)"); err != nil {
		t.Fatal(err)
	}
	b.work()
	b.want("what waits", b.texts("select count(*) || ' of ' || count(distinct q.contact_id) || ' ' || bool_and(q.contact_id = c.id) from domain_event_queue q, contact c where c.id in (1, 2)"),
		[]string{"2 of 1 true"})
	b.must(held.Rollback(b.ctx))
	b.work()
	b.want("what was told", b.texts("select body #>> '{event,facts,amount}' from outbox order by 1"), []string{"1", "2"})
}
