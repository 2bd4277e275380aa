package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// team is a tenant with a source, whose account is velo@social.example and which a channel answers, and with those who work.
type team struct {
	listening
	ctx    context.Context
	intake *store.Intake
}

func newTeam(t *testing.T) *team {
	t.Helper()
	b := &team{listening: newListening(t, "a"), ctx: context.Background()}
	b.exec("insert into tenant (id, namespace, time_zone) values ('velo', 'velo', 'Europe/Madrid')")
	b.exec("insert into channel (name, type, settings) values ('voice', 'Mastodon', '{}'), ('room', 'Webhook', '{}')")
	b.exec("insert into monitor (name, accounts) values ('velo', '{@Velo@social.example}')")
	b.exec("update social_source set reply_channel = 'voice'")
	b.intake = store.NewIntake(b.DB)
	return b
}

func (b *team) queue(name string, q service.Queue, agents ...store.QueueAgent) {
	b.t.Helper()
	if _, _, err := b.SaveQueue(b.ctx, store.QueueDefinition{Name: name, Queue: q, Agents: agents}); err != nil {
		b.t.Fatal(err)
	}
}

// toUs has a post name our account.
func toUs(j *store.Judged) {
	j.Mentions = append(j.Mentions, listen.Account{ID: "https://social.example/users/velo", Handle: "velo@social.example"})
}

// answering has a post answer another one of a thread.
func answering(parent, thread string) func(*store.Judged) {
	return func(j *store.Judged) { j.Kind, j.Parent, j.Thread = listen.Reply, parent, thread }
}

func ago(d time.Duration) func(*store.Judged) {
	return func(j *store.Judged) { j.CreatedAt = time.Now().Add(-d).Truncate(time.Millisecond) }
}

// comes has posts come in, and threads them.
func (b *team) comes(posts ...store.Judged) store.Placed {
	b.t.Helper()
	b.take(b.lease("a"), posts...)
	return b.place()
}

func (b *team) place() (sum store.Placed) {
	b.t.Helper()
	for more := true; more; {
		done, err := b.intake.PlaceMessages(b.ctx, 100)
		if err != nil {
			b.t.Fatal(err)
		}
		sum.Messages, sum.Conversations, sum.Tickets = sum.Messages+done.Messages, sum.Conversations+done.Conversations, sum.Tickets+done.Tickets
		more = done.More
	}
	return sum
}

