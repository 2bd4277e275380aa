package store_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// careBench is a tenant whose people write, by as many accounts as there are contacts, and a queue that answers them.
type careBench struct {
	*engineBench
	intake *store.Intake
}

func newCareBench(t *testing.T, people int) *careBench {
	b := &careBench{engineBench: newEngineBench(t, people)}
	b.intake = store.NewIntake(b.db)
	b.exec(`insert into channel (name, type, settings) values ('toots', 'Mastodon', '{}')`)
	b.exec(`insert into social_source (name, type, settings, poll_every, keep, reply_channel) values ('toots', 'Mastodon', '{}', '1 minute', '400 days', 'toots')`)
	b.exec(`insert into author (key, network, native_id, handle, identifier_id)
		select decode(md5('a' || g), 'hex'), 'mastodon', 'a' || g, 'p' || g || '@social.example', g from generate_series(1, $1) g`, people)
	b.queue("social")
	return b
}

func (b *careBench) queue(name string) {
	b.Helper()
	queue := service.Queue{Hours: service.Hours{TimeZone: "UTC"}}
	if _, _, err := b.db.SaveQueue(b.ctx, store.QueueDefinition{Name: name, Queue: queue}); err != nil {
		b.Fatal(err)
	}
}

// post has an author write something; one that is to us comes as a message. It returns the mention's id.
func (b *careBench) post(author int, native, kind, label string) int64 {
	b.Helper()
	return b.number(`insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, text, thread, label, polarity, confidence, engine)
		select decode(md5($2), 'hex'), 'mastodon', $2, s.id, a.id, $3, 'Public', clock_timestamp(), 'Velo is late again', 'thread-' || $1::int, $4, -0.8, 1, 'test'
		from author a, social_source s where a.native_id = 'a' || $1::int returning id`, author, native, kind, label)
}

// arrive threads what is to us, and has rules follow.
func (b *careBench) arrive() {
	b.Helper()
	for {
		done, err := b.intake.PlaceMessages(b.ctx, 100)
		if err != nil {
			b.Fatal(err)
		}
		if !done.More {
			break
		}
	}
	b.work()
}

// ticket is the number of an author's only ticket, as people name it.
func (b *careBench) ticket(author int) string {
	b.Helper()
	return b.texts(`select t.number::text from ticket t join conversation c on c.id = t.conversation_id join author a on a.id = c.author_id
		where a.native_id = 'a' || $1::int`, author)[0]
}

func (b *careBench) do(what string, f func() error) {
	b.Helper()
	if err := f(); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	b.work()
}

const careTicketsSQL = `select concat_ws(' ', a.native_id, q.name, t.priority, t.status, nullif(t.assignee, ''), nullif(t.subject, '')) from ticket t
	join service_queue q on q.id = t.queue_id join conversation c on c.id = t.conversation_id join author a on a.id = c.author_id order by t.id`

var (
	openSocial = automate.Step{Name: "open", OpenTicket: &automate.OpenTicket{Queue: "social", Priority: "High", Subject: "An angry post"}}
	say        = automate.Step{Name: "say", Reply: &automate.Reply{Template: "hello"}}
	ana        = store.Actor{Agent: "ana"}
)

// angry is a rule that has complaints answered within an hour, or given to who leads.
func angry() automate.Rule {
	rule := on(automate.MentionReceived, openSocial, say,
		automate.Step{Name: "solved", Wait: &automate.Wait{
			Event: automate.TicketResolved, For: automate.Duration(time.Hour), When: `ticket.assignee == "ana" && trigger.network == "mastodon"`, Timeout: "late",
		}},
		automate.Step{Name: "glad", Tag: "glad", Next: "out"},
		automate.Step{Name: "late", If: &automate.If{Condition: `ticket.priority == "High" && conversation.messages > 0 && ticket.status == "New"`, Then: "lead", Else: "out"}},
		automate.Step{Name: "lead", Assign: &automate.Assign{To: "lead"}},
		automate.Step{Name: "out", Exit: &automate.Exit{}},
	)
	rule.When = `mention.label == "negative"`
	return rule
}

