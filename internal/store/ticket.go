package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// ticketWish is a ticket that is to be there.
type ticketWish struct {
	Conversation             int64
	Queue, Priority, Subject string // Priority "": the queue's
	Entry                    int64  // of the rule that wishes it; 0 for none
}

// assignWish is who is to have a ticket.
type assignWish struct {
	Ticket int64
	To     string // an agent or a team; "" for nobody
}

// openTickets opens tickets, one that is not closed for each conversation and queue: who wishes a second gets the first. It returns the ticket of each
// wish, and why there is none, in words that name nobody.
func openTickets(ctx context.Context, tx pgx.Tx, wishes []ticketWish) (tickets []int64, refused []error, err error) {
	tickets, refused = make([]int64, len(wishes)), make([]error, len(wishes))
	if len(wishes) == 0 {
		return tickets, refused, nil
	}
	ids := make([]int64, len(wishes))
	for i, w := range wishes {
		ids[i] = w.Conversation
	}
	d, err := openDesk(ctx, tx, ids)
	if err != nil {
		return nil, nil, err
	}
	opened := make([]*ticketFile, len(wishes))
	for i, w := range wishes {
		c, queue := d.cases[w.Conversation], d.book.byName[w.Queue]
		switch {
		case c == nil:
			refused[i] = errors.New("the conversation is not there any more")
		case queue == nil:
			refused[i] = &MissingError{"queue", w.Queue}
		default:
			opened[i] = d.open(c, queue, w, Actor{})
		}
	}
	if err := d.save(ctx); err != nil {
		return nil, nil, err
	}
	for i, t := range opened {
		if t != nil {
			tickets[i] = t.id
		}
	}
	return tickets, refused, nil
}

// open opens a ticket, or finds the one that there is.
func (d *serviceDesk) open(c *caseFile, queue *queueFile, w ticketWish, by Actor) *ticketFile {
	for _, t := range c.tickets {
		if t.queue.id == queue.id && t.state.Status != service.StatusClosed {
			return t
		}
	}
	since := c.state.WaitingSince
	if since.IsZero() {
		since = d.now
	}
	t := &ticketFile{queue: queue, subject: w.Subject, entry: w.Entry, state: service.Begin(service.Priority(w.Priority), since, queue.terms)}
	t.follows = c.closed().id
	t.tell("Opened", d.now, by, "")
	c.tickets = append(c.tickets, t)
	return t
}

// assignTickets gives tickets to agents or teams. It returns for each wish why it cannot be; nil where it is done.
func assignTickets(ctx context.Context, tx pgx.Tx, wishes []assignWish) ([]error, error) {
	refused := make([]error, len(wishes))
	if len(wishes) == 0 {
		return refused, nil
	}
	ids := make([]int64, len(wishes))
	for i, w := range wishes {
		ids[i] = w.Ticket
	}
	rows, err := tx.Query(ctx, "select conversation_id from ticket where id = any ($1)", ids)
	if err != nil {
		return nil, fmt.Errorf("look for tickets: %w", err)
	}
	conversations, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for tickets: %w", err)
	}
	d, err := openDesk(ctx, tx, conversations)
	if err != nil {
		return nil, err
	}
	for i, w := range wishes {
		t := d.ticket(w.Ticket)
		if t == nil {
			refused[i] = turnDown(service.ReasonClosed, "the ticket is closed for good: open another one")
			continue
		}
		err := d.onTicket(t, service.TicketEvent{Kind: service.TicketAssigned, At: d.now, Assignee: w.To}, Actor{})
		var no *service.Refusal
		switch {
		case errors.As(err, &no):
			refused[i] = err
		case err != nil:
			return nil, err
		}
	}
	return refused, d.save(ctx)
}

// ticket finds a ticket that is not closed for good.
func (d *serviceDesk) ticket(id int64) *ticketFile {
	for _, c := range d.cases {
		for _, t := range c.tickets {
			if t.id == id {
				return t
			}
		}
	}
	return nil
}

