package automate

import "time"

// Status is how an entry stands.
type Status string

// The statuses of an entry.
const (
	Active    Status = "Active"    // its step is to be carried out, as soon as somebody does
	Waiting   Status = "Waiting"   // at a wait
	Ended     Status = "Ended"     // it went all the way
	Exited    Status = "Exited"    // it was over before the end, for a reason
	Stuck     Status = "Stuck"     // it cannot go on: a person retries or ends it
	Suspended Status = "Suspended" // with its rule
)

// Over tells whether nothing comes behind a status.
func (s Status) Over() bool { return s == Ended || s == Exited }

// State is where an entry stands in its rule. It can be stored after any call of Plan.Next, and another goes on from it.
type State struct {
	Step   string `json:"step"` // at which it is, or with which it was over
	Status Status `json:"status"`
	// Turn counts the steps that the entry has entered; the first is 1. A step that is entered again in a loop has another turn, so an entry
	// and its turn name an effect for ever.
	Turn   int64     `json:"turn"`
	Since  time.Time `json:"since"`            // when it entered the step
	WakeAt time.Time `json:"wakeAt,omitzero"`  // while it waits: when it goes on, at the latest
	Awaits string    `json:"awaits,omitempty"` // while it waits for an event: its name
	Reason string    `json:"reason,omitempty"` // of Exited and Stuck
}

// Input is what Plan.Next is told. It reads neither clock nor database.
type Input struct {
	Now time.Time
	// Seed is what draws begin with: it names the rule and the entry, and is the same whenever this entry is asked about.
	Seed string
	// Contact tells whether it is known who it is. Without a contact, steps that need one are passed over.
	Contact bool
	// Answerable tells whether there is still something that somebody wrote, and Ticket whether the entry has a ticket. Without them, steps that
	// need them are passed over.
	Answerable, Ticket bool
	Zone               *time.Location // of the contact, or else the tenant; nil: UTC
	// Came is the awaited event that woke the entry; nil where time did.
	Came *Came
	// Answers to the conditions that an earlier Outcome asked for, by their places in the plan. They hold for one wake: who stored the state
	// begins with none.
	Answers map[int]bool
	// Moments are the values of the contact's attributes that Plan.Attributes lists; what is missing is not known. Of a Date, its midnight in UTC.
	Moments map[string]time.Time
}

// Came is an event that an entry awaited.
type Came struct {
	Event string
	At    time.Time // when it happened
}

// Outcome is how far an entry has got.
type Outcome struct {
	State State
	// Effects are to be carried out in their order, in the transaction that stores the state.
	Effects []Effect
	// Asks are the places of conditions in the plan. As long as there are any, the entry has not got as far as it can: call again, with this
	// state, the answers, and the effects carried out before anybody looks for the answers.
	Asks []int
	// Path are the steps that it has entered or gone on from, for who wants to show them.
	Path []Passage
}

// Effect is something that is to be done. With the rule and the entry, Turn is its identity.
type Effect struct {
	Step int // its place in Plan.Steps, whose verb says what
	Turn int64
}

// Passage is a step that an entry has passed, or at which it is.
type Passage struct {
	Step int
	Turn int64
	How  How
}

// How tells what came of a step.
type How string

// What can come of a step.
const (
	Done     How = "Done"     // its effect is to be carried out
	Nobody   How = "Nobody"   // it needs a contact, and there is none
	Nothing  How = "Nothing"  // it needs something that was written, or a ticket, and there is none
	Waits    How = "Waits"    // it has begun to wait
	Arrived  How = "Arrived"  // what it awaited has come
	TimedOut How = "TimedOut" // it has not come in time
	Elapsed  How = "Elapsed"  // the time has passed
	Then     How = "Then"     // its condition holds
	Else     How = "Else"     // its condition does not hold
	Drawn    How = "Drawn"    // a branch was drawn
	Left     How = "Left"     // the entry is over here
)
