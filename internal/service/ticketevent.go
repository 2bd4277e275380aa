package service

import "time"

// TicketEventKind is what happens to a ticket.
type TicketEventKind string

// What happens to tickets.
const (
	TicketReceived TicketEventKind = "Received" // the customer wrote
	// TicketAnswered: an answer has left; At is when it was written, and Then the status that its writer wants. A target that was missed before it
	// left stays missed.
	TicketAnswered TicketEventKind = "Answered"
	// TicketAcknowledged: a program said that the message was received. No clock stands still for that.
	TicketAcknowledged TicketEventKind = "Acknowledged"
	TicketBounced      TicketEventKind = "Bounced" // an answer that had left came back
	TicketNoted        TicketEventKind = "Noted"   // somebody wrote a note for ourselves: no clock stands still
	TicketAssigned     TicketEventKind = "Assigned"
	TicketPrioritised  TicketEventKind = "Prioritised"
	TicketHeld         TicketEventKind = "Held"     // somebody waits for the customer, or for others
	TicketResumed      TicketEventKind = "Resumed"  // somebody goes on, or reopens it
	TicketSolved       TicketEventKind = "Solved"   // somebody says so
	TicketClosed       TicketEventKind = "Closed"   // somebody wants no more of it, as of spam
	TicketTimeCame     TicketEventKind = "TimeCame" // it is so late
)

// TicketEventKinds lists them.
func TicketEventKinds() []TicketEventKind {
	return []TicketEventKind{
		TicketReceived, TicketAnswered, TicketAcknowledged, TicketBounced, TicketNoted, TicketAssigned, TicketPrioritised, TicketHeld, TicketResumed,
		TicketSolved, TicketClosed, TicketTimeCame,
	}
}

// TicketEvent is something that happens to a ticket.
type TicketEvent struct {
	Kind     TicketEventKind
	At       time.Time
	Assignee string   // of TicketAssigned; "" for nobody
	Priority Priority // of TicketPrioritised
	Then     Status   // of TicketAnswered: Open, Pending or Solved; "": Pending, and Solved where it is so already
}

// HappeningKind is what came of an event.
type HappeningKind string

// What can come of events.
const (
	HappenedAnswered  HappeningKind = "Answered"
	HappenedAssigned  HappeningKind = "Assigned" // or given back
	HappenedSolved    HappeningKind = "Solved"
	HappenedReopened  HappeningKind = "Reopened"
	HappenedClosed    HappeningKind = "Closed"
	HappenedWarned    HappeningKind = "Warned"    // a target is about to be missed
	HappenedMissed    HappeningKind = "Missed"    // a target was
	HappenedEscalated HappeningKind = "Escalated" // Step is to be carried out: its priority is the ticket's already, the rest is not
	// HappenedFollowed: the ticket is closed for good. What the customer wrote is to begin a new one that follows it.
	HappenedFollowed HappeningKind = "Followed"
)

// Happening is something that came of an event: to be told, and some to be carried out.
type Happening struct {
	Kind   HappeningKind
	At     time.Time  // when it came to be, or was due, which may be before anybody looked
	Target TargetKind // of HappenedWarned, HappenedMissed and HappenedEscalated
	Step   Escalation // of HappenedEscalated
}

// Next is the ticket after an event, with what came of it. What was due before the event has happened before it, also where no worker was there
// to see it. What cannot be is refused, and the ticket stays as it is; what changes nothing is no error.
func (t Ticket) Next(e TicketEvent, terms *Terms) (Ticket, []Happening, error) {
	n := turn{Ticket: t.own(), terms: terms, at: e.At}
	n.ring(e.Kind == TicketTimeCame)
	n.expire()
	if err := n.apply(e); err != nil {
		return t, nil, err
	}
	return n.Ticket, n.happened, nil
}

// turn is a ticket at an event.
type turn struct {
	Ticket
	terms    *Terms
	at       time.Time
	happened []Happening
}

func (n *turn) tell(kind HappeningKind) {
	n.happened = append(n.happened, Happening{Kind: kind, At: n.at})
}