func (b *team) tend() store.Tended {
	b.t.Helper()
	done, err := b.TendConversations(b.ctx, 100)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

func (b *team) want(what, sql string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, query(b.t, b.DB, sql), cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const (
	deskSQL        = "select concat_ws(' ', state, messages, version, case when waiting_since is null then 'idle' else 'waits' end) from conversation order by id"
	deskTicketsSQL = `select concat_ws(' ', q.name, t.status, t.priority, nullif(t.assignee, '')) from ticket t join service_queue q on q.id = t.queue_id
		order by t.id`
	deskThreadsSQL = `select string_agg(coalesce(m.native_id, t.state || ':' || t.text), ' ' order by t.version) from message t
		left join mention m on m.id = t.mention_id group by t.conversation_id order by t.conversation_id`
	deskEventsSQL = "select concat_ws(' ', kind, nullif(detail, '')) from ticket_event order by id"
)

func (b *team) only(sql string) string {
	b.t.Helper()
	rows := query(b.t, b.DB, sql)
	if len(rows) != 1 {
		b.t.Fatalf("%s: %q", sql, rows)
	}
	return rows[0]
}

func (b *team) number() string { b.t.Helper(); return b.only("select number::text from conversation") }

// refusedFor wants a refusal for a reason, and tells who is at it.
func refusedFor(t *testing.T, err error, reason service.Reason) (holder string) {
	t.Helper()
	var r *service.Refusal
	if !errors.As(err, &r) || r.Reason != reason {
		t.Fatalf("it is %v, not refused for %s", err, reason)
	}
	return r.Holder
}

var eva, leo = store.Actor{Agent: "eva", Token: "desk"}, store.Actor{Agent: "leo", Token: "desk"}

func TestWhatIsAMessageToUs(t *testing.T) {
	b := newTeam(t)
	ours := func(j *store.Judged) {
		j.Author = listen.Account{ID: "https://social.example/users/velo", Handle: "velo@social.example"}
	}
	direct := func(j *store.Judged) { j.Kind, j.Visibility = listen.Message, listen.Private }
	done := b.comes(
		post("1", toUs), post("2"), post("3", toUs, ours), post("4", direct), post("5", toUs, func(j *store.Judged) { j.Kind = listen.Repost }),
		post("6", toUs, ago(20*24*time.Hour)), post("7", answering("2", "2")), post("8", toUs, by("bea")),
	)
	if done.Messages != 3 || done.Conversations != 3 {
		t.Errorf("threaded: %+v", done)
	}
	b.want("messages", "select m.native_id from message t join mention m on m.id = t.mention_id order by m.native_id", "1", "4", "8")
	b.want("what is left", "select mention_id::text from message_intake")
	// An answer to what we said is to us, whomever it names.
	b.exec("insert into own_post (network, native_id) values ($1, 'ours')", social)
	b.comes(post("9", answering("ours", "ours"), by("dora")))
	b.want("messages", "select m.native_id from message t join mention m on m.id = t.mention_id where m.native_id = '9'", "9")
}

// Others have accounts of our name elsewhere. What they write is theirs, and who names them does not write to us.
func TestAnAccountOfOurNameElsewhereIsNotOurs(t *testing.T) {
	b := newTeam(t)
	b.exec("update monitor set accounts = '{@velo}'")
	elsewhere := func(j *store.Judged) {
		j.Author = listen.Account{ID: "https://other.example/users/velo", Handle: "velo@other.example"}
	}
	named := func(j *store.Judged) {
		j.Mentions = append(j.Mentions, listen.Account{ID: "https://other.example/users/velo", Handle: "velo@other.example"})
	}
	b.comes(post("1", toUs, elsewhere), post("2", named, by("bea")), post("3", toUs, by("velo")), post("4", toUs, by("carla")))
	b.want("messages", "select m.native_id from message t join mention m on m.id = t.mention_id order by m.native_id", "1", "4")
}

func TestMessagesThread(t *testing.T) {
	b := newTeam(t)
	b.comes(post("1", toUs))
	b.comes(post("2", toUs, answering("1", "1"), ago(50*time.Minute)), post("3", toUs, by("bea"), answering("1", "1")))
	b.comes(post("1", toUs, edited(time.Minute, "r2", "otra vez"))) // the same message in another edition
	b.want("threads", deskThreadsSQL, "1 2", "3")
	b.want("conversations", deskSQL, "Open 2 2 waits", "Open 1 1 waits")
	b.want("what is told", "select kind from conversation_event order by id", "Opened", "Opened")

	id := b.only("select number::text from conversation where messages = 2")
	answer, err := b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 2, Text: "Hola"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SettleMessage(b.ctx, answer.Message, store.MessageSent, []string{"ours-1"}, ""); err != nil {
		t.Fatal(err)
	}
	// Whoever answers ours without naming us is found by it; what comes back of our own is nothing.
	b.comes(post("4", answering("ours-1", "elsewhere"), ago(0)), post("ours-1", answering("2", "1"), by("velo"), ago(0)))
	b.want("threads", deskThreadsSQL, "1 2 Sent:Hola 4", "3")
	b.want("conversations", deskSQL, "Open 4 4 waits", "Open 1 1 waits")
}

// Two that come at once begin one conversation, whoever threads them, and who dies in the middle leaves nothing behind.
func TestAMessageIsThreadedOnce(t *testing.T) {
	b := newTeam(t)
	b.queue("care", service.Queue{Tickets: "true"})
	var posts []store.Judged
	const threads, each = 10, 8
	for i := range threads {
		author := by(fmt.Sprintf("p%d", i))
		root := fmt.Sprintf("t%d", i)
		posts = append(posts, post(root, toUs, author))
		for n := 1; n < each; n++ {
			posts = append(posts, post(fmt.Sprintf("t%d-%d", i, n), toUs, author, answering(root, root), ago(time.Duration(each-n)*time.Minute)))
		}
	}
	b.take(b.lease("a"), posts...)
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			intake := store.NewIntake(b.DB)
			for i := 0; ; i++ {
				ctx, cancel := context.WithCancel(b.ctx)
				if w > 0 && i%3 != 2 {
					ctx, cancel = context.WithTimeout(b.ctx, time.Duration(i%17+1)*time.Millisecond) // dies somewhere
				}
				done, err := intake.PlaceMessages(ctx, 7)
				cancel()
				if err == nil && done.Taken == 0 && len(query(b.t, b.DB, "select mention_id::text from message_intake limit 1")) == 0 {
					return
				}
			}
		})
	}
	// Meanwhile a rule takes some of them up.
	for _, half := range []string{"1", "2"} {
		workers.Go(func() {
			for _, id := range query(t, b.DB, "select id::text from mention where native_id like '%-"+half+"' order by id") {
				var mention int64
				if _, err := fmt.Sscan(id, &mention); err != nil {
					t.Error(err)
				}
				for {
					_, err := b.ConversationsOf(b.ctx, []int64{mention})
					if err == nil {
						break
					}
					if !store.IsUniqueViolation(err, "") && !strings.Contains(err.Error(), "40P01") {
						t.Errorf("take up: %v", err)
						break
					}
				}
			}
		})
	}
	workers.Wait()
	b.want("what is left to do", "select mention_id::text from message_intake")
	b.want("messages of each thread", "select concat_ws(' ', messages, version) from conversation", repeated(fmt.Sprintf("%d %d", each, each), threads)...)
	b.want("messages", "select count(*) || ' ' || count(distinct mention_id) || ' ' || count(*) filter (where taken) from message",
		fmt.Sprintf("%d %d 0", threads*each, threads*each))
	b.want("tickets", "select count(*) || ' ' || count(distinct conversation_id) from ticket", fmt.Sprintf("%d %d", threads, threads))
	b.want("the backlog", "select sum(backlog) || ' ' || sum(unassigned) || ' ' || sum(opened) from service_tally", fmt.Sprintf("%d %d %d", threads, threads, threads))
}

