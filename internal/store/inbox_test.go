package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// desk is a database with conversations, as others have made them. Its people work on weekdays from nine to five.
type desk struct {
	listening
	now   time.Time // a Monday, half past nine
	terms *service.Terms
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{listening: newListening(t, "a", "b"), now: time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)}
	if _, err := d.SaveTenant(context.Background(), store.Tenant{ID: "velo", Namespace: "velo", TimeZone: "UTC", Locales: []string{"es"}}); err != nil {
		t.Fatal(err)
	}
	definition := `{"tickets": "true", "hours": {"open": [{"days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"], "from": "09:00", "to": "17:00"}]},
		"targets": {"Normal": {"firstResponse": "1h", "resolution": "8h"}, "Urgent": {"firstResponse": "15m"}}}`
	var queue service.Queue
	err := json.Unmarshal([]byte(definition), &queue)
	if err == nil {
		d.terms, err = queue.Compile(time.UTC)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.exec("insert into service_queue (name, definition, digest) values ('complaints', $1, ''), ('sales', '{\"tickets\": \"\"}', '')", definition)
	return d
}

// talk makes a conversation whose customer waits since a moment; the zero time for one of which it is their turn.
func (d *desk) talk(number int, state string, waits time.Time, last time.Time) {
	d.t.Helper()
	d.exec(`insert into conversation (number, network, medium, source_id, state, waiting_since, last_inbound, last_at, version, version_in, messages)
		values ($1, 'mastodon:social.example', 'Post', 1, $2, $3, $4, $4, 1, 1, 1)`, number, state, nullable(waits), last)
}

