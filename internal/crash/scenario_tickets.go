package crash

import (
	"context"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var ticketScenarios = []Scenario{
	{
		Name: "rules-tickets", run: killAmongTickets, Allows: Allowance{WorkerDeaths: kills},
		Done: "two workers send and answer what everybody posts: a rule opens a ticket, replies and waits until another one has given the ticket to " +
			"somebody; in three waves one of them is killed (kill -9) and another takes its place, and PostgreSQL is ended in immediate mode",
	},
}

// beginTickets declares rules by which everybody who posts something gets a ticket and an answer, and begins as others do. Its answers leave over a
// channel that takes none: they are counted in the outbox.
func (w *world) beginTickets(ctx context.Context) ([]*process, error) {
	for _, statement := range []string{
		"insert into channel (name, type, settings, suspended) values ('nowhere', 'Webhook', '{}', true)",
		`insert into social_source (name, type, settings, poll_every, keep, suspended, reply_channel)
			values ('posts', 'Webhook', '{}', '1 minute', '400 days', true, 'nowhere')`,
		`insert into author (key, network, native_id, handle, identifier_id)
			select decode(md5('a' || c.id), 'hex'), 'mastodon', 'a' || c.id, 'p' || c.id || '@social.example', i.id
			from contact c join identifier i on i.type = 'external:shop' and i.value = 'C' || c.id`,
	} {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("make the world of those who post: %w", err)
		}
	}
	if _, _, err := w.db.SaveQueue(ctx, store.QueueDefinition{Name: "care", Queue: service.Queue{Hours: service.Hours{TimeZone: "UTC"}}}); err != nil {
		return nil, err
	}
	posted := automate.Rule{On: automate.Trigger{Event: automate.MentionReceived}, Steps: []automate.Step{
		{Name: "open", OpenTicket: &automate.OpenTicket{Queue: "care"}},
		{Name: "say", Reply: &automate.Reply{Template: campaignName}},
		{Name: "given", Wait: &automate.Wait{Event: automate.TicketAssigned, For: automate.Duration(time.Hour), Timeout: "late"}, Next: "done"},
		{Name: "late", Tag: "late"},
		{Name: "done", Tag: "done"},
	}}
	opened := automate.Rule{On: automate.Trigger{Event: automate.TicketOpened, Queue: "care"}, Key: "ticket.number", Steps: []automate.Step{
		{Name: "moment", Wait: &automate.Wait{For: automate.Duration(time.Second)}},
		{Name: "give", Assign: &automate.Assign{To: "ana"}},
	}}
	if err := w.traceTags(ctx); err != nil {
		return nil, err
	}
	for name, r := range map[string]automate.Rule{"posted": posted, "opened": opened} {
		if _, _, err := w.db.SaveRule(ctx, store.RuleDefinition{Name: name, Rule: r}); err != nil {
			return nil, err
		}
	}
	return w.begin(ctx, 2)
}

// posts has the people from one number to another write something: a few first, so that the others are at it when somebody is killed.
func (w *world) posts(ctx context.Context, first, last int) error {
	const few = 20
	if err := w.post(ctx, first, first+few-1); err != nil {
		return err
	}
	if err := w.awaitEntered(ctx, (first-1)*kills/w.parameters.Size); err != nil {
		return err
	}
	return w.post(ctx, first+few, last)
}

func (w *world) post(ctx context.Context, first, last int) error {
	_, err := w.db.Pool.Exec(ctx, `insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, text, label, polarity,
			confidence, engine)
		select decode(md5('p' || c.id), 'hex'), 'mastodon', 'p' || c.id, s.id, a.id, 'Post', 'Public', clock_timestamp(), 'late again', 'negative', -1,
			1, 'test'
		from contact c join author a on a.native_id = 'a' || c.id cross join social_source s where c.id between $1 and $2`, first, last)
	if err != nil {
		return fmt.Errorf("have people post something: %w", err)
	}
	return nil
}

func killAmongTickets(ctx context.Context, w *world) error {
	workers, err := w.beginTickets(ctx)
	if err == nil {
		err = w.killAmong(ctx, workers, w.posts)
	}
	if err != nil {
		return err
	}
	n := w.parameters.Size
	return w.compareEntries(ctx, `
		select 'tickets: ' || count(*) || ' of ' || count(distinct t.conversation_id) || ' conversations and ' || count(distinct c.author_id) || ' people, for '
			|| min(assignee) || ' to ' || max(assignee) from ticket t join conversation c on c.id = t.conversation_id
		union all select 'told of tickets: ' || kind || ' ' || count(*) || ' of ' || count(distinct ticket_id) from ticket_event group by kind
		union all select 'answers: ' || count(*) || ' of ' || count(distinct answers) || ' posts' from message where direction = 'Out'
		union all select 'told: ' || count(*) || ' of ' || count(distinct entry_id) from outbox`,
		fmt.Sprintf("entries of posted: %d of %d people", n, n), fmt.Sprintf("entries of opened: %d of %d people", n, n),
		fmt.Sprintf("tickets: %d of %d conversations and %d people, for ana to ana", n, n, n), fmt.Sprintf("told of tickets: Opened %d of %d", n, n),
		fmt.Sprintf("told of tickets: Assigned %d of %d", n, n), fmt.Sprintf("answers: %d of %d posts", n, n), fmt.Sprintf("told: %d of %d", n, n),
		fmt.Sprintf("tagged {done}: %d of %d", n, n), fmt.Sprintf("counted: 0 0 %d", 2*n), "in rules: 0",
	)
}