func TestAComplaintBecomesATicket(t *testing.T) {
	b := newCareBench(t, 3)
	b.save("angry", angry())
	b.post(1, "p1", "Post", "negative")
	b.post(2, "p2", "Post", "negative")
	b.post(3, "p3", "Post", "positive")
	b.arrive()
	b.want("troubles", b.texts("select trouble from automation_rule where trouble is not null"), nil)
	b.want("entries", b.entries(), []string{"angry 1 Waiting solved", "angry 2 Waiting solved"})
	b.want("tickets", b.texts(careTicketsSQL), []string{"a1 social High New An angry post", "a2 social High New An angry post"})
	b.want("answers", b.texts(`select concat_ws(' ', n.native_id, m.state, o.kind, o.channel, m.template, m.step) from message m join outbox o on o.message_id = m.id
		join message i on i.id = m.answers join mention n on n.id = i.mention_id order by m.id`), []string{
		"p1 Queued Reply toots hello say", "p2 Queued Reply toots hello say",
	})

	looked, _, err := b.db.ListEntries(b.ctx, store.EntryQuery{Rule: "angry", Contact: b.public(1)})
	if err != nil || len(looked) != 1 || strconv.FormatInt(looked[0].Ticket, 10) != b.ticket(1) || looked[0].Conversation == 0 {
		t.Errorf("the first entry is told as %+v, %v", looked, err)
	}

	// What happens to one ticket is nobody else's; what somebody else solves is not awaited.
	b.do("solve", func() error { return b.db.SolveTicket(b.ctx, b.ticket(1), store.Actor{Agent: "bea"}) })
	b.want("after another one solved it", b.entries(), []string{"angry 1 Waiting solved", "angry 2 Waiting solved"})
	b.do("reopen", func() error { return b.db.ReopenTicket(b.ctx, b.ticket(1), ana) })
	b.do("take", func() error { return b.db.AssignTicket(b.ctx, b.ticket(1), ana, "ana") })
	b.do("solve", func() error { return b.db.SolveTicket(b.ctx, b.ticket(1), ana) })
	b.want("after it was solved", b.entries(), []string{"angry 1 Exited out", "angry 2 Waiting solved"})
	b.want("the tags", []string{b.tags()}, []string{"1:glad"})

	b.ahead = 61 * time.Minute
	b.work()
	b.want("after an hour", b.entries(), []string{"angry 1 Exited out", "angry 2 Exited out"})
	b.want("tickets", b.texts(careTicketsSQL), []string{"a1 social High Solved ana An angry post", "a2 social High Open lead An angry post"})
}

// TestAReplyThatCannotBeIsRetried: what was done before stays, and is not done again.
func TestAReplyThatCannotBeIsRetried(t *testing.T) {
	b := newCareBench(t, 2)
	b.exec("update social_source set reply_channel = ''")
	b.save("angry", on(automate.MentionReceived, openSocial, say, automate.Step{Name: "mark", Tag: "told"}))
	b.post(1, "p1", "Post", "negative")
	b.post(2, "p2", "Post", "negative")
	b.arrive()
	stuck := b.texts("select concat_ws(' ', status, state ->> 'step', state ->> 'turn') from automation_entry order by id")
	b.want("entries", stuck, []string{"Stuck say 2", "Stuck say 2"})
	if reasons := b.texts("select distinct reason from automation_entry"); len(reasons) != 1 || !strings.Contains(reasons[0], "spec.replyChannelRef") {
		t.Errorf("the reasons are %q", reasons)
	}
	b.want("the path", b.texts(`select string_agg(p ->> 'step' || ':' || (p ->> 'how'), ' ' order by place) from automation_entry e cross
		join jsonb_array_elements(e.path) with ordinality x (p, place) group by e.id`), []string{"open:Done", "open:Done"})
	b.want("the tags", []string{b.tags()}, []string{""})

	b.exec("update social_source set reply_channel = 'toots'")
	for range 2 {
		if _, err := b.db.RetryStuck(b.ctx, "angry", "ana", "there is a channel", 10); err != nil {
			t.Fatal(err)
		}
		b.work()
	}
	b.want("entries", b.entries(), []string{"angry 1 Ended mark", "angry 2 Ended mark"})
	b.want("tickets", b.texts("select count(*)::text from ticket"), []string{"2"})
	b.want("answers", b.texts("select count(*)::text from outbox where kind = 'Reply'"), []string{"2"})
	b.want("the tags", []string{b.tags()}, []string{"1:told 2:told"})
}