// OpenTicket opens a ticket for a conversation, which is named by its public id or its number, and returns its number; of a conversation that has one
// in that queue which is not closed, that. priority "" is the queue's. It returns a *MissingError for a queue that is not declared.
func (db *DB) OpenTicket(ctx context.Context, ref string, by Actor, queue string, priority service.Priority, subject string) (number int64, err error) {
	switch {
	case priority != "" && priority.Rank() < 0:
		return 0, turnDown(service.ReasonUnknown, fmt.Sprintf("%q is no priority: name Low, Normal, High or Urgent", string(priority)))
	case len(subject) > maxSubject:
		return 0, turnDown(service.ReasonUnknown, fmt.Sprintf("a subject may have %d bytes: this one has more", maxSubject))
	}
	var t *ticketFile
	err = db.actOn(ctx, "open a ticket for", ref, func(d *serviceDesk, c *caseFile) error {
		q := d.book.byName[queue]
		if q == nil {
			return &MissingError{"queue", queue}
		}
		t = d.open(c, q, ticketWish{Priority: string(priority), Subject: subject}, by)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return t.number, nil
}

// maxSubject bounds the subject of a ticket, in bytes.
const maxSubject = 300

// onTheTicket has something happen to a ticket that is named by its public id or its number.
func (db *DB) onTheTicket(ctx context.Context, what, ref string, by Actor, e service.TicketEvent) error {
	var id int64
	find := func(ctx context.Context, tx pgx.Tx, ref string) (conversation int64, err error) {
		if id, err = ticketRef(ctx, tx, ref); err != nil {
			return 0, err
		}
		err = tx.QueryRow(ctx, "select conversation_id from ticket where id = $1", id).Scan(&conversation)
		return conversation, unknown(err)
	}
	return db.act(ctx, what+" ticket", ref, find, func(d *serviceDesk, _ *caseFile) error {
		t := d.ticket(id)
		if t == nil {
			if e.Kind == service.TicketClosed {
				return nil // it is
			}
			return turnDown(service.ReasonClosed, "the ticket is closed for good: open another one")
		}
		e.At = d.now
		t.passedBy = ""
		return d.onTicket(t, e, by)
	})
}

// AssignTicket gives a ticket to an agent or a team, or back: to "".
func (db *DB) AssignTicket(ctx context.Context, ref string, by Actor, to string) error {
	if len(to) > maxAttempt {
		return turnDown(service.ReasonUnknown, fmt.Sprintf("the name of an agent may have %d bytes: this one has more", maxAttempt))
	}
	return db.onTheTicket(ctx, "assign", ref, by, service.TicketEvent{Kind: service.TicketAssigned, Assignee: to})
}

// PrioritiseTicket says how urgent a ticket is.
func (db *DB) PrioritiseTicket(ctx context.Context, ref string, by Actor, p service.Priority) error {
	return db.onTheTicket(ctx, "prioritise", ref, by, service.TicketEvent{Kind: service.TicketPrioritised, Priority: cmp.Or(p, service.Normal)})
}

// HoldTicket has a ticket wait for the customer, or for others.
func (db *DB) HoldTicket(ctx context.Context, ref string, by Actor) error {
	return db.onTheTicket(ctx, "hold", ref, by, service.TicketEvent{Kind: service.TicketHeld})
}

// SolveTicket says that a ticket is solved. It can be reopened for a while.
func (db *DB) SolveTicket(ctx context.Context, ref string, by Actor) error {
	return db.onTheTicket(ctx, "solve", ref, by, service.TicketEvent{Kind: service.TicketSolved})
}

// ReopenTicket has a ticket go on that waits or is solved.
func (db *DB) ReopenTicket(ctx context.Context, ref string, by Actor) error {
	return db.onTheTicket(ctx, "reopen", ref, by, service.TicketEvent{Kind: service.TicketResumed})
}

// CloseTicket closes a ticket for good, as one of spam.
func (db *DB) CloseTicket(ctx context.Context, ref string, by Actor) error {
	return db.onTheTicket(ctx, "close", ref, by, service.TicketEvent{Kind: service.TicketClosed})
}
