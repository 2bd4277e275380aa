package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// serviceDesk is conversations that a transaction has locked, with their tickets that are not closed for good. What happens to them changes the
// cases in memory; save writes what has changed, set by set. Whoever changes a ticket or a message holds its conversation's lock.
type serviceDesk struct {
	tx     pgx.Tx
	now    time.Time
	bounds service.Bounds
	book   *queueBook
	cases  map[int64]*caseFile
}

// caseFile is a conversation with its tickets.
type caseFile struct {
	id       int64 // negative: it is still to be made
	publicID string
	number   int64
	network  string
	medium   service.Medium
	source   int64
	author   int64 // 0 for somebody whom the network does not name
	follows  int64
	state    service.Conversation
	desk     service.Desk
	messages int
	lastAt   time.Time

	tickets    []*ticketFile
	lastClosed closedTicket
	changed    bool
	deeds      []deed
}

// closedTicket is the last ticket of a conversation that was closed for good.
type closedTicket struct{ id, queue int64 }

// ticketFile is a ticket that is not closed for good, or has just been.
type ticketFile struct {
	id       int64 // 0: it is still to be made
	publicID string
	number   int64
	queue    *queueFile
	follows  int64
	subject  string
	entry    int64
	passedBy string
	wake     *time.Time // when something was to happen by time, as it was read
	state    service.Ticket
	changed  bool
	deeds    []deed
	notices  []ticketNotice
}

// deed is something that happened, as conversation_event and ticket_event tell it.
type deed struct {
	kind   string
	at     time.Time
	by     Actor
	detail string
}

func (c *caseFile) tell(kind string, at time.Time, by Actor) {
	c.deeds = append(c.deeds, deed{kind: kind, at: at, by: by})
	c.changed = true
}

func (t *ticketFile) tell(kind string, at time.Time, by Actor, detail string) {
	t.deeds = append(t.deeds, deed{kind, at, by, detail})
	t.changed = true
}

// openDesk locks conversations, in the order of their ids, and reads them. One that is not there any more is left out.
func openDesk(ctx context.Context, tx pgx.Tx, ids []int64) (*serviceDesk, error) {
	d := &serviceDesk{tx: tx, bounds: service.DefaultBounds(), cases: map[int64]*caseFile{}}
	var err error
	if d.now, err = databaseNow(ctx, tx); err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		return d, d.load(ctx, ids)
	}
	d.book, err = loadQueueBook(ctx, tx)
	return d, err
}