// TestAQueueThatIsGone leaves the entry for a person, and others alone.
func TestAQueueThatIsGone(t *testing.T) {
	b := newCareBench(t, 1)
	b.save("open", on(automate.MentionReceived, automate.Step{Name: "open", OpenTicket: &automate.OpenTicket{Queue: "gone"}}))
	b.save("mark", on(automate.MentionReceived, automate.Step{Name: "mark", Tag: "seen"}))
	b.post(1, "p1", "Post", "neutral")
	b.arrive()
	if entries := b.entries(); len(entries) != 2 || !strings.Contains(strings.Join(entries, "\n"), "Stuck open") {
		t.Errorf("the entries are %q", entries)
	}
	b.want("the tags", []string{b.tags()}, []string{"1:seen"})
	b.queue("gone")
	if _, err := b.db.RetryStuck(b.ctx, "open", "ana", "there is a queue", 10); err != nil {
		t.Fatal(err)
	}
	b.work()
	b.want("tickets", b.texts(careTicketsSQL), []string{"a1 gone Normal New"})
}

// TestMessagesOfAConversation: rules listen to what people write to us, and to what becomes of it.
func TestMessagesOfAConversation(t *testing.T) {
	b := newCareBench(t, 2)
	once := on(automate.MessageReceived, automate.Step{Name: "open", OpenTicket: &automate.OpenTicket{Queue: "social"}},
		automate.Step{Name: "more", Wait: &automate.Wait{
			Event: automate.MessageReceived, For: days(1), When: `message.text.contains("late") && conversation.messages == 2`,
		}},
		automate.Step{Name: "mark", Tag: "twice"})
	once.Key, once.When = "conversation.number", `conversation.messages == 1 && message.network == "mastodon" && message.source == "toots" && message.kind == "Message"`
	b.save("once", once)
	b.save("opened", on(automate.ConversationOpened, automate.Step{Name: "mark", Tag: "talks"}))
	closed := on(automate.ConversationClosed, automate.Step{Name: "mark", Tag: "over"})
	closed.When = `conversation.status == "Closed" && contact.tags.hasAny(["talks"])`
	b.save("closed", closed)
	for event, queue := range map[string]string{automate.TicketOpened: "social", automate.TicketAssigned: "other", automate.TicketClosed: "social"} {
		rule := on(event, automate.Step{Name: "mark", Tag: event})
		rule.On.Queue, rule.Key = queue, "ticket.number"
		b.save(strings.ReplaceAll(event, ".", "-"), rule)
	}
	b.post(1, "m1", "Message", "neutral")
	b.post(2, "m2", "Message", "neutral")
	b.arrive()
	b.want("after a message", []string{b.tags()}, []string{"1:talks,ticket.opened 2:talks,ticket.opened"})
	b.post(1, "m3", "Message", "neutral")
	b.arrive()
	b.want("after another one", []string{b.tags()}, []string{"1:talks,ticket.opened,twice 2:talks,ticket.opened"})
	b.do("give", func() error { return b.db.AssignTicket(b.ctx, b.ticket(2), ana, "ana") })
	b.do("close the ticket", func() error { return b.db.CloseTicket(b.ctx, b.ticket(2), ana) })
	b.do("close", func() error {
		return b.db.CloseConversation(b.ctx, b.texts("select min(number)::text from conversation")[0], ana)
	})
	tags := b.texts("select id || ':' || (select string_agg(t, ',' order by t) from unnest(tags) t) from contact order by id")
	b.want("in the end", tags, []string{"1:over,talks,ticket.opened,twice", "2:talks,ticket.closed,ticket.opened"})
}

// TestWhatIsForgottenIsNotAnswered: who goes on after the post was forgotten has nothing to answer.
func TestWhatIsForgottenIsNotAnswered(t *testing.T) {
	b := newCareBench(t, 1)
	b.save("later", on(automate.MentionReceived, automate.Step{Name: "day", Wait: &automate.Wait{For: days(1)}}, openSocial, say,
		automate.Step{Name: "give", Assign: &automate.Assign{To: "ana"}}, automate.Step{Name: "mark", Tag: "done"}))
	mention := b.post(1, "p1", "Post", "negative")
	b.arrive()
	b.exec("update mention set forgotten_at = now(), native_id = null, author_id = null, text = '' where id = $1", mention)
	b.ahead = 25 * time.Hour
	b.work()
	b.want("entries", b.entries(), []string{"later 1 Ended mark"})
	b.want("the path", b.texts(`select string_agg(p ->> 'step' || ':' || (p ->> 'how'), ' ' order by place) from automation_entry e cross
		join jsonb_array_elements(e.path) with ordinality x (p, place)`), []string{"day:Waits day:Elapsed open:Nothing say:Nothing give:Nothing mark:Done"})
	b.want("tickets", b.texts("select count(*)::text from ticket"), []string{"0"})
}

