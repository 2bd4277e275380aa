package service

import (
	"slices"
	"time"
)

// Status is how a ticket stands.
type Status string

// The statuses of a ticket.
const (
	StatusNew     Status = "New"     // nobody has taken it
	StatusOpen    Status = "Open"    // somebody is to answer it
	StatusPending Status = "Pending" // the customer is, or others; the clock of its resolution stands still
	StatusSolved  Status = "Solved"  // and can be reopened for a while
	StatusClosed  Status = "Closed"  // for good
)

// Statuses lists them in the order of a ticket's life.
func Statuses() []Status {
	return []Status{StatusNew, StatusOpen, StatusPending, StatusSolved, StatusClosed}
}

// Over tells whether the ticket needs nobody any more.
func (s Status) Over() bool { return s == StatusSolved || s == StatusClosed }

// Ticket is how a ticket stands, with its clocks. Begin makes one.
type Ticket struct {
	Status   Status   `json:"status"`
	Priority Priority `json:"priority"`
	Assignee string   `json:"assignee,omitempty"` // an agent or a team; "" for nobody

	OpenedAt    time.Time `json:"openedAt"`
	AnsweredAt  time.Time `json:"answeredAt,omitzero"` // the first time
	SolvedAt    time.Time `json:"solvedAt,omitzero"`   // while it is solved or closed
	ClosedAt    time.Time `json:"closedAt,omitzero"`
	LastInbound time.Time `json:"lastInbound,omitzero"` // when the customer wrote last

	// First runs until the first answer, NextAnswer whenever the customer has written again after one, and Solving while the ticket is New or Open.
	First      Clock `json:"first,omitzero"`
	NextAnswer Clock `json:"nextAnswer,omitzero"`
	Solving    Clock `json:"solving,omitzero"`

	Replies  int `json:"replies,omitempty"`
	Reopened int `json:"reopened,omitempty"`
	// Second is how long the first answer after the first took, and Rounds are all of those.
	Second Spell  `json:"second,omitzero"`
	Rounds Rounds `json:"rounds,omitzero"`
	// Missed counts the targets that were missed.
	Missed Missed `json:"missed,omitzero"`
	// Rung are the marks that were passed, so that each is passed once.
	Rung []string `json:"rung,omitempty"`
}

// Rounds are the answers that a ticket got after the first one.
type Rounds struct {
	Count int   `json:"count,omitempty"`
	Took  Spell `json:"took,omitzero"` // all together
}

// Missed counts targets that were missed. A ticket has one first response and one resolution, so theirs are 0 or 1.
type Missed struct {
	FirstResponse int `json:"firstResponse,omitempty"`
	NextResponse  int `json:"nextResponse,omitempty"`
	Resolution    int `json:"resolution,omitempty"`
}

// Begin opens a ticket for a customer who has waited since a moment. priority "" is that of the queue.
func Begin(priority Priority, since time.Time, terms *Terms) Ticket {
	if priority.Rank() < 0 {
		priority = terms.Priority
	}
	running := Clock{}.Start(since)
	return Ticket{Status: StatusNew, Priority: priority, OpenedAt: since, LastInbound: since, First: running, Solving: running}
}

// clock is the one of a kind of target.
func (t *Ticket) clock(kind TargetKind) *Clock {
	switch kind {
	case FirstResponse:
		return &t.First
	case NextResponse:
		return &t.NextAnswer
	}
	return &t.Solving
}

// own gives the ticket a list of marks that it shares with no other, so that an earlier state stays as it was.
func (t Ticket) own() Ticket {
	t.Rung = slices.Clone(t.Rung)
	return t
}

// to gives a ticket another status, and lets the clocks run that run in it.
func (t *Ticket) to(status Status, at time.Time, terms *Terms) {
	if t.Status == status {
		return
	}
	t.Status = status
	switch status {
	case StatusNew, StatusOpen:
		t.Solving = t.Solving.Start(at)
		t.SolvedAt = time.Time{}
	case StatusPending:
		t.Solving = t.Solving.Stop(at, terms.Calendar)
		t.SolvedAt = time.Time{}
	case StatusSolved, StatusClosed:
		t.Solving = t.Solving.Stop(at, terms.Calendar)
		// Nobody waits for an answer any more, and none was given.
		t.First = t.First.Stop(at, terms.Calendar)
		t.forgetRound()
		if t.SolvedAt.IsZero() {
			t.SolvedAt = at
		}
		if status == StatusClosed {
			t.ClosedAt = at
		}
	}
}

// await lets the clock of the answer run that the customer waits for.
func (t *Ticket) await(since time.Time) {
	if t.AnsweredAt.IsZero() {
		t.First = t.First.Start(since)
		return
	}
	t.NextAnswer = t.NextAnswer.Start(since)
}

// forgetRound ends a wait for a further answer. The next one has warnings and a target of its own.
func (t *Ticket) forgetRound() {
	t.NextAnswer = Clock{}
	t.Rung = slices.DeleteFunc(t.Rung, func(name string) bool { return markOf(name) == NextResponse })
}
