// Package engagement tells what people do with a message from what programs do with it, and counts both apart. It is pure: it
// knows neither HTTP nor a database, and time is an argument.
//
// A request for a tracked link or a pixel says little: which message it belongs to, when it came, and how who sends it presents
// itself. A scanner that looks like a browser and follows one link minutes after delivery cannot be told from a person by anybody
// who only sees that request; docs/marketer.md says what follows from that.
package engagement

import "time"

// Kind is what was asked for.
type Kind uint8

// What can be asked for.
const (
	Open Kind = iota + 1
	Click
)

// What is what somebody did.
type What string

// What people and machines do.
const (
	Opened         What = "opened"
	Clicked        What = "clicked"
	MachineOpened  What = "machine-opened"
	MachineClicked What = "machine-clicked"
)

// Whats are all that are counted, in the order in which people read them.
var Whats = []What{Opened, Clicked, MachineOpened, MachineClicked}

// Event is one request for a link or a pixel of a message. It holds nothing of the person: who came is known by the message's
// row only.
type Event struct {
	At   int64 // in nanoseconds since 1970
	Send int64
	Seq  int64 // of the recipient in the ledger
	Link int64 // of a click; 0 is the link that no person sees
	// Visitor tells apart who comes to the same message: programs and people that present themselves alike have the same one. It
	// means nothing outside of this process and is never stored.
	Visitor uint64
	Kind    Kind
	Signals Signals
}

// Message names the message that an event belongs to.
type Message struct{ Send, Seq int64 }

// Message is what the event belongs to.
func (e Event) Message() Message { return Message{e.Send, e.Seq} }

// Time is when the event happened.
func (e Event) Time() time.Time { return time.Unix(0, e.At) }

// Facts are what the ledger knows of a message.
type Facts struct {
	Variant int
	// HandedOver is when the relay took the message; zero where that is not known.
	HandedOver time.Time
	// Untracked says that nothing may be kept of this recipient.
	Untracked bool
}

// Judged is an event of which it was decided whose it was.
type Judged struct {
	Event
	Variant int
	What    What
	Reason  Reason // why it was taken for a machine's; "" for a person's
}