func repeated(s string, n int) (list []string) {
	for range n {
		list = append(list, s)
	}
	return list
}

func TestTwoAgentsAnswer(t *testing.T) {
	b := newTeam(t)
	b.queue("care", service.Queue{Tickets: "true"})
	b.comes(post("1", toUs))
	id := b.number()
	if _, err := b.ClaimConversation(b.ctx, id, eva, 0, false); err != nil {
		t.Fatal(err)
	}
	_, err := b.ClaimConversation(b.ctx, id, leo, 0, false)
	if holder := refusedFor(t, err, service.ReasonClaimed); holder != "eva" {
		t.Errorf("who holds it: %q", holder)
	}
	_, err = b.AnswerConversation(b.ctx, id, store.Answer{By: leo, Seen: 1, Text: "Soy Leo"})
	refusedFor(t, err, service.ReasonClaimed)
	b.comes(post("2", toUs, answering("1", "1"), ago(0)))
	_, err = b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 1, Text: "Soy Eva"})
	refusedFor(t, err, service.ReasonWritten)
	if _, err = b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 2, Text: "Soy Eva"}); err != nil {
		t.Fatal(err)
	}
	_, err = b.AnswerConversation(b.ctx, id, store.Answer{By: leo, Seen: 2, Text: "Soy Leo"})
	refusedFor(t, err, service.ReasonAnswered)
	b.want("threads", deskThreadsSQL, "1 2 Queued:Soy Eva")
	b.want("tickets", deskTicketsSQL, "care Open Normal eva")
	b.want("the outbox", "select concat_ws(' ', o.kind, o.channel, o.body ->> 'text', o.dedup = 'reply/' || m.public_id, o.body ->> 'mention' is not null) "+
		"from outbox o join message m on m.id = o.message_id", "Reply voice Soy Eva t t")

	// Many at once: one is accepted.
	b.comes(post("3", toUs, answering("1", "1"), ago(-time.Second)))
	var agents sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for i := range 6 {
		agents.Go(func() {
			by := store.Actor{Agent: fmt.Sprintf("agent%d", i)}
			_, err := b.AnswerConversation(b.ctx, id, store.Answer{By: by, Seen: 4, Text: "Yo"})
			var r *service.Refusal
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted++
			} else if !errors.As(err, &r) {
				t.Errorf("an agent: %v", err)
			}
		})
	}
	agents.Wait()
	if accepted != 1 {
		t.Errorf("%d of the agents answered", accepted)
	}
}

