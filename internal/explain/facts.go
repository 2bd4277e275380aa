// Package explain answers why a campaign is not being sent, in one answer: everything that stands in its way, what must be
// mended first at the top, each with what to do. Facts and the time come in, findings go out; nobody's name is in them but
// those of objects and of the colleague who gave a command.
package explain

import (
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Facts are what is known of a campaign's send, of what it needs, and of who works on it.
type Facts struct {
	Campaign   string
	SendKey    string
	Occurrence string // of a campaign that recurs, that which is being sent, or was last; else ""
	State      campaign.State
	// Message is what workers say of a send that is held or waits.
	Message  string
	StartsAt time.Time
	Deadline time.Time
	EndsAt   *time.Time // nil for no end
	Counts   campaign.Counts

	Suspended    bool // in Git, or by the operator because its declaration was refused
	DormantSince *time.Time
	Pause, Abort *Command
	HeldBack     bool // by the release of a quarantine

	Permitted       bool // this ledger may be sent from
	Quarantined     bool // a person has to decide about it
	ReadOnly        bool // the database takes no writes
	Workers         int  // that have said that they are there
	TenantSuspended bool

	Channel   Part
	Trouble   string // of the channel
	Templates []Part // that are not in force; of the others none are listed
	Segments  []Part

	Chunks Chunks
	// Code is the enhanced status code with which the far end put off what waits longest; nil where it put nothing off.
	Code        *string
	CappedUntil *time.Time // the channel's bound of the day is reached
	Throttled   []Receiver // receivers that asked for patience
	PerSecond   int        // how many messages the channel may hand over in a second; 0 for no bound
}

// Command is a decision of a person.
type Command struct {
	By, Reason string
	Until      *time.Time
}

// Part is an object that the send needs.
type Part struct {
	Name  string
	State PartState
}

// PartState is how an object is.
type PartState string

// The states of parts.
const (
	InForce   PartState = "in force"
	Missing   PartState = "not there"
	Suspended PartState = "suspended"
	Unbuilt   PartState = "not built yet" // a segment
)

// Receiver is who takes mail for some domains.
type Receiver struct {
	Name  string
	Until time.Time
}

// Chunks count the pieces of an audience that have rows without an outcome.
type Chunks struct {
	Open   int
	Leased int // workers are working on them
	Free   int // nobody is, and they could be
	// Lost have messages of a worker that is gone, of which nobody knows yet what became.
	Lost int
	// Staged wait for the winner of a test.
	Staged int
	// Paused are of a receiver to whom nothing is offered for a while.
	Paused int
	// NextAt is when the first of those may be tried that wait for a moment; nil where none does.
	NextAt *time.Time
}

// Finding is one thing that stands in the way, or an answer where nothing does.
type Finding struct {
	Code   string     `json:"code" doc:"A word for programs, such as ChannelTrouble."`
	Blocks bool       `json:"blocks" doc:"Nothing is sent while it is so."`
	What   string     `json:"what" doc:"What is the case, in words for people."`
	Do     string     `json:"do,omitempty" doc:"What to do about it; absent where nothing is to be done."`
	Until  *time.Time `json:"until,omitempty" doc:"When it ends by itself."`
}
