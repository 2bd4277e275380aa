package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestQueuesTakeWhatTheirConditionsSay(t *testing.T) {
	b := newTeam(t)
	if _, _, err := b.EnsureAttributes(b.ctx, []crm.Attribute{{Name: "plan", Type: crm.String}}); err != nil {
		t.Fatal(err)
	}
	b.queue("complaints", service.Queue{Tickets: `message.label == "negative"`, Priority: service.High})
	b.queue("gold", service.Queue{Tickets: `contact.plan == "gold"`})
	b.queue("hand", service.Queue{})
	b.queue("wrong", service.Queue{Tickets: `contact.nothing == 1`})
	b.queue("broken", service.Queue{Tickets: "true"})
	b.exec(`update service_queue set definition = '{"tickets": "true", "warnAt": 1000}' where name = 'broken'`)
	angry := func(j *store.Judged) { j.Sentiment.Label = "negative" }
	b.take(b.lease("a"), post("1", toUs, angry), post("2", toUs, by("bea")), post("3", toUs, by("dora")))
	b.exec("insert into contact (id, attr_plan) overriding system value values (1, 'gold'), (2, 'free')")
	b.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, case when i.value like '%/bea' then 1 else 2 end, true, 'test' from identifier i where i.value ~ '/(bea|dora)$'`)
	b.exec("update author a set identifier_id = i.id from identifier i where i.value = a.native_id and a.identifier_id is null")
	b.place()
	b.want("tickets", deskTicketsSQL, "complaints New High", "gold New Normal")
	state, err := b.LoadQueueState(b.ctx, "wrong")
	if err != nil || state.Trouble == "" || !state.InForce {
		t.Errorf("the queue whose condition is wrong: %+v, %v", state, err)
	}
	if state, _ = b.LoadQueueState(b.ctx, "broken"); state.Trouble == "" {
		t.Errorf("the queue that cannot be read: %+v", state)
	}
	if state, _ = b.LoadQueueState(b.ctx, "gold"); state.Backlog != 1 || state.Unassigned != 1 || state.Trouble != "" {
		t.Errorf("the other: %+v", state)
	}
	// A conversation that has a ticket gets no second one, and who wishes the same gets the first.
	b.comes(post("4", toUs, angry, answering("1", "1"), ago(0)))
	number, err := b.OpenTicket(b.ctx, b.only("select c.number::text from conversation c where c.messages = 2"), eva, "complaints", service.Urgent, "")
	if err != nil || fmt.Sprint(number) != b.only("select number::text from ticket where priority = 'High'") {
		t.Errorf("the ticket is %d, %v", number, err)
	}
	var missing *store.MissingError
	if _, err = b.OpenTicket(b.ctx, b.only("select c.number::text from conversation c where c.messages = 2"), eva, "nobody", "", ""); !errors.As(err, &missing) {
		t.Errorf("a queue that is not there: %v", err)
	}
	// History becomes a conversation and no ticket.
	b.comes(post("5", toUs, angry, by("eli"), ago(5*24*time.Hour)))
	b.want("tickets", deskTicketsSQL, "complaints New High", "gold New Normal")
}

func TestATicketsLife(t *testing.T) {
	b := newTeam(t)
	b.queue("care", service.Queue{Tickets: "true", ReopenWithin: "1h"})
	b.comes(post("1", toUs))
	id := b.number()
	answer, err := b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 1, Text: "Hecho", Then: service.StatusSolved})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SettleMessage(b.ctx, answer.Message, store.MessageSent, []string{"ours"}, ""); err != nil {
		t.Fatal(err)
	}
	b.want("tickets", deskTicketsSQL, "care Solved Normal eva")
	b.comes(post("2", toUs, answering("ours", "1"), ago(0)))
	b.want("tickets", deskTicketsSQL, "care Open Normal eva")
	number := b.only("select number::text from ticket")
	if err := b.SolveTicket(b.ctx, number, eva); err != nil {
		t.Fatal(err)
	}
	b.exec(`update ticket set state = jsonb_set(state, '{solvedAt}', to_jsonb(now() - interval '2 hours')), wake_at = now()`)
	b.tend()
	b.want("tickets", deskTicketsSQL, "care Closed Normal eva")
	refusedFor(t, b.AssignTicket(b.ctx, number, eva, "leo"), service.ReasonClosed)
	if err := b.CloseTicket(b.ctx, number, eva); err != nil {
		t.Error(err)
	}
	b.comes(post("3", toUs, answering("2", "1"), ago(-time.Second)))
	b.want("tickets", deskTicketsSQL, "care Closed Normal eva", "care New Normal")
	b.want("what it follows", "select (follows = (select min(id) from ticket))::text from ticket where status = 'New'", "true")
	b.want("what is told", deskEventsSQL, "Opened", "Assigned eva", "Answered", "Solved", "Reopened", "Solved", "Closed", "Opened")
	if err := b.CloseConversation(b.ctx, id, eva); err != nil {
		t.Fatal(err)
	}
	b.want("conversations", deskSQL, "Closed 4 4 idle")
	b.want("the backlog", "select sum(backlog) || ' ' || sum(unassigned) from service_tally", "0 0")
}

// Somebody is told in time, whoever looks late.
func TestEscalations(t *testing.T) {
	b := newTeam(t)
	b.queue("care", service.Queue{
		Tickets: "true", WarnAt: 50, Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "30m"}, service.High: {FirstResponse: "30m"}},
		Escalations: []service.Escalation{
			{Name: "hurry", Target: service.FirstResponse, After: 80, Raise: service.High},
			{Name: "boss", Target: service.FirstResponse, After: 100, Assign: "boss", Notify: "room"},
			{Name: "later", Target: service.FirstResponse, After: 900, Notify: "room"},
		},
	})
	b.comes(post("1", toUs, ago(20*time.Minute)), post("2", toUs, by("bea"), ago(40*time.Minute)))
	b.want("before anybody looks", deskTicketsSQL, "care New Normal", "care New Normal")
	if done := b.tend(); done.Missed != 1 || done.Escalated != 2 {
		t.Errorf("tended: %+v", done)
	}
	b.want("tickets", deskTicketsSQL+" desc", "care New Normal", "care Open High boss")
	b.want("the outbox", "select concat_ws(' ', kind, channel, body ->> 'type', body #>> '{event,facts,priority}', body #>> '{event,facts,target}') from outbox",
		"Notify room ticket.escalated High FirstResponse")
	if done := b.tend(); done.Tickets != 0 {
		t.Errorf("again: %+v", done)
	}
	b.want("the outbox again", "select count(*)::text from outbox", "1")
	b.want("the counts", "select sum(breached) || ' ' || sum(missed_first) from service_tally", "1 1")
	if found := b.serviceTraces("@social.example", "bicicleta"); len(found) > 0 {
		t.Errorf("what names somebody: %q", found)
	}
	// A queue that is suspended does nothing by itself.
	if _, _, err := b.SaveQueue(b.ctx, store.QueueDefinition{Name: "care", Suspended: true, Queue: service.Queue{
		Tickets: "true", Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "10m"}},
		Escalations: []service.Escalation{{Name: "boss", Target: service.FirstResponse, After: 100, Assign: "boss", Notify: "room"}},
	}}); err != nil {
		t.Fatal(err)
	}
	b.tend()
	b.want("tickets of a suspended queue", deskTicketsSQL+" desc", "care New Normal", "care Open High boss")
	b.want("the outbox then", "select count(*)::text from outbox", "1")
}

// A target is counted in the hours of the team.
func TestClocksRunInTheHoursOfTheTeam(t *testing.T) {
	b := newTeam(t)
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Now().In(madrid).AddDate(0, 0, 2)
	b.queue("care", service.Queue{
		Tickets: "true", Hours: service.Hours{Open: []campaign.Window{{Days: []string{day.Weekday().String()}, From: "09:00", To: "17:00"}}},
		Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "30m", Resolution: "10h"}},
	})
	b.comes(post("1", toUs, ago(26*time.Hour)))
	b.tend()
	b.want("nothing is missed", "select (missed_first + missed_solve)::text from ticket", "0")
	due := time.Date(day.Year(), day.Month(), day.Day(), 9, 30, 0, 0, madrid)
	var got time.Time
	if err := b.Pool.QueryRow(b.ctx, "select due_at from ticket").Scan(&got); err != nil || !got.Equal(due) {
		t.Errorf("it is due at %s, %v; want %s", got.In(madrid), err, due)
	}
	answer, err := b.AnswerConversation(b.ctx, b.number(), store.Answer{By: eva, Seen: 1, Text: "Hola"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SettleMessage(b.ctx, answer.Message, store.MessageSent, []string{"ours"}, ""); err != nil {
		t.Fatal(err)
	}
	b.want("the first answer took", "select first_work || ' ' || (first_calendar between 93500 and 93700) from ticket", "0 true")
	b.want("the counts", "select sum(first_count) || ' ' || sum(first_work) || ' ' || (sum(first_calendar) > 93000) from service_tally", "1 0 true")
	// Other hours: what is promised is reckoned anew.
	b.comes(post("2", toUs, answering("1", "1"), ago(2*time.Hour)))
	b.queue("care", service.Queue{Tickets: "true", Targets: map[service.Priority]service.Target{service.Normal: {NextResponse: "30m"}}})
	b.tend()
	b.want("missed by then", "select missed_next::text from ticket", "1")
}

func TestTicketsAreRouted(t *testing.T) {
	agents := []store.QueueAgent{{Name: "ana"}, {Name: "ben", Capacity: 2}, {Name: "cid"}}
	tests := map[string]struct {
		routing service.Routing
		open    []string // tickets that agents have already
		want    string   // whose the next seven are
	}{
		"in turn":           {service.Routing{Mode: service.RouteRoundRobin}, nil, "ana ben cid ana ben cid ana"},
		"by load":           {service.Routing{Mode: service.RouteByLoad}, []string{"ana", "ana"}, "ben cid ben cid ana cid ana"},
		"as many as can be": {service.Routing{Mode: service.RouteRoundRobin, Capacity: 1}, nil, "ana ben cid ben   "},
		"by hand":           {service.Routing{}, nil, "      "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newTeam(t)
			q := service.Queue{Tickets: "true"}
			for i, agent := range test.open {
				b.queue("care", q)
				b.comes(post(fmt.Sprintf("o%d", i), toUs, by(fmt.Sprintf("o%d", i))))
				if err := b.AssignTicket(b.ctx, b.only("select number::text from ticket order by id desc limit 1"), eva, agent); err != nil {
					t.Fatal(err)
				}
			}
			q.Routing = test.routing
			b.queue("care", q, agents...)
			for i := range 7 {
				b.comes(post(fmt.Sprint(i), toUs, by(fmt.Sprintf("p%d", i)), ago(time.Duration(60-i)*time.Minute)))
			}
			b.route()
			got := b.only(fmt.Sprintf("select string_agg(assignee, ' ' order by id) from (select * from ticket order by id offset %d) t", len(test.open)))
			if got != test.want {
				t.Errorf("they went to %q, want %q", got, test.want)
			}
			if given, _, err := b.RouteTickets(b.ctx, 100); given != 0 || err != nil {
				t.Errorf("again: %d, %v", given, err)
			}
		})
	}
}

func (b *team) route() {
	b.t.Helper()
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for range 5 {
				if _, _, err := b.RouteTickets(b.ctx, 2); err != nil {
					b.t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	for more := true; more; {
		_, again, err := b.RouteTickets(b.ctx, 2)
		if err != nil {
			b.t.Fatal(err)
		}
		more = again
	}
}

// Those that nobody may take who has room do not stand in the way of the others.
func TestTicketsThatWerePassedOnHoldUpNoOthers(t *testing.T) {
	b := newTeam(t)
	q := service.Queue{Tickets: "true", Routing: service.Routing{Mode: service.RouteRoundRobin}}
	b.queue("care", q)
	for i := range 4 {
		b.comes(post(fmt.Sprint(i), toUs, by(fmt.Sprintf("p%d", i)), ago(time.Duration(60-i)*time.Minute)))
	}
	first := "(select id from ticket order by id limit %d)"
	b.exec("update ticket set assignee = 'ana' where id in " + fmt.Sprintf(first, 1))
	b.exec("update ticket set passed_by = 'ben' where assignee = '' and id in " + fmt.Sprintf(first, 3))
	b.queue("care", q, store.QueueAgent{Name: "ana", Capacity: 1}, store.QueueAgent{Name: "ben"})
	if given, _, err := b.RouteTickets(b.ctx, 2); given != 1 || err != nil {
		t.Errorf("given: %d, %v", given, err)
	}
	b.want("whose they are", "select string_agg(assignee, ' ' order by id) from ticket", "ana   ben")
}

// Whoever answered a customer goes on with them, also by another account of theirs once their contacts are merged.
func TestWhoKnowsACustomerGoesOn(t *testing.T) {
	b := newTeam(t)
	q := service.Queue{Tickets: "true"}
	b.queue("care", q)
	b.comes(post("1", toUs))
	id := b.number()
	answer, err := b.AnswerConversation(b.ctx, id, store.Answer{By: store.Actor{Agent: "zoe"}, Seen: 1, Text: "Hola", Then: service.StatusSolved})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SettleMessage(b.ctx, answer.Message, store.MessageSent, []string{"ours"}, ""); err != nil {
		t.Fatal(err)
	}
	q.Routing = service.Routing{Mode: service.RouteRoundRobin, StickyFor: "30d"}
	b.queue("care", q, store.QueueAgent{Name: "ana"}, store.QueueAgent{Name: "zoe"})
	b.take(b.lease("a"), post("2", toUs, by("bea")), post("3", toUs, by("ana2"), ago(0)))
	b.exec("insert into contact (id) overriding system value values (1), (2)")
	b.exec("update author a set identifier_id = i.id from identifier i where i.value = a.native_id and a.identifier_id is null")
	b.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, case when i.value like '%/ana' then 1 else 2 end, true, 'test' from identifier i where i.value ~ '/(ana|ana2)$'`)
	ids := query(t, b.DB, "select public_id::text from contact order by id")
	if _, err := b.Merge(b.ctx, ids[0], ids[1], someone); err != nil {
		t.Fatal(err)
	}
	b.place()
	b.route()
	b.want("whose they are", "select a.handle || ' ' || t.assignee from ticket t join conversation c on c.id = t.conversation_id join author a on a.id = c.author_id order by 1",
		"ana2@social.example zoe", "ana@social.example zoe", "bea@social.example ana")
	b.want("the conversations of the contact", `select count(*)::text from conversation c join author a on a.id = c.author_id
		join identifier_link l on l.identifier_id = a.identifier_id group by l.contact_id`, "2")
}

