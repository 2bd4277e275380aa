package crash

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var messageScenarios = []Scenario{
	{
		Name: "messages", run: killAmongMessages, Allows: Allowance{WorkerDeaths: kills},
		Done: "two workers send while everybody writes to us three times: messages become conversations, tickets in two queues, and somebody's; " +
			"they are escalated at once, because nobody answers; in three waves one of the workers is killed (kill -9) and another takes its place, and " +
			"PostgreSQL is ended in immediate mode",
	},
}

// beginMessages declares a source to which everybody may write, and two queues, and begins as others do. What queues tell leaves over a channel that
// takes nothing: it is counted in the outbox.
func (w *world) beginMessages(ctx context.Context) ([]*process, error) {
	for _, statement := range []string{
		"insert into channel (name, type, settings, suspended) values ('nowhere', 'Webhook', '{}', true)",
		"insert into social_source (name, type, settings, poll_every, keep, suspended) values ('chat', 'Webhook', '{}', '1 minute', '400 days', true)",
		`insert into author (key, network, native_id, handle)
			select decode(md5('a' || c.id), 'hex'), 'webhook:chat', 'a' || c.id, 'p' || c.id from contact c`,
	} {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("make the world of those who write: %w", err)
		}
	}
	q := service.Queue{
		Tickets: `message.label == "negative"`, Routing: service.Routing{Mode: service.RouteRoundRobin},
		Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "1s"}},
		Escalations: []service.Escalation{
			{Name: "tell", Target: service.FirstResponse, After: 100, Raise: service.High, Notify: "nowhere"},
		},
	}
	agents := []store.QueueAgent{{Name: "ana"}, {Name: "ben"}}
	if _, _, err := w.db.SaveQueue(ctx, store.QueueDefinition{Name: "angry", Queue: q, Agents: agents}); err != nil {
		return nil, err
	}
	q.Tickets, q.Routing.Mode = "true", service.RouteByLoad
	if _, _, err := w.db.SaveQueue(ctx, store.QueueDefinition{Name: "others", Queue: q, Agents: agents[:1]}); err != nil {
		return nil, err
	}
	return w.begin(ctx, 2)
}

// write has the people from one number to another write three messages each, in three batches.
func (w *world) write(ctx context.Context, first, last int) error {
	for n := range 3 {
		_, err := w.db.Pool.Exec(ctx, `insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, text, label, polarity,
				confidence, engine)
			select decode(md5('w' || $3 || '/' || c.id), 'hex'), 'webhook:chat', 'w' || $3 || '/' || c.id, s.id, a.id, 'Message', 'Private', clock_timestamp(),
				'late again', case when c.id % 2 = 0 then 'negative' else 'neutral' end, 0, 1, 'test'
			from contact c join author a on a.native_id = 'a' || c.id cross join social_source s where c.id between $1 and $2`, first, last, fmt.Sprint(n))
		if err != nil {
			return fmt.Errorf("have people write: %w", err)
		}
	}
	return nil
}

// awaitThreaded waits until a message of a wave is threaded: to disturb before proves nothing.
func (w *world) awaitThreaded(ctx context.Context, wave int) error {
	return w.awaitEvery(ctx, look, "a message is threaded", func() (bool, string, error) {
		var n int
		err := w.db.Pool.QueryRow(ctx, "select count(*) from message").Scan(&n)
		return n > 3*(w.parameters.Size*wave/kills), "none is", err
	})
}

func killAmongMessages(ctx context.Context, w *world) error {
	workers, err := w.beginMessages(ctx)
	if err == nil {
		err = w.killOnce(ctx, workers, w.write, w.awaitThreaded)
	}
	if err != nil {
		return err
	}
	n := w.parameters.Size
	err = w.await(ctx, "everybody has a ticket that was escalated", func() (bool, string, error) {
		var stands string
		err := w.db.Pool.QueryRow(ctx, `select concat_ws(' ', (select count(*) from message_intake), (select count(*) from ticket where assignee <> ''),
			(select count(*) from outbox where kind = 'Notify'))`).Scan(&stands)
		if err != nil { // the database may be away for a moment
			return false, err.Error(), nil
		}
		return stands == fmt.Sprintf("0 %d %d", n, n), stands, nil
	})
	if err != nil {
		return err
	}
	return w.compareMessages(ctx)
}

// compareMessages wants that each message is in one conversation once, and that everybody has one ticket, which was given and escalated once.
func (w *world) compareMessages(ctx context.Context) error {
	n := w.parameters.Size
	want := []string{
		fmt.Sprintf("messages: %d of %d in %d conversations", 3*n, 3*n, n), fmt.Sprintf("conversations: %d of %d people, each of 3", n, n),
		fmt.Sprintf("tickets of angry: %d of %d", n/2, n/2), fmt.Sprintf("tickets of others: %d of %d", n-n/2, n-n/2),
		fmt.Sprintf("told: %d of %d", n, n), fmt.Sprintf("counted: %d 0 %d %d", n, n, n),
	}
	for _, kind := range []string{"Opened", "Assigned", "Missed", "Escalated"} {
		want = append(want, fmt.Sprintf("told of tickets: %s %d of %d", kind, n, n))
	}
	rows, err := w.db.Pool.Query(ctx, `
		select 'messages: ' || count(*) || ' of ' || count(distinct mention_id) || ' in ' || count(distinct conversation_id) || ' conversations' from message
		union all select 'conversations: ' || count(*) || ' of ' || count(distinct author_id) || ' people, each of ' || messages from conversation
			group by messages
		union all select 'tickets of ' || q.name || ': ' || count(*) || ' of ' || count(distinct t.conversation_id) from ticket t
			join service_queue q on q.id = t.queue_id group by q.name
		union all select 'told of tickets: ' || kind || ' ' || count(*) || ' of ' || count(distinct ticket_id) from ticket_event group by kind
		union all select 'told: ' || count(*) || ' of ' || count(distinct dedup) from outbox
		union all select 'counted: ' || sum(backlog) || ' ' || sum(unassigned) || ' ' || sum(breached) || ' ' || sum(opened) from service_tally`)
	if err != nil {
		return fmt.Errorf("look what became of messages: %w", err)
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
		return fmt.Errorf("look what became of messages: %w", err)
	}
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		return fmt.Errorf("of messages became\n%s\nwhere each was to be threaded and looked after once:\n%s", strings.Join(found, "\n"),
			strings.Join(want, "\n"))
	}
	return nil
}