func TestAnAttemptIsOneMessage(t *testing.T) {
	b := newTeam(t)
	b.comes(post("1", toUs))
	id := b.number()
	first, err := b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 1, Key: "k1", Text: "Hola"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 2, Key: "k2", Text: "Y además"}); err != nil {
		t.Fatal(err)
	}
	// Also where another one was accepted since, and whoever answers by now.
	again, err := b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 1, Key: "k1", Text: "Hola"})
	if err != nil || !again.Again || again.Message != first.Message || again.Version != first.Version {
		t.Errorf("again: %+v, %v; first %+v", again, err, first)
	}
	b.want("messages", "select text from message where direction = 'Out' order by id", "Hola", "Y además")
	b.want("the outbox", "select count(*)::text from outbox", "2")
}

func TestWithoutAChannelNothingIsAnswered(t *testing.T) {
	b := newTeam(t)
	b.comes(post("1", toUs))
	b.exec("update social_source set reply_channel = ''")
	_, err := b.AnswerConversation(b.ctx, b.number(), store.Answer{By: eva, Seen: 1, Text: "Hola"})
	refusedFor(t, err, service.ReasonNoReply)
	b.exec("update social_source set reply_channel = 'gone'")
	_, err = b.AnswerConversation(b.ctx, b.number(), store.Answer{By: eva, Seen: 1, Text: "Hola"})
	refusedFor(t, err, service.ReasonNoReply)
	b.want("messages", deskThreadsSQL, "1")
	for _, ref := range []string{"999", "0", "", "nobody", "00000000-0000-0000-0000-000000000000", "99999999999999999999", "zzzzzzzz-0000-0000-0000-000000000000"} {
		if _, err := b.AnswerConversation(b.ctx, ref, store.Answer{By: eva, Text: "Hola"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("conversation %q: %v", ref, err)
		}
	}
}

// What became of an answer may be told twice, and late.
func TestAnAnswerIsSettled(t *testing.T) {
	type step struct {
		is   store.MessageState
		want string // the message, the conversation and the ticket
	}
	tests := map[string][]step{
		"sent": {
			{store.MessageSent, "Sent Waiting Pending 1"},
			{store.MessageSent, "Sent Waiting Pending 1"},
			{store.MessageFailed, "Sent Waiting Pending 1"},
			{store.MessageAmbiguous, "Sent Waiting Pending 1"},
			{store.MessageQueued, "Sent Waiting Pending 1"},
		},
		"failed":                    {{store.MessageFailed, "Failed Open Open 0"}, {store.MessageFailed, "Failed Open Open 0"}},
		"failed, and tried again":   {{store.MessageFailed, "Failed Open Open 0"}, {store.MessageQueued, "Queued Open Open 0"}, {store.MessageSent, "Sent Waiting Pending 1"}},
		"unknown, and it had left":  {{store.MessageAmbiguous, "Ambiguous Waiting Pending 1"}, {store.MessageSent, "Sent Waiting Pending 1"}},
		"unknown, and it had not":   {{store.MessageAmbiguous, "Ambiguous Waiting Pending 1"}, {store.MessageFailed, "Failed Open Open 1"}},
		"failed, and it had left":   {{store.MessageFailed, "Failed Open Open 0"}, {store.MessageSent, "Sent Waiting Pending 1"}},
		"unknown, twice, and again": {{store.MessageAmbiguous, "Ambiguous Waiting Pending 1"}, {store.MessageAmbiguous, "Ambiguous Waiting Pending 1"}, {store.MessageQueued, "Queued Open Open 1"}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			b := newTeam(t)
			b.queue("care", service.Queue{Tickets: "true"})
			b.comes(post("1", toUs))
			answer, err := b.AnswerConversation(b.ctx, b.number(), store.Answer{By: eva, Seen: 1, Text: "Hola"})
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range steps {
				if err := b.SettleMessage(b.ctx, answer.Message, s.is, []string{"ours"}, "200"); err != nil {
					t.Fatal(err)
				}
				got := b.only("select concat_ws(' ', m.state, c.state, t.status, t.state ->> 'replies') from message m join conversation c on c.id = m.conversation_id join ticket t on t.conversation_id = c.id where m.direction = 'Out'")
				if got = strings.TrimSpace(got + map[bool]string{true: " 0"}[strings.Count(got, " ") == 2]); got != s.want {
					t.Errorf("step %d, %s: %q, want %q", i, s.is, got, s.want)
				}
			}
		})
	}
}