// A queue that is deleted keeps its tickets, and has them back when it is declared again.
func TestAQueueIsDeleted(t *testing.T) {
	b := newTeam(t)
	q := service.Queue{Tickets: "true", Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "1h"}}}
	b.queue("care", q)
	b.comes(post("1", toUs, ago(time.Minute)))
	if err := b.DropQueue(b.ctx, "care"); err != nil {
		t.Fatal(err)
	}
	b.tend()
	b.want("nothing is promised", "select (due_at is null)::text from ticket", "true")
	if state, err := b.LoadQueueState(b.ctx, "care"); err != nil || state.InForce || state.Backlog != 1 {
		t.Errorf("%+v, %v", state, err)
	}
	b.queue("care", q)
	b.tend()
	b.want("it is again", "select (due_at is not null)::text from ticket", "true")
	if changed, _, err := b.SaveQueue(b.ctx, store.QueueDefinition{Name: "care", Queue: q}); changed || err != nil {
		t.Errorf("the same again: %t, %v", changed, err)
	}
	if _, err := b.LoadQueueState(b.ctx, "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if err := b.TellQueues(b.ctx); err != nil {
		t.Fatal(err)
	}
	changes, err := b.TakeStatusChanges(b.ctx)
	if err != nil || !slices.Contains(changes, store.StatusChange{Kind: store.QueueKind, Name: "care"}) {
		t.Errorf("what is told: %+v, %v", changes, err)
	}
}

