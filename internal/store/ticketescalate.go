package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// TicketNoticeType tells what queues post about tickets from what else an endpoint may get.
const TicketNoticeType = "ticket.escalated"

// escalate carries out steps that came, but for their priorities, which the ticket has already. A queue that is suspended or deleted does nothing.
func (d *serviceDesk) escalate(t *ticketFile, steps []service.Happening) error {
	if !t.queue.acts() {
		return nil
	}
	for _, h := range steps {
		switch {
		case h.Step.Assign != "":
			if err := d.onTicket(t, service.TicketEvent{Kind: service.TicketAssigned, At: d.now, Assignee: h.Step.Assign}, Actor{}); err != nil {
				return err
			}
		case h.Step.Route && t.state.Assignee != "" && t.queue.routes():
			// Routing finds another one: who had it until now is passed over.
			t.passedBy = t.state.Assignee
			if err := d.onTicket(t, service.TicketEvent{Kind: service.TicketAssigned, At: d.now}, Actor{}); err != nil {
				return err
			}
		}
		if h.Step.Notify != "" {
			t.notices = append(t.notices, ticketNotice{channel: h.Step.Notify, happening: h})
		}
	}
	return nil
}

// ticketNotice is something to be posted about a ticket.
type ticketNotice struct {
	channel   string
	happening service.Happening
}

// ticketFacts is what a notice tells of a ticket: nothing of whom it is with.
type ticketFacts struct {
	ID         string     `json:"id"`
	Number     int64      `json:"number"`
	Queue      string     `json:"queue"`
	Priority   string     `json:"priority"`
	Status     string     `json:"status"`
	Assignee   string     `json:"assignee,omitempty"`
	Target     string     `json:"target"`
	Due        *time.Time `json:"due,omitempty"`
	OpenedAt   time.Time  `json:"openedAt"`
	Unanswered bool       `json:"unanswered"`
}

// notify has posted what escalations tell, once for each: a step that comes again for the same ticket is another wait of the customer.
func (d *serviceDesk) notify(ctx context.Context) error {
	var list []outgoing
	for _, c := range d.cases {
		for _, t := range c.tickets {
			for _, n := range t.notices {
				list = append(list, d.posting(t, n))
			}
			t.notices = nil
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := enqueueOutbox(ctx, d.tx, d.now, list); err != nil {
		return fmt.Errorf("tell of escalations: %w", err)
	}
	return nil
}

func (d *serviceDesk) posting(t *ticketFile, n ticketNotice) outgoing {
	s, step := t.state, n.happening.Step
	facts := ticketFacts{
		ID: t.publicID, Number: t.number, Queue: t.queue.name, Priority: string(s.Priority), Status: string(s.Status), Assignee: s.Assignee,
		Target: string(step.Target), OpenedAt: s.OpenedAt, Unanswered: s.AnsweredAt.IsZero(),
	}
	if at, ok := s.DueAt(step.Target, t.queue.terms); ok {
		facts.Due = &at
	}
	id := "ticket/" + t.publicID + "/" + step.Name + "/" + strconv.FormatInt(n.happening.At.UnixMicro(), 36)
	notice := Notice{
		Type: TicketNoticeType, ID: id, At: d.now, Step: step.Name,
		Event: NoticeOf{Name: TicketNoticeType, At: n.happening.At, Subject: "ticket", Facts: mustJSON(facts)},
	}
	return outgoing{kind: NotifyKind, channel: n.channel, dedup: id, step: step.Name, body: queuedNotice{Notice: notice}}
}