func nullable(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// ticket makes one of a conversation, as the events say.
func (d *desk) ticket(number, conversation int, queue string, since time.Time, events ...service.TicketEvent) {
	d.t.Helper()
	t := service.Begin("", since, d.terms)
	for _, e := range events {
		var err error
		if t, _, err = t.Next(e, d.terms); err != nil {
			d.t.Fatal(err)
		}
	}
	var due *time.Time
	for _, kind := range []service.TargetKind{service.FirstResponse, service.NextResponse, service.Resolution} {
		if at, ok := t.DueAt(kind, d.terms); ok && (due == nil || at.Before(*due)) {
			due = &at
		}
	}
	d.exec(`insert into ticket (number, conversation_id, queue_id, status, priority, assignee, state, opened_at, due_at, missed_first, subject)
		values ($1, (select id from conversation where number = $2), (select id from service_queue where name = $3), $4, $5, $6, $7, $8, $9, $10, 'Doble cobro')`,
		number, conversation, queue, t.Status, t.Priority, t.Assignee, t, t.OpenedAt, due, t.Missed.FirstResponse)
}

func (d *desk) inbox(q store.InboxQuery) string {
	d.t.Helper()
	var numbers []string
	for range 200 {
		page, err := d.Inbox(context.Background(), q, d.now)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, c := range page.Conversations {
			numbers = append(numbers, strconv.FormatInt(c.Number, 10))
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return strings.Join(numbers, " ")
		}
	}
	d.t.Fatal("the pages do not end")
	return ""
}

var everyState = []service.ConversationState{
	service.ConversationOpen, service.ConversationWaiting, service.ConversationSnoozed, service.ConversationClosed,
}

func TestInboxTellsWhoWaitsForTheLongest(t *testing.T) {
	d := newDesk(t)
	ago := func(minutes int) time.Time { return d.now.Add(-time.Duration(minutes) * time.Minute) }
	d.talk(11, "Open", ago(5), ago(5))
	d.talk(12, "Open", ago(90), ago(2))
	d.talk(13, "Waiting", time.Time{}, ago(10))
	d.talk(14, "Open", time.Time{}, ago(20))
	d.talk(15, "Closed", time.Time{}, ago(3))
	d.talk(16, "Snoozed", ago(600), ago(600))
	d.talk(17, "Open", ago(90), ago(90))
	d.exec("update conversation set source_id = 2, network = 'bluesky' where number = 17")
	assigned := func(to string) service.TicketEvent {
		return service.TicketEvent{Kind: service.TicketAssigned, At: ago(1), Assignee: to}
	}
	d.ticket(21, 12, "complaints", ago(90), assigned("eva"))
	d.ticket(22, 17, "sales", ago(90))
	d.ticket(23, 11, "complaints", ago(5), assigned("leo"), service.TicketEvent{Kind: service.TicketClosed, At: ago(0)})
	for name, c := range map[string]struct {
		query store.InboxQuery
		want  string
	}{
		"by itself":           {store.InboxQuery{}, "12 17 11 14"},
		"of all states":       {store.InboxQuery{States: everyState}, "16 12 17 11 15 13 14"},
		"their turn":          {store.InboxQuery{States: everyState[1:2]}, "13"},
		"of a queue":          {store.InboxQuery{Queue: "sales"}, "17"},
		"without the closed":  {store.InboxQuery{Queue: "complaints"}, "12"},
		"of an agent":         {store.InboxQuery{Assignee: "eva"}, "12"},
		"not theirs any more": {store.InboxQuery{Assignee: "leo"}, ""},
		"nobody's":            {store.InboxQuery{Unassigned: true}, "17 11 14"},
		"of a source":         {store.InboxQuery{Source: "b"}, "17"},
		"of a network":        {store.InboxQuery{Network: "bluesky"}, "17"},
	} {
		for _, limit := range []int{0, 1, 2, 3} {
			c.query.Limit = limit
			if got := d.inbox(c.query); got != c.want {
				t.Errorf("%s, %d a page: %q, want %q", name, limit, got, c.want)
			}
		}
	}
	d.exec("update service_queue set dormant_since = now() where name = 'sales'")
	for _, q := range []store.InboxQuery{
		{Queue: "sales"}, {Source: "c"}, {Contact: "00000000-0000-4000-8000-000000000000"}, {Contact: "ana"},
	} {
		if _, err := d.Inbox(context.Background(), q, d.now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, cursor := range []string{"x", "f", "r!", "fMQ", "f" + strings.Repeat("A", 300)} {
		if _, err := d.Inbox(context.Background(), store.InboxQuery{Cursor: cursor}, d.now); !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// TestInboxPagesLeaveNobodyOut compares pages with the whole list, among many who began to wait at one moment.
func TestInboxPagesLeaveNobodyOut(t *testing.T) {
	d := newDesk(t)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test repeats itself
	for n := range 120 {
		last := d.now.Add(-time.Duration(random.IntN(5)) * time.Minute)
		waits := time.Time{}
		state := everyState[random.IntN(4)]
		if state == service.ConversationOpen && random.IntN(2) == 0 {
			waits = last
		}
		d.talk(1000+n, string(state), waits, last)
	}
	order := `select string_agg(number::text, ' ' order by waiting_since is null, waiting_since, case when waiting_since is not null then id end, last_at desc, id desc)
		from conversation`
	want := query(t, d.DB, order)[0]
	for _, limit := range []int{1, 7, 119, 120, 200} {
		if diff := cmp.Diff(want, d.inbox(store.InboxQuery{States: everyState, Limit: limit})); diff != "" {
			t.Errorf("%d a page (-want +got):\n%s", limit, diff)
		}
	}
}

func TestPromisesAreToldInHoursOfWork(t *testing.T) {
	d := newDesk(t)
	friday := time.Date(2026, 11, 20, 16, 50, 0, 0, time.UTC)
	d.talk(11, "Open", friday, friday)
	d.talk(12, "Open", d.now.Add(-time.Minute), d.now)
	d.ticket(21, 11, "complaints", friday)
	d.ticket(22, 12, "complaints", d.now.Add(-time.Minute), service.TicketEvent{Kind: service.TicketPrioritised, At: d.now, Priority: service.Urgent})
	d.ticket(23, 12, "sales", d.now)
	page, err := d.Tickets(context.Background(), store.TicketQuery{}, d.now)
	if err != nil || len(page.Tickets) != 3 {
		t.Fatalf("%+v, %v", page, err)
	}
	var got []string
	for _, ticket := range page.Tickets {
		for _, target := range ticket.Targets {
			got = append(got, fmt.Sprintf("%d %s %s %s %t", ticket.Number, target.Kind, target.Due.Format("Mon 15:04"), target.Work, target.Overdue))
		}
	}
	want := []string{"22 FirstResponse Mon 09:44 14m0s false", "21 FirstResponse Mon 09:50 20m0s false", "21 Resolution Mon 16:50 7h20m0s false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	late := d.now.Add(26 * time.Hour)
	detail, err := d.Ticket(context.Background(), "21", late)
	if err != nil {
		t.Fatal(err)
	}
	// Of the day after, an hour and a half of work has passed, and seven hours and ten minutes of this one since it was due.
	if first := detail.Targets[0]; !first.Overdue || first.Work != -(9*time.Hour+40*time.Minute) {
		t.Errorf("a day later: %+v", first)
	}
	queues, err := d.Queues(context.Background(), d.now)
	if err != nil || len(queues) != 2 {
		t.Fatalf("%+v, %v", queues, err)
	}
	complaints, sales := queues[0], queues[1]
	if complaints.Backlog != 2 || complaints.Unassigned != 2 || !complaints.Working || !complaints.OldestAt.Equal(friday) ||
		complaints.Next == nil || complaints.Next.Ticket != 22 {
		t.Errorf("complaints: %+v, next %+v", complaints, complaints.Next)
	}
	if sales.Next != nil || !sales.Working || sales.Backlog != 1 {
		t.Errorf("sales promises nothing: %+v", sales)
	}
	sunday, err := d.Queues(context.Background(), d.now.Add(-24*time.Hour))
	if begins := sunday[0].WorkBegins; err != nil || sunday[0].Working || !begins.Equal(d.now.Add(-30*time.Minute)) {
		t.Errorf("on Sunday: %+v, %v", sunday[0], err)
	}
}

// TestAQueueThatCannotBeReadHidesNobody: who waits is told, and what is promised elsewhere.
func TestAQueueThatCannotBeReadHidesNobody(t *testing.T) {
	d := newDesk(t)
	d.talk(11, "Open", d.now, d.now)
	d.talk(12, "Open", d.now, d.now)
	d.ticket(21, 11, "complaints", d.now)
	d.ticket(22, 12, "sales", d.now)
	d.exec(`update service_queue set definition = '{"targets": {"Odd": {"firstResponse": "soon"}}}' where name = 'sales'`)
	if got := d.inbox(store.InboxQuery{}); got != "11 12" {
		t.Errorf("the inbox: %s", got)
	}
	page, err := d.Tickets(context.Background(), store.TicketQuery{}, d.now)
	if err != nil || len(page.Tickets) != 2 || len(page.Tickets[0].Targets) != 2 || page.Tickets[1].Targets != nil {
		t.Errorf("tickets: %+v, %v", page, err)
	}
	queues, err := d.Queues(context.Background(), d.now)
	if err != nil || len(queues) != 2 || !queues[0].Working || queues[1].Working || queues[1].Backlog != 1 {
		t.Errorf("queues: %+v, %v", queues, err)
	}
}

func TestTicketsAreFound(t *testing.T) {
	d := newDesk(t)
	d.talk(11, "Open", d.now, d.now)
	d.talk(12, "Closed", time.Time{}, d.now)
	d.talk(13, "Open", d.now, d.now)
	assigned := service.TicketEvent{Kind: service.TicketAssigned, At: d.now, Assignee: "eva"}
	d.ticket(21, 11, "complaints", d.now.Add(-72*time.Hour), assigned, service.TicketEvent{Kind: service.TicketTimeCame, At: d.now})
	d.ticket(22, 12, "complaints", d.now.Add(-2*time.Hour), service.TicketEvent{Kind: service.TicketSolved, At: d.now})
	d.ticket(23, 13, "complaints", d.now.Add(-time.Hour))
	d.ticket(24, 13, "sales", d.now, service.TicketEvent{Kind: service.TicketPrioritised, At: d.now, Priority: service.Low})
	for name, c := range map[string]struct {
		query store.TicketQuery
		want  []int64
	}{
		"that need somebody": {store.TicketQuery{}, []int64{21, 23, 24}},
		"solved":             {store.TicketQuery{Statuses: []service.Status{service.StatusSolved}}, []int64{22}},
		"all":                {store.TicketQuery{Statuses: service.Statuses()}, []int64{21, 23, 24, 22}},
		"of an agent":        {store.TicketQuery{Assignee: "eva"}, []int64{21}},
		"nobody's":           {store.TicketQuery{Unassigned: true}, []int64{23, 24}},
		"of a queue":         {store.TicketQuery{Queue: "sales"}, []int64{24}},
		"not urgent":         {store.TicketQuery{Priorities: []service.Priority{service.Low, service.High}}, []int64{24}},
		"missed":             {store.TicketQuery{Breached: true}, []int64{21}},
	} {
		for _, limit := range []int{1, 2, 50} {
			c.query.Limit, c.query.Cursor = limit, ""
			got := []int64{}
			for {
				page, err := d.Tickets(context.Background(), c.query, d.now)
				if err != nil {
					t.Fatal(err)
				}
				for _, ticket := range page.Tickets {
					got = append(got, ticket.Number)
				}
				if c.query.Cursor = page.Next; page.Next == "" || len(got) > 10 {
					break
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, %d a page: %v, want %v", name, limit, got, c.want)
			}
		}
	}
}

func TestPeopleNameConversationsAsTheyLike(t *testing.T) {
	d := newDesk(t)
	ctx := context.Background()
	d.talk(11, "Open", d.now, d.now)
	d.talk(12, "Open", d.now, d.now)
	d.talk(13, "Open", d.now, d.now)
	d.ticket(21, 11, "complaints", d.now)
	d.ticket(22, 12, "complaints", d.now)
	d.ticket(23, 12, "sales", d.now)
	public := func(table string, number int) string {
		return query(t, d.DB, fmt.Sprintf("select public_id::text from %s where number = %d", table, number))[0]
	}
	for ref, want := range map[string]int64{"11": 11, "21": 11, "23": 12, public("conversation", 12): 12, public("ticket", 22): 12} {
		if got, err := d.Conversation(ctx, ref, d.now); err != nil || got.Number != want {
			t.Errorf("conversation %s: %d, %v", ref, got.Number, err)
		}
	}
	for ref, want := range map[string]int64{"11": 21, "21": 21, "23": 23, public("conversation", 11): 21, public("ticket", 22): 22} {
		if got, err := d.Ticket(ctx, ref, d.now); err != nil || got.Number != want {
			t.Errorf("ticket %s: %d, %v", ref, got.Number, err)
		}
	}
	var refused *service.Refusal
	if _, err := d.Ticket(ctx, "12", d.now); !errors.As(err, &refused) || !strings.Contains(refused.Words, "23, 22") {
		t.Errorf("one of two: %v", err)
	}
	if _, err := d.Ticket(ctx, "13", d.now); !errors.As(err, &refused) {
		t.Errorf("one without any: %v", err)
	}
	for _, ref := range []string{"99", "0", "-1", "", "ana", "99999999999999999999", "00000000-0000-4000-8000-000000000000", "' or true --"} {
		if _, err := d.Conversation(ctx, ref, d.now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("conversation %q: %v", ref, err)
		}
		if _, err := d.Ticket(ctx, ref, d.now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("ticket %q: %v", ref, err)
		}
	}
}

func TestAThreadHasBothSides(t *testing.T) {
	d := newDesk(t)
	ctx := context.Background()
	begun := d.now.Add(-time.Hour)
	wrote := func(minutes int, text string) func(*store.Judged) {
		return func(j *store.Judged) { j.CreatedAt, j.Text = begun.Add(time.Duration(minutes)*time.Minute), text }
	}
	d.take(d.lease("a"), post("1", wrote(0, "Me habéis cobrado dos veces")), post("2", wrote(20, "¿Hola?")), post("3", wrote(30, "Da igual")))
	d.talk(11, "Open", begun, d.now)
	d.exec("update conversation set author_id = 1, messages = 4, version = 4")
	d.exec(`insert into message (conversation_id, version, direction, mention_id, written_at)
		select 1, case native_id when '1' then 1 when '2' then 3 else 4 end, 'In', id, created_at from mention`)
	d.exec(`insert into message (conversation_id, version, direction, agent, text, state, written_at, sent_at, reason)
		values (1, 2, 'Out', 'eva', 'Lo miramos', 'Ambiguous', $1, $1, 'the connection broke')`, begun.Add(10*time.Minute))
	d.exec("insert into note (conversation_id, agent, text, at) values (1, 'leo', 'es la segunda vez', $1)", begun.Add(25*time.Minute))
	d.exec("update mention set forgotten_at = now(), text = '' where native_id = '3'")
	got, err := d.Conversation(ctx, "11", d.now)
	if err != nil {
		t.Fatal(err)
	}
	var thread []string
	for _, m := range got.Thread {
		who := m.Agent
		if m.Author != nil {
			who = "@" + m.Author.Handle
		}
		thread = append(thread, fmt.Sprintf("%s %d %s %s %s %s %t", m.Kind, m.Version, who, m.Text, m.State, m.Reason, m.Forgotten))
	}
	want := []string{
		"In 1 @ana@social.example Me habéis cobrado dos veces   false",
		"Out 2 eva Lo miramos Ambiguous the connection broke false",
		"In 3 @ana@social.example ¿Hola?   false",
		"Note 0 leo es la segunda vez   false",
		"In 4 @ana@social.example    true",
	}
	if diff := cmp.Diff(want, thread); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.Whole || got.With == nil || got.With.Handle != "ana@social.example" || got.Last == nil || got.Last.Version != 4 || got.Source != "a" {
		t.Errorf("%+v", got.LookedConversation)
	}
	d.exec("insert into message (conversation_id, version, direction, agent, text, state, written_at) select 1, 5 + i, 'Out', 'eva', 'más', 'Sent', $1 from generate_series(1, 250) i", d.now)
	if got, err = d.Conversation(ctx, "11", d.now); err != nil || got.Whole || len(got.Thread) != 201 || got.Thread[200].Version != 255 {
		t.Errorf("of a long one: %d messages, whole %t, %v", len(got.Thread), got.Whole, err)
	}
}