// What a rule says stops no clock while somebody is still to answer.
func TestARuleReplies(t *testing.T) {
	b := newTeam(t)
	b.take(b.lease("a"), post("1"), post("2", by("bea"), toUs))
	ids := query(t, b.DB, "select id::text from mention order by native_id")
	var first, second int64
	_, _ = fmt.Sscan(ids[0], &first)
	_, _ = fmt.Sscan(ids[1], &second)
	taken, err := b.ConversationsOf(b.ctx, []int64{first, second})
	if err != nil || len(taken) != 2 {
		t.Fatal(taken, err)
	}
	again, err := b.ConversationsOf(b.ctx, []int64{second, first})
	if diff := cmp.Diff(taken, again); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	b.queue("care", service.Queue{Tickets: "true"})
	b.place() // it was to us all the same
	b.want("tickets", deskTicketsSQL, "care New Normal")
	for range 2 {
		for _, id := range []int64{first, second} {
			if refused, err := b.RuleReply(b.ctx, taken[id], "r/1", "Gracias"); refused != nil || err != nil {
				t.Fatal(refused, err)
			}
		}
	}
	b.want("the outbox", "select concat_ws(' ', kind, body ->> 'text', body ->> 'auto') from outbox", "Reply Gracias true", "Reply Gracias true")
	for _, id := range query(t, b.DB, "select public_id::text from message where direction = 'Out'") {
		if err := b.SettleMessage(b.ctx, id, store.MessageSent, []string{"ours" + id}, ""); err != nil {
			t.Fatal(err)
		}
	}
	b.want("conversations", deskSQL, "Waiting 2 2 idle", "Open 2 2 waits")
	b.want("tickets", deskTicketsSQL, "care New Normal")
	if refused, err := b.RuleReply(b.ctx, 999, "r/1", "Gracias"); refused == nil || err != nil {
		t.Errorf("a conversation that is gone: %v, %v", refused, err)
	}
}

