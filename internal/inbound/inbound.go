// Package inbound reads what comes back from messages: bounces (RFC 3464), complaints (RFC 5965), automatic answers and
// replies. What it reads is hostile: anybody can write to a return address. It believes a report only where the report
// holds a token that this tenant signed, and its cost is bounded whatever the message holds.
package inbound

import "time"

// Kind says what came back.
type Kind string

// The kinds.
const (
	// Bounce: a server tells that it could not deliver a message.
	Bounce Kind = "Bounce"
	// Delay: a server tells that it goes on trying. Nothing follows from it.
	Delay Kind = "Delay"
	// Delivery: a server tells that it delivered, which nobody asked it to.
	Delivery Kind = "Delivery"
	// Complaint: a provider tells that somebody has called a message spam.
	Complaint Kind = "Complaint"
	// AutoReply: a program answered, such as an absence note (RFC 3834).
	AutoReply Kind = "AutoReply"
	// Reply: a person answered.
	Reply Kind = "Reply"
)

// Notice is what a message that came back says.
type Notice struct {
	Kind Kind
	// Reference names the message that it is about. It is zero where the notice holds no token of ours.
	Reference Reference
	// Class says of a Bounce whether the address is to blame.
	Class Class
	// Status is the enhanced status code (RFC 3463), such as 5.1.1; "" where there is none.
	Status string
	// Diagnostic is what the server said, at most 500 characters. It may name people and stays in the database.
	Diagnostic string
	// Feedback is a complaint's Feedback-Type, such as abuse.
	Feedback string
	// At is when it was written by its own account; the zero time where it does not say.
	At time.Time
	// MessageID is the notice's own, without angle brackets: the same notice twice has the same one. "" where it has none.
	MessageID string
	// Subject and Text are what a Reply says, and its sender is From. They are empty otherwise.
	From, Subject, Text string
}

// Reference names a row of the ledger.
type Reference struct {
	Send, Seq int64
}

// Known tells whether the reference names a row.
func (r Reference) Known() bool { return r.Send > 0 }

// Class says what a bounce tells about an address.
type Class string

// The classes of a Bounce.
const (
	// Hard: the address does not exist, or takes no mail any more.
	Hard Class = "Hard"
	// Soft: it could not be delivered this time: a full mailbox, a server in trouble, a filter. The address may be good.
	Soft Class = "Soft"
)

// Cursor says how far a mailbox has been read: everything up to this UID, while its UIDVALIDITY is this (RFC 9051, section
// 2.3.1.1). The zero value is its beginning.
type Cursor struct {
	Validity, UID uint32
}