// TestWhatARuleDoesItselfIsNotAwaited: a wait begins behind the steps before it.
func TestWhatARuleDoesItselfIsNotAwaited(t *testing.T) {
	b := newCareBench(t, 1)
	b.save("r", on(automate.MentionReceived, openSocial, automate.Step{Name: "give", Assign: &automate.Assign{To: "ana"}},
		automate.Step{Name: "other", Wait: &automate.Wait{Event: automate.TicketAssigned, For: days(1)}}, automate.Step{Name: "mark", Tag: "given"}))
	b.post(1, "p1", "Post", "negative")
	b.arrive()
	b.want("entries", b.entries(), []string{"r 1 Waiting other"})
	b.do("give", func() error { return b.db.AssignTicket(b.ctx, b.ticket(1), ana, "eva") })
	b.want("the tags", []string{b.tags()}, []string{"1:given"})
}

// TestARuleThatIsStartedAnswersToo: who is started by another rule has its conversation and its ticket.
func TestARuleThatIsStartedAnswersToo(t *testing.T) {
	b := newCareBench(t, 1)
	b.save("first", on(automate.MentionReceived, openSocial, automate.Step{Name: "go", Start: &automate.Start{Rule: "second"}}))
	b.save("second", on(automate.TicketBreached, automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}}, automate.Step{Name: "which", If: &automate.If{Condition: `ticket.queue == "social"`, Then: "give", Else: "out"}},
		automate.Step{Name: "give", Assign: &automate.Assign{To: "ana"}}, say, automate.Step{Name: "out", Exit: &automate.Exit{}}))
	b.post(1, "p1", "Post", "negative")
	b.arrive()
	b.want("entries", b.entries(), []string{"first 1 Ended go", "second 1 Exited out"})
	b.want("tickets", b.texts(careTicketsSQL), []string{"a1 social High Open ana An angry post"})
	b.want("answers", b.texts("select count(*)::text from outbox where kind = 'Reply'"), []string{"1"})
	b.want("what is told", b.texts("select body ->> 'ticket' from outbox where kind = 'Notify' and (body ->> 'conversation')::bigint > 1000"), []string{b.ticket(1)})
}

// TestWhoWaitsForATicketMoves: a rule is edited while entries wait for what happens to their tickets.
func TestWhoWaitsForATicketMoves(t *testing.T) {
	b := newCareBench(t, 1)
	b.save("r", on(automate.MentionReceived, openSocial, automate.Step{Name: "wait", Wait: &automate.Wait{Event: automate.TicketResolved, For: days(1)}},
		automate.Step{Name: "mark", Tag: "old"}))
	b.post(1, "p1", "Post", "negative")
	b.arrive()
	edited := on(automate.MentionReceived, openSocial, automate.Step{Name: "wait", Wait: &automate.Wait{Event: automate.TicketResolved, For: days(2)}},
		automate.Step{Name: "give", Assign: &automate.Assign{To: "lead"}}, automate.Step{Name: "mark", Tag: "new"})
	edited.OnEdit = automate.Move
	b.save("r", edited)
	b.ahead = 25 * time.Hour // by the old one it would be over
	b.work()
	b.want("entries", b.entries(), []string{"r 1 Waiting wait"})
	b.ahead = 0
	b.do("solve", func() error { return b.db.SolveTicket(b.ctx, b.ticket(1), ana) })
	b.want("the tags", []string{b.tags()}, []string{"1:new"})
	b.want("tickets", b.texts("select assignee from ticket"), []string{"lead"})
}

