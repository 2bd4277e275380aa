package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// TicketQuery says which tickets are wanted. The zero value of a field asks for nothing, but of Statuses.
type TicketQuery struct {
	Statuses   []service.Status // nil: New, Open and Pending, which need somebody
	Queue      string
	Assignee   string // an agent or a team
	Unassigned bool   // nobody's
	Priorities []service.Priority
	Breached   bool // that missed a target

	Cursor string // Next of the page before
	Limit  int    // of a page; 0 means 50, and more than MaxInboxPage is too many
}

// TicketPage is a page of tickets: those first of which something is due, the soonest first; then the others, the newest first.
type TicketPage struct {
	Tickets []LookedTicket
	Next    string // the cursor of the next page; "" at the end
}

// LookedTicket is a ticket as people are told of it.
type LookedTicket struct {
	service.Ticket

	ID           int64
	PublicID     string
	Number       int64
	Conversation int64  // its number
	Queue        string // "" where it was deleted
	Subject      string // as who opened it says
	Breached     bool   // a target was missed
	Targets      []LookedTarget

	conversationID, queueID int64
}

// LookedTarget is a promise whose clock runs.
type LookedTarget struct {
	Kind    service.TargetKind
	Due     time.Time
	Work    time.Duration // that is left in the hours of the team; negative: that has passed since
	Overdue bool
}

// TicketDetail is a ticket with its history.
type TicketDetail struct {
	LookedTicket
	History []TicketHappening // the oldest first, and no more than the last two hundred
}

// TicketHappening is something that happened to a ticket.
type TicketHappening struct {
	At    time.Time
	Kind  string
	Agent string // who did it; "" where nobody did
	Words string // to whom, which target, which step
}

// historyLength is how much of a ticket's history is told.
const historyLength = 200

// Tickets lists tickets as they stand at a moment. It returns ErrBadCursor, ErrTooLong, and ErrNotFound where the query names what is not there.
func (db *DB) Tickets(ctx context.Context, q TicketQuery, now time.Time) (page TicketPage, err error) {
	limit := inboxLimit(q.Limit)
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		from, err := parseInboxPlace(q.Cursor)
		if err != nil {
			return err
		}
		where, err := ticketConditions(ctx, tx, q)
		if err != nil {
			return err
		}
		found, err := findTickets(ctx, tx, where, from, limit+1)
		if err != nil {
			return err
		}
		if len(found) > limit {
			found = found[:limit]
			page.Next = found[limit-1].String()
		}
		ids := make([]int64, len(found))
		for i, place := range found {
			ids[i] = place.id
		}
		page.Tickets, err = loadTickets(ctx, tx, "t.id = any ($1)", []any{ids}, now)
		slices.SortFunc(page.Tickets, func(a, b LookedTicket) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
		return err
	})
	if err != nil {
		return TicketPage{}, fmt.Errorf("list tickets: %w", err)
	}
	return page, nil
}

func ticketConditions(ctx context.Context, tx pgx.Tx, q TicketQuery) (c conditions, err error) {
	statuses := q.Statuses
	if len(statuses) == 0 {
		statuses = []service.Status{service.StatusNew, service.StatusOpen, service.StatusPending}
	}
	c.and("t.status = any (?)", statuses)
	if !slices.ContainsFunc(statuses, service.Status.Over) {
		c.where = append(c.where, "t.status in ('New', 'Open', 'Pending')") // so that the index of those is used
	}
	if q.Queue != "" {
		queue, err := queueID(ctx, tx, q.Queue)
		if err != nil {
			return c, err
		}
		c.and("t.queue_id = ?", queue)
	}
	if q.Assignee != "" {
		c.and("t.assignee = ?", q.Assignee)
	}
	if q.Unassigned {
		c.where = append(c.where, "t.assignee = ''")
	}
	if len(q.Priorities) > 0 {
		c.and("t.priority = any (?)", q.Priorities)
	}
	if q.Breached {
		c.where = append(c.where, ticketBreached)
	}
	return c, nil
}

// ticketBreached is of a ticket t whether it missed a target.
const ticketBreached = "t.missed_first + t.missed_next + t.missed_solve > 0"