func (n *turn) apply(e TicketEvent) error {
	switch e.Kind {
	case TicketAcknowledged, TicketNoted, TicketTimeCame:
		return nil
	case TicketReceived:
		n.received()
		return nil
	case TicketClosed:
		n.close()
		return nil
	}
	if n.Status == StatusClosed {
		return refuse(ReasonClosed, "the ticket is closed for good: open another one")
	}
	switch e.Kind {
	case TicketAnswered:
		return n.answered(e.Then)
	case TicketBounced:
		n.bounced()
	case TicketAssigned:
		n.assigned(e.Assignee)
	case TicketPrioritised:
		return n.prioritised(e.Priority)
	case TicketHeld:
		return n.held()
	case TicketResumed:
		n.reopen()
	case TicketSolved:
		n.solve()
	default:
		return refuse(ReasonUnknown, "%q is nothing that happens to a ticket", e.Kind)
	}
	return nil
}

func (n *turn) received() {
	if n.Status == StatusClosed {
		n.tell(HappenedFollowed)
		return
	}
	n.LastInbound = later(n.LastInbound, n.at)
	if n.Status == StatusPending || n.Status == StatusSolved {
		n.reopen()
	}
	n.await(n.at)
}

// answered counts an answer. Where the customer has written after it was, that message nobody has answered yet.
func (n *turn) answered(then Status) error {
	switch {
	case then == "" && n.Status == StatusSolved:
		then = StatusSolved
	case then == "":
		then = StatusPending
	case then != StatusOpen && then != StatusPending && then != StatusSolved:
		return refuse(ReasonUnknown, "an answer leaves a ticket Open, Pending or Solved, not %q", then)
	}
	n.Replies++
	n.tell(HappenedAnswered)
	switch {
	case n.AnsweredAt.IsZero():
		n.AnsweredAt = n.at
		n.First = n.First.Stop(n.at, n.terms.Calendar)
	case n.NextAnswer.Running() && !n.NextAnswer.Since.After(n.at):
		n.endRound()
	}
	if n.LastInbound.After(n.at) {
		n.reopen()
		n.await(n.LastInbound)
		return nil
	}
	switch then {
	case StatusSolved:
		n.solve()
	case StatusOpen:
		n.reopen()
	default:
		n.reopen()
		n.to(StatusPending, n.at, n.terms)
	}
	return nil
}

func (n *turn) endRound() {
	took := n.NextAnswer.Elapsed(n.at, n.terms.Calendar)
	if n.Rounds.Count == 0 {
		n.Second = took
	}
	n.Rounds.Count++
	n.Rounds.Took = n.Rounds.Took.plus(took)
	n.forgetRound()
}

// bounced opens a ticket whose answer nobody has read. That somebody wrote it in time is not taken back.
func (n *turn) bounced() {
	if n.Replies > 0 {
		n.reopen()
		n.await(n.at)
	}
}

func (n *turn) assigned(to string) {
	if n.Assignee == to {
		return
	}
	n.Assignee = to
	n.tell(HappenedAssigned)
	if n.Status == StatusNew && to != "" {
		n.to(StatusOpen, n.at, n.terms)
	}
}

func (n *turn) prioritised(p Priority) error {
	if err := checkPriority("priority", p); err != nil {
		return refuse(ReasonUnknown, "%s", err)
	}
	n.Priority = p
	return nil
}

func (n *turn) held() error {
	if n.Status == StatusSolved {
		return refuse(ReasonSolved, "the ticket is solved: reopen it first")
	}
	n.to(StatusPending, n.at, n.terms)
	return nil
}

// reopen makes a ticket Open that is New, Pending or Solved.
func (n *turn) reopen() {
	if n.Status == StatusSolved {
		n.Reopened++
		n.tell(HappenedReopened)
		if n.AnsweredAt.IsZero() {
			n.await(n.at)
		}
	}
	n.to(StatusOpen, n.at, n.terms)
}

func (n *turn) solve() {
	if !n.Status.Over() {
		n.to(StatusSolved, n.at, n.terms)
		n.tell(HappenedSolved)
	}
}

func (n *turn) close() {
	n.solve()
	if n.Status != StatusClosed {
		n.to(StatusClosed, n.at, n.terms)
		n.tell(HappenedClosed)
	}
}