// Workers and servers may do all that they have to do with conversations.
func TestRuntimeRoleServes(t *testing.T) {
	ctx := t.Context()
	cluster, err := store.OpenCluster(ctx, storetest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	owner, runtimeURL := provision(t, cluster, "velo-serving")
	db, err := store.Open(ctx, runtimeURL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	o := &team{listening: listening{owner, t}, ctx: context.Background()}
	o.save(store.Source{Name: "a", Type: "Mastodon", Settings: []byte("{}"), Interval: time.Minute})
	o.exec("insert into channel (name, type, settings) values ('voice', 'Mastodon', '{}')")
	o.exec("insert into monitor (name, accounts) values ('velo', '{@Velo@social.example}')")
	o.exec("update social_source set reply_channel = 'voice'")
	o.queue("care", service.Queue{Tickets: "true", Routing: service.Routing{Mode: service.RouteRoundRobin, StickyFor: "1d"}}, store.QueueAgent{Name: "ana"})
	b := &team{listening: listening{db, t}, ctx: ctx, intake: store.NewIntake(db)}
	b.comes(post("1", toUs), post("2", toUs, by("bea")))
	b.route()
	b.exec("update ticket set wake_at = now()")
	b.tend()
	id := query(t, db, "select number::text from conversation order by id")[0]
	if _, err := b.ClaimConversation(ctx, id, eva, 0, false); err != nil {
		t.Fatal(err)
	}
	b.quotedAs(id)
	answer := query(t, db, "select public_id::text from message where direction = 'Out'")[0]
	if err := b.SettleMessage(ctx, answer, store.MessageSent, []string{"ours"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := b.CloseConversation(ctx, id, eva); err != nil {
		t.Fatal(err)
	}
	if err := b.TellQueues(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.MeasureService(ctx); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"ana", "bea"} {
		o.exec("update author set forgetting = true where handle like $1", who+"@%")
	}
	b.want("what is left", "select count(*)::text from conversation", "0")
}

func (b *team) quotedAs(id string) {
	b.t.Helper()
	if _, err := b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 1, Text: "Hola"}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.NoteConversation(b.ctx, id, eva, "una nota"); err != nil {
		b.t.Fatal(err)
	}
}

// A queue that is saved while somebody answers has the ticket looked at by what it promises now.
func TestAQueueThatIsSavedMeanwhileIsNotOverlooked(t *testing.T) {
	b := newTeam(t)
	b.queue("care", service.Queue{Tickets: "true"})
	b.comes(post("1", toUs))
	held, err := b.Pool.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(b.ctx, "lock table outbox in share mode"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	number := b.number()
	go func() {
		_, err := b.AnswerConversation(b.ctx, number, store.Answer{By: eva, Seen: 1, Text: "Hola"})
		answered <- err
	}()
	gomega.NewWithT(t).Eventually(func() []string {
		return query(t, b.DB, "select 'waits' from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query ~ 'into outbox'")
	}).WithTimeout(time.Minute).Should(gomega.HaveLen(1))
	b.queue("care", service.Queue{Tickets: "true", Targets: map[service.Priority]service.Target{service.Normal: {Resolution: "3h"}}})
	if err := held.Rollback(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	b.tend()
	b.want("it has what the queue promises now", "select (due_at is not null and wake_at > now())::text from ticket", "true")
}