// findTickets gives the places of tickets behind one; nil: from the beginning.
func findTickets(ctx context.Context, tx pgx.Tx, where conditions, from *inboxPlace, limit int) (found []inboxPlace, err error) {
	if from == nil || from.first {
		due := where.clone()
		due.where = append(due.where, "t.due_at is not null")
		if from != nil {
			due.behind("t.due_at, t.id", ">", from.mentionPlace)
		}
		statement := fmt.Sprintf("select t.id, t.due_at from ticket t where %s order by t.due_at, t.id limit %d", due.all(), limit)
		if found, err = inboxPlaces(ctx, tx, true, statement, due.arguments); err != nil {
			return nil, err
		}
		from = nil
	}
	if len(found) == limit {
		return found, nil
	}
	rest := where.clone()
	rest.where = append(rest.where, "t.due_at is null")
	if from != nil {
		rest.and("t.id < ?", from.id)
	}
	statement := fmt.Sprintf("select t.id, t.opened_at from ticket t where %s order by t.id desc limit %d", rest.all(), limit-len(found))
	others, err := inboxPlaces(ctx, tx, false, statement, rest.arguments)
	return append(found, others...), err
}

// loadTickets loads those that a condition holds for, of a ticket t, the oldest first.
func loadTickets(ctx context.Context, tx pgx.Tx, condition string, arguments []any, now time.Time) ([]LookedTicket, error) {
	rows, err := tx.Query(ctx, `
		select t.id, t.public_id::text, t.number, t.conversation_id, c.number, t.queue_id, case when q.dormant_since is null then q.name else '' end,
			t.subject, t.state, `+ticketBreached+`
		from ticket t join conversation c on c.id = t.conversation_id join service_queue q on q.id = t.queue_id
		where `+condition+` order by t.id`, arguments...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t LookedTicket, err error) {
		err = row.Scan(&t.ID, &t.PublicID, &t.Number, &t.conversationID, &t.Conversation, &t.queueID, &t.Queue, &t.Subject, &t.Ticket, &t.Breached)
		return t, err
	})
	if err != nil || len(list) == 0 {
		return list, err
	}
	terms, err := loadQueueTerms(ctx, tx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if known := terms[list[i].queueID]; known != nil {
			list[i].Targets = targetsOf(&list[i].Ticket, known, now)
		}
	}
	return list, nil
}

// loadQueueTerms reads what is promised in each queue in force.
func loadQueueTerms(ctx context.Context, tx pgx.Tx) (map[int64]*service.Terms, error) {
	rows, err := tx.Query(ctx, "select id, definition, coalesce((select time_zone from tenant), 'UTC') from service_queue where dormant_since is null")
	if err != nil {
		return nil, err
	}
	terms := map[int64]*service.Terms{}
	var id int64
	var definition []byte
	var zone string
	_, err = pgx.ForEachRow(rows, []any{&id, &definition, &zone}, func() error {
		if t, err := readTerms(definition, zone); err == nil { // else its trouble is told to its author, and it promises nothing
			terms[id] = t
		}
		return nil
	})
	return terms, err
}

func readTerms(definition []byte, zone string) (*service.Terms, error) {
	var queue service.Queue
	if err := json.Unmarshal(definition, &queue); err != nil {
		return nil, err
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, err
	}
	return queue.Compile(location)
}

// targetsOf are the promises about a ticket whose clocks run, what is due first at the beginning.
func targetsOf(t *service.Ticket, terms *service.Terms, now time.Time) (list []LookedTarget) {
	for _, kind := range []service.TargetKind{service.FirstResponse, service.NextResponse, service.Resolution} {
		due, ok := t.DueAt(kind, terms)
		if !ok {
			continue
		}
		target := LookedTarget{Kind: kind, Due: due, Work: terms.Calendar.Elapsed(now, due), Overdue: !now.Before(due)}
		if target.Overdue {
			target.Work = -terms.Calendar.Elapsed(due, now)
		}
		list = append(list, target)
	}
	slices.SortStableFunc(list, func(a, b LookedTarget) int { return a.Due.Compare(b.Due) })
	return list
}

// Ticket tells of the one that people mean by a public id or a number, as it stands at a moment. It returns ErrNotFound and ErrTooLong.
func (db *DB) Ticket(ctx context.Context, ref string, now time.Time) (d TicketDetail, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		id, err := ticketRef(ctx, tx, ref)
		if err != nil {
			return err
		}
		list, err := loadTickets(ctx, tx, "t.id = $1", []any{id}, now)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return ErrNotFound
		}
		d.LookedTicket = list[0]
		rows, err := tx.Query(ctx, `
			select at, kind, agent, detail from (select * from ticket_event where ticket_id = $1 order by id desc limit $2) e order by id`, id, historyLength)
		if err != nil {
			return err
		}
		d.History, err = pgx.CollectRows(rows, pgx.RowToStructByPos[TicketHappening])
		return err
	})
	if err != nil {
		return TicketDetail{}, fmt.Errorf("read the ticket: %w", err)
	}
	return d, nil
}
