package automate

import (
	"maps"
	"time"

	"github.com/tertulia-crm/tertulia/internal/expr"
)

// beginCase gives a trial the conversation and the ticket that its event brings. What is not told of them is as the event says.
func (r *trial) beginCase() {
	e := r.plan.Event
	if e.Case.Conversation {
		r.conversation = merged(newConversation(r.sample.At), r.sample.Conversation)
		if e.Subject.Name == ConversationVariable {
			r.conversation = merged(r.conversation, implied[e.Name], r.sample.Subject)
		}
	}
	if e.Case.Ticket {
		r.ticket = merged(newTicket(r.sample.At), implied[e.Name], r.sample.Subject)
	}
}

// tellCase gives expressions the conversation and the ticket.
func (r *trial) tellCase(subjects map[string]expr.Facts) {
	if r.conversation != nil {
		subjects[ConversationVariable] = r.conversation
	}
	if r.ticket != nil {
		subjects[TicketVariable] = r.ticket
	}
}

func newConversation(at time.Time) expr.Facts {
	return expr.Facts{"status": expr.Text("Open"), "messages": expr.Integer(1), "waiting_since": expr.Instant(at)}
}

func newTicket(at time.Time) expr.Facts {
	return expr.Facts{
		"status": expr.Text("New"), "opened_at": expr.Instant(at), "answered": expr.Boolean(false), "resolved": expr.Boolean(false),
		"breached": expr.Boolean(false),
	}
}

// implied is what an event says by itself of the conversation or the ticket that it is about.
var implied = map[string]expr.Facts{
	ConversationClosed: {"status": expr.Text("Closed")},
	ConversationOpened: {"status": expr.Text("Open")},
	TicketAnswered:     {"status": expr.Text("Pending"), "answered": expr.Boolean(true)},
	TicketAssigned:     {"status": expr.Text("Open")},
	TicketBreached:     {"breached": expr.Boolean(true)},
	TicketClosed:       {"status": expr.Text("Closed")},
	TicketResolved:     {"status": expr.Text("Solved"), "resolved": expr.Boolean(true)},
}

func merged(list ...expr.Facts) expr.Facts {
	all := expr.Facts{}
	for _, facts := range list {
		maps.Copy(all, facts)
	}
	return all
}

// happen has the conversation and the ticket show what has happened to them by now, whether it was awaited or not.
func (r *trial) happen(now time.Time) {
	for ; r.told < len(r.sample.Later) && !r.sample.Later[r.told].At.After(now); r.told++ {
		e := r.sample.Later[r.told]
		event, _ := FindEvent(r.plan.schema, e.Event)
		switch {
		case event.Subject.Name == TicketVariable && r.ticket != nil:
			r.ticket = merged(r.ticket, implied[e.Event], e.Facts)
		case event.Subject.Name == ConversationVariable && r.conversation != nil:
			r.conversation = merged(r.conversation, implied[e.Event], e.Facts)
		case e.Event == MessageReceived && r.conversation != nil:
			r.conversation = merged(r.conversation, expr.Facts{"status": expr.Text("Open"), "waiting_since": expr.Instant(e.At)})
		}
	}
}

// applyCase lets the conditions behind a step see what it does to the conversation and the ticket. A reply by itself answers no ticket: it says
// that somebody will.
func (r *trial) applyCase(step Step, now time.Time) {
	if r.conversation == nil && step.brings().Conversation {
		r.conversation = newConversation(now)
		if network, known := r.sample.Subject["network"]; known {
			r.conversation["network"] = network
		}
	}
	switch o := step.OpenTicket; {
	case o != nil && r.ticket == nil:
		r.ticket = newTicket(now)
		r.ticket["queue"] = expr.Text(o.Queue)
		if o.Priority != "" {
			r.ticket["priority"] = expr.Text(o.Priority)
		}
	case step.Assign != nil && r.ticket != nil:
		r.ticket = merged(r.ticket, expr.Facts{"assignee": expr.Text(step.Assign.To), "status": expr.Text("Open")})
	}
}