// TestWorkersSideBySideLookAfterPeople: however many work at once and however often they die, there is one ticket and one answer for each post.
func TestWorkersSideBySideLookAfterPeople(t *testing.T) {
	const people, posts = 12, 3
	b := newCareBench(t, people)
	always := on(automate.MentionReceived, say)
	always.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("always", always)
	b.save("once", on(automate.MentionReceived, openSocial, automate.Step{Name: "give", Assign: &automate.Assign{To: "ana"}},
		automate.Step{Name: "wait", Wait: &automate.Wait{Event: automate.TicketResolved, For: days(1)}}, automate.Step{Name: "mark", Tag: "solved"}))
	var workers sync.WaitGroup
	for n := range 4 {
		rules := store.NewRules(b.db)
		workers.Go(func() {
			for i := range 30 {
				if n == 0 && i < posts {
					for author := range people {
						b.post(author+1, string(rune('a'+i))+string(rune('a'+author)), "Post", "negative")
					}
				}
				ctx, stop := b.ctx, func() {}
				if n == 1 && i%2 == 0 { // dies somewhere on its way
					ctx, stop = context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
				}
				if _, err := rules.HandleEvents(ctx, 7); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				stop()
			}
		})
	}
	workers.Wait()
	endConnections(t, b.db) // what the dead were at is not given up before their connections have ended
	b.arrive()
	for _, number := range b.texts("select number::text from ticket") {
		if err := b.db.SolveTicket(b.ctx, number, ana); err != nil {
			t.Fatal(err)
		}
	}
	b.work()
	for sql, want := range map[string]int64{
		"select count(*) from ticket": people, "select count(*) from ticket where assignee = 'ana'": people,
		"select count(*) from message where direction = 'Out'":                             people * posts,
		"select count(distinct answers) from message where direction = 'Out'":              people * posts,
		"select count(*) from outbox where kind = 'Reply'":                                 people * posts,
		"select count(*) from contact where tags = '{solved}'":                             people,
		"select count(*) from automation_entry where status = 'Ended'":                     people * (posts + 1),
		"select count(*) from automation_entry where status = 'Stuck'":                     0,
		"select count(*) from ticket_event where kind = 'Opened'":                          people,
		"select count(*) from ticket_event where kind = 'Assigned' and agent not in ('x')": people,
	} {
		if n := b.number(sql); n != want {
			t.Errorf("%s: %d, not %d", sql, n, want)
		}
	}
}

// TestRulesThatGiveATicketToAndFroAreCut has two of them set each other off, when somebody has given a ticket to a third.
func TestRulesThatGiveATicketToAndFroAreCut(t *testing.T) {
	b := newCareBench(t, 1)
	give := func(to string) automate.Rule {
		rule := on(automate.TicketAssigned, automate.Step{Name: "give", Assign: &automate.Assign{To: to}})
		rule.When, rule.Key, rule.Reentry = `ticket.assignee != "`+to+`"`, "ticket.number", automate.Reentry{Mode: automate.ReentryAlways}
		return rule
	}
	b.save("open", on(automate.MentionReceived, openSocial))
	b.post(1, "p1", "Post", "negative")
	b.arrive()
	b.save("ping", give("ana"))
	b.save("pong", give("bea"))
	if err := b.db.AssignTicket(b.ctx, b.ticket(1), store.Actor{Agent: "eva"}, "eva"); err != nil {
		t.Fatal(err)
	}
	sum := b.work()
	if sum.Cut == 0 || sum.Entered > 2*12 {
		t.Errorf("%d entered and %d were cut", sum.Entered, sum.Cut)
	}
	trouble := strings.Join(b.texts("select trouble from automation_rule where trouble is not null"), "\n")
	if !strings.Contains(trouble, "ping → pong → ping") && !strings.Contains(trouble, "pong → ping → pong") {
		t.Errorf("the rules' status says %q", trouble)
	}
	// What people do is no circle, however often they do it.
	b.exec("update automation_rule set trouble = null")
	b.save("pong", on(automate.TicketClosed, automate.Step{Name: "mark", Tag: "over"}))
	for range 15 {
		if err := b.db.AssignTicket(b.ctx, b.ticket(1), store.Actor{Agent: "eva"}, "eva"); err != nil {
			t.Fatal(err)
		}
		if sum := b.work(); sum.Entered != 1 || sum.Cut != 0 {
			t.Fatalf("%d entered and %d were cut", sum.Entered, sum.Cut)
		}
	}
}

// TestARulePublishes: each entry once, and nothing of a person is in what waits to leave.
func TestARulePublishes(t *testing.T) {
	b := newCareBench(t, 2)
	rule := on("purchased", automate.Step{Name: "thanks", Publish: &automate.Publish{Template: "hello", Channel: "toots"}}, automate.Step{Name: "mark", Tag: "thanked"})
	b.save("thank", rule)
	b.purchase(1, "5")
	b.purchase(2, "5")
	b.purchase(2, "5")
	b.work()
	b.want("the tags", []string{b.tags()}, []string{"1:thanked 2:thanked"})
	b.want("the outbox", b.texts(`select concat_ws(' ', o.kind, o.channel, o.state, o.step, o.body, o.dedup = 'publish/' || e.public_id || '/1')
		from outbox o join automation_entry e on e.id = o.entry_id order by o.id`), []string{
		`Publication toots pending thanks {"auto": true, "template": "hello"} t`, `Publication toots pending thanks {"auto": true, "template": "hello"} t`,
	})
}
