package service

import "time"

// Took is how long something took, in whole seconds.
type Took struct {
	Business int64 `json:"business"` // in the hours in which the team works
	Calendar int64 `json:"calendar"`
}

// Measure is what is reported of a ticket.
type Measure struct {
	// FirstResponse and SecondResponse are nil where there was none, Resolution while it is not solved. A resolution is without the time in which
	// the ticket was Pending or Solved.
	FirstResponse  *Took `json:"firstResponse,omitempty"`
	SecondResponse *Took `json:"secondResponse,omitempty"`
	Resolution     *Took `json:"resolution,omitempty"`
	// NextResponses are all answers after the first for which the customer waited.
	NextResponses Tally  `json:"nextResponses"`
	Replies       int64  `json:"replies"`
	Reopened      int64  `json:"reopened"`
	Missed        Missed `json:"missed"`
}

// Tally is how often something took how long, all together.
type Tally struct {
	Count int64 `json:"count"`
	Took
}

// Mean is how long it took, in seconds; false where it never did.
func (t Tally) Mean() (business, calendar float64, ok bool) {
	if t.Count == 0 {
		return 0, 0, false
	}
	n := float64(t.Count)
	return float64(t.Business) / n, float64(t.Calendar) / n, true
}

func (t Tally) plus(o Tally) Tally {
	return Tally{Count: t.Count + o.Count, Took: Took{Business: t.Business + o.Business, Calendar: t.Calendar + o.Calendar}}
}

func (s Spell) took() Took {
	return Took{Business: int64(s.Business / time.Second), Calendar: int64(s.Calendar / time.Second)}
}

// Measure is what is to be reported of the ticket as it stands. A target that was missed is counted once TicketTimeCame or a later event has told so.
func (t Ticket) Measure() Measure {
	m := Measure{
		NextResponses: Tally{Count: int64(t.Rounds.Count), Took: t.Rounds.Took.took()},
		Replies:       int64(t.Replies), Reopened: int64(t.Reopened), Missed: t.Missed,
	}
	if !t.AnsweredAt.IsZero() {
		took := t.First.Spent.took()
		m.FirstResponse = &took
	}
	if t.Rounds.Count > 0 {
		took := t.Second.took()
		m.SecondResponse = &took
	}
	if t.Status.Over() {
		took := t.Solving.Spent.took()
		m.Resolution = &took
	}
	return m
}

// Total is the sum of what is reported of many tickets. Totals of parts add up to that of the whole, in any order.
type Total struct {
	Tickets         int64  `json:"tickets"`
	FirstResponses  Tally  `json:"firstResponses"`
	SecondResponses Tally  `json:"secondResponses"`
	NextResponses   Tally  `json:"nextResponses"`
	Resolutions     Tally  `json:"resolutions"`
	Replies         int64  `json:"replies"`
	Reopenings      int64  `json:"reopenings"`
	Reopened        int64  `json:"reopened"` // tickets that were, however often
	Missed          Missed `json:"missed"`
	Breached        int64  `json:"breached"` // tickets that missed any target
}

// Add counts a ticket in.
func (t Total) Add(m Measure) Total {
	one := Total{Tickets: 1, NextResponses: m.NextResponses, Replies: m.Replies, Reopenings: m.Reopened, Missed: m.Missed}
	one.FirstResponses, one.SecondResponses, one.Resolutions = tally(m.FirstResponse), tally(m.SecondResponse), tally(m.Resolution)
	if m.Reopened > 0 {
		one.Reopened = 1
	}
	if m.Missed != (Missed{}) {
		one.Breached = 1
	}
	return t.Plus(one)
}

func tally(t *Took) Tally {
	if t == nil {
		return Tally{}
	}
	return Tally{Count: 1, Took: *t}
}

// Plus adds two totals up.
func (t Total) Plus(o Total) Total {
	return Total{
		Tickets:         t.Tickets + o.Tickets,
		FirstResponses:  t.FirstResponses.plus(o.FirstResponses),
		SecondResponses: t.SecondResponses.plus(o.SecondResponses),
		NextResponses:   t.NextResponses.plus(o.NextResponses),
		Resolutions:     t.Resolutions.plus(o.Resolutions),
		Replies:         t.Replies + o.Replies,
		Reopenings:      t.Reopenings + o.Reopenings,
		Reopened:        t.Reopened + o.Reopened,
		Missed: Missed{
			FirstResponse: t.Missed.FirstResponse + o.Missed.FirstResponse,
			NextResponse:  t.Missed.NextResponse + o.Missed.NextResponse,
			Resolution:    t.Missed.Resolution + o.Missed.Resolution,
		},
		Breached: t.Breached + o.Breached,
	}
}