// An answer that left late leaves what was written meanwhile unanswered.
func TestALateOutcome(t *testing.T) {
	b := newTeam(t)
	b.queue("care", service.Queue{Tickets: "true", Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "30m"}}})
	b.comes(post("1", toUs, ago(time.Minute)))
	answer, err := b.AnswerConversation(b.ctx, b.number(), store.Answer{By: eva, Seen: 1, Text: "Hola"})
	if err != nil {
		t.Fatal(err)
	}
	b.exec("update message o set written_at = m.created_at + interval '40 seconds' from mention m where o.direction = 'Out'")
	b.comes(post("2", toUs, answering("1", "1"), ago(5*time.Second)))
	if err := b.SettleMessage(b.ctx, answer.Message, store.MessageSent, []string{"ours"}, ""); err != nil {
		t.Fatal(err)
	}
	b.want("conversations", deskSQL, "Open 3 3 waits")
	b.want("tickets", "select concat_ws(' ', status, first_calendar, missed_first, state ->> 'nextAnswer' is not null) from ticket", "Open 40 0 t")
}

// Time alone brings back what was put away, and ends what nobody says anything to any more.
func TestConversationsByTime(t *testing.T) {
	b := newTeam(t)
	b.comes(post("1", toUs))
	id := b.number()
	refusedFor(t, b.SnoozeConversation(b.ctx, id, eva, time.Now().Add(-time.Minute)), service.ReasonPast)
	if err := b.SnoozeConversation(b.ctx, id, eva, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	b.tend()
	b.want("put away", deskSQL, "Snoozed 1 1 waits")
	b.exec("update conversation set snoozed_until = now(), wake_at = now()")
	b.tend()
	b.want("back", deskSQL, "Open 1 1 waits")
	answer, err := b.AnswerConversation(b.ctx, id, store.Answer{By: eva, Seen: 1, Text: "Hola"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SettleMessage(b.ctx, answer.Message, store.MessageSent, []string{"ours"}, ""); err != nil {
		t.Fatal(err)
	}
	b.want("when it ends", "select (wake_at - greatest(last_inbound, last_outbound) = interval '720 hours')::text from conversation", "true")
	b.exec("update conversation set last_inbound = now() - interval '31 days', last_outbound = now() - interval '30 days 1 hour', wake_at = now()")
	b.tend()
	b.want("it is over", "select concat_ws(' ', state, closed_at < now() - interval '59 minutes', wake_at is null) from conversation", "Closed t t")
	b.want("what is told", "select kind from conversation_event order by id", "Opened", "Snoozed", "Woken", "Answered", "Closed")
	// Soon after it is reopened, later another one follows it.
	b.comes(post("2", toUs, answering("1", "1"), ago(0)))
	b.want("reopened", deskSQL, "Open 3 3 waits")
	b.exec("update conversation set state = 'Closed', closed_at = now() - interval '15 days', waiting_since = null")
	b.comes(post("3", toUs, answering("1", "1"), ago(-time.Second)))
	b.want("another one", "select concat_ws(' ', state, follows is not null) from conversation order by id", "Closed f", "Open t")
}

func TestIngestWithoutConversationsPaysNothing(t *testing.T) {
	l := newListening(t, "a")
	nothing := func(want bool) {
		t.Helper()
		got := query(t, l.DB, "select (prosrc = 'begin return null; end')::text from pg_proc where proname in ('intake_posts', 'intake_named')")
		if diff := cmp.Diff(repeated(fmt.Sprint(want), 2), got); diff != "" {
			t.Errorf("the triggers do nothing (-want +got):\n%s", diff)
		}
	}
	l.exec("insert into tenant (id, namespace) values ('velo', 'velo')")
	l.exec("insert into monitor (name, accounts) values ('velo', '{@Velo@social.example}')")
	nothing(true)
	l.take(l.lease("a"), post("1", toUs))
	if got := query(t, l.DB, "select mention_id::text from message_intake"); len(got) != 0 {
		t.Errorf("noted: %s", got)
	}
	if _, _, err := l.SaveQueue(t.Context(), store.QueueDefinition{Name: "care"}); err != nil {
		t.Fatal(err)
	}
	nothing(false)
	if err := l.DropQueue(t.Context(), "care"); err != nil {
		t.Fatal(err)
	}
	nothing(true)
	l.exec("update social_source set reply_channel = 'voice'")
	nothing(false)
	l.exec("update tenant set suspended = true")
	nothing(true)
}