// load locks and reads more conversations.
func (d *serviceDesk) load(ctx context.Context, ids []int64) error {
	ids = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(ids))), func(id int64) bool { return d.cases[id] != nil })
	if len(ids) == 0 {
		return nil
	}
	// The lock is waited for before anything is read.
	if _, err := d.tx.Exec(ctx, "select from conversation where id = any ($1) order by id for update", ids); err != nil {
		return fmt.Errorf("lock conversations: %w", err)
	}
	// Who held the lock may have opened a ticket in a queue that was declared meanwhile.
	var err error
	if d.book, err = loadQueueBook(ctx, d.tx); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		select c.id, c.public_id::text, c.number, c.network, c.medium, c.source_id, coalesce(c.author_id, 0), c.state, c.waiting_since, c.snoozed_until,
			c.closed_at, c.last_inbound, c.last_outbound, c.reopened, c.version, c.version_in, c.version_out, c.claimed_by, c.claimed_until, c.messages,
			c.last_at, coalesce(l.id, 0), coalesce(l.queue_id, 0)
		from conversation c left join lateral (select t.id, t.queue_id from ticket t where t.conversation_id = c.id and t.status = 'Closed'
			order by t.id desc limit 1) l on true
		where c.id = any ($1)`, ids).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, scanCase)
		for _, c := range list {
			d.cases[c.id] = c
		}
		return err
	})
	batch.Queue(`
		select t.conversation_id, t.id, t.public_id::text, t.number, t.queue_id, t.subject, t.passed_by, t.state, t.wake_at from ticket t
		where t.conversation_id = any ($1) and t.status <> 'Closed' order by t.id`, ids).Query(d.readTickets)
	if err := d.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("read conversations: %w", err)
	}
	return nil
}

func scanCase(row pgx.CollectableRow) (*caseFile, error) {
	c := &caseFile{}
	var waiting, snoozed, closed, inbound, outbound, claimed *time.Time
	err := row.Scan(&c.id, &c.publicID, &c.number, &c.network, &c.medium, &c.source, &c.author, &c.state.State, &waiting, &snoozed, &closed,
		&inbound, &outbound, &c.state.Reopened, &c.desk.Version, &c.desk.In, &c.desk.Out, &c.desk.Claim.Agent, &claimed, &c.messages, &c.lastAt,
		&c.lastClosed.id, &c.lastClosed.queue)
	c.state.WaitingSince, c.state.SnoozedUntil, c.state.ClosedAt = timeOf(waiting), timeOf(snoozed), timeOf(closed)
	c.state.LastInbound, c.state.LastOutbound, c.desk.Claim.Until = timeOf(inbound), timeOf(outbound), timeOf(claimed)
	return c, err
}

func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

func (d *serviceDesk) readTickets(rows pgx.Rows) error {
	var conversation, id, number, queue int64
	var publicID, subject, passedBy string
	var state []byte
	var wake *time.Time
	_, err := pgx.ForEachRow(rows, []any{&conversation, &id, &publicID, &number, &queue, &subject, &passedBy, &state, &wake}, func() error {
		t := &ticketFile{id: id, publicID: publicID, number: number, queue: d.book.byID[queue], subject: subject, passedBy: passedBy, wake: wake}
		if err := json.Unmarshal(state, &t.state); err != nil {
			return fmt.Errorf("read ticket %d: %w", number, err)
		}
		if c := d.cases[conversation]; c != nil {
			c.tickets = append(c.tickets, t)
		}
		return nil
	})
	return err
}

// converse has something happen to a conversation.
func (d *serviceDesk) converse(c *caseFile, e service.ConversationEvent, by Actor) error {
	next, err := c.state.Next(e, d.bounds)
	if err != nil {
		return err
	}
	was := c.state
	c.state = next
	if next == was {
		return nil
	}
	c.changed = true
	at := e.At
	if next.State == service.ConversationClosed {
		at = next.ClosedAt
	}
	if kind := conversationDeed(was.State, next.State); kind != "" {
		c.tell(kind, at, by)
	}
	return nil
}

// conversationDeed tells what a change of state is called; "" where messages tell it.
func conversationDeed(was, is service.ConversationState) string {
	switch {
	case was == is:
		return ""
	case was == "":
		return "Opened"
	case is == service.ConversationClosed:
		return "Closed"
	case was == service.ConversationClosed:
		return "Reopened"
	case is == service.ConversationSnoozed:
		return "Snoozed"
	case was == service.ConversationSnoozed:
		return "Woken"
	}
	return ""
}

// onTickets has something happen to all tickets of a conversation.
func (d *serviceDesk) onTickets(c *caseFile, e service.TicketEvent, by Actor) error {
	for _, t := range c.tickets {
		if err := d.onTicket(t, e, by); err != nil {
			return err
		}
	}
	return nil
}

// onTicket has something happen to a ticket. What is to be carried out because of it is.
func (d *serviceDesk) onTicket(t *ticketFile, e service.TicketEvent, by Actor) error {
	was := t.state
	next, happened, err := t.state.Next(e, t.queue.terms)
	if err != nil {
		return err
	}
	t.state = next
	t.changed = t.changed || e.Kind == service.TicketTimeCame || len(happened) > 0 || !sameTicket(was, next)
	switch {
	case e.Kind == service.TicketPrioritised && was.Priority != next.Priority:
		t.tell("Prioritised", e.At, by, string(next.Priority))
	case e.Kind == service.TicketHeld && was.Status != next.Status:
		t.tell("Held", e.At, by, "")
	}
	var steps []service.Happening
	for _, h := range happened {
		switch h.Kind {
		case service.HappenedFollowed: // it is closed, and such are not read
		case service.HappenedAssigned:
			t.tell(string(h.Kind), h.At, by, next.Assignee)
		case service.HappenedWarned, service.HappenedMissed:
			t.tell(string(h.Kind), h.At, Actor{}, string(h.Target))
		case service.HappenedEscalated:
			t.tell(string(h.Kind), h.At, Actor{}, h.Step.Name)
			steps = append(steps, h)
		default:
			t.tell(string(h.Kind), h.At, by, "")
		}
	}
	return d.escalate(t, steps)
}

func sameTicket(a, b service.Ticket) bool {
	return string(mustJSON(a)) == string(mustJSON(b))
}

// save writes what has changed. Its statements are as many whatever has.
func (d *serviceDesk) save(ctx context.Context) error {
	var conversations []*caseFile
	var tickets []*ticketFile
	for _, id := range slices.Sorted(maps.Keys(d.cases)) {
		c := d.cases[id]
		if c.changed {
			conversations = append(conversations, c)
		}
		for _, t := range c.tickets {
			if t.changed {
				tickets = append(tickets, t)
			}
		}
	}
	if err := d.saveConversations(ctx, conversations); err != nil {
		return fmt.Errorf("write conversations: %w", err)
	}
	if err := d.saveTickets(ctx, tickets); err != nil {
		return fmt.Errorf("write tickets: %w", err)
	}
	if err := d.notify(ctx); err != nil {
		return err
	}
	for _, c := range conversations {
		c.changed, c.deeds = false, nil
	}
	for _, t := range tickets {
		t.changed, t.deeds = false, nil
	}
	return nil
}
