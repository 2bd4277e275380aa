// Package deliver is the port over which messages leave: a transport hands a micro-batch over and tells for each
// message what is known of it. One folder per transport; all of them pass the suite in delivertest.
package deliver

import (
	"context"
	"fmt"
	"time"
)

// Message is one message to one recipient, ready to be handed over.
type Message struct {
	ID   string // the same at every try and nobody else's: the Message-ID without its angle brackets
	From string // envelope sender
	To   string // envelope recipient
	Data []byte // of mail: RFC 5322, CRLF line ends, not dot-stuffed; of a webhook: a JSON document
	// Claim lets the sender take the message back as long as nothing of Data was offered: it is Untouched then. It may be nil.
	Claim *Claim
}

// Outcome is what is known of a message that was to be handed over.
type Outcome int

// The outcomes, in the words of SMTP: a transport of another protocol says in its package comment what they are there. The
// zero value is Untouched, so that a result nobody set claims nothing was handed over.
const (
	// Untouched: the message was never offered; trouble of the channel (greeting, TLS, AUTH, MAIL) came first.
	Untouched Outcome = iota
	// Accepted: the server answered 2xx to the whole message.
	Accepted
	// Refused: the server answered 5xx at RCPT, DATA or the final dot, or the message cannot be handed over to this server
	// at all: an address that is none, more bytes than the server takes.
	Refused
	// Deferred: the server answered 4xx at RCPT, DATA or the final dot, or the connection ended before the final dot was begun.
	Deferred
	// Unknown: the final dot was begun and no answer came. It is never sent again by itself.
	Unknown
)

// String names an outcome for logs and tests.
func (o Outcome) String() string {
	switch o {
	case Untouched:
		return "Untouched"
	case Accepted:
		return "Accepted"
	case Refused:
		return "Refused"
	case Deferred:
		return "Deferred"
	case Unknown:
		return "Unknown"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Result is the outcome of one message with the server's words.
type Result struct {
	Outcome Outcome
	Code    int    // the server's reply code; 0 where there was none
	Reply   string // the server's words, at most 200 characters; they may name the recipient and stay in the database
	// RetryIn is how long the server asked to wait, of a message that it deferred; 0 where it did not say.
	RetryIn time.Duration
}

// Transport hands messages over.
type Transport interface {
	// Deliver hands over a batch and returns a result for every message, in order, also beside an error. It returns when
	// every outcome is known or its time limits have passed. Cancelling ctx ends hand-overs of which the server cannot have the
	// message; those that have come further are completed. The error is not nil where messages were left Unknown, or Untouched though
	// nobody took them back. It is a *Trouble where the channel as a whole is in trouble (an unreachable server, refused credentials),
	// and wraps ctx's cause after a cancel.
	// A transport that cannot tell what became of a message hands no more over by that connection, so that a server
	// that answers nothing leaves at most one Unknown for each connection. Deliver may be called from several
	// goroutines; they share the connections.
	Deliver(ctx context.Context, batch []Message) ([]Result, error)
	// Patience is how long a Deliver may go on after its ctx has ended, where the largest message has so many bytes: what
	// the slowest server that keeps to the protocol may take for the hand-overs that have begun.
	Patience(size int) time.Duration
	// Close ends the connections, those in use too: a Deliver under way returns with what is known by then. After it
	// Deliver leaves everything Untouched.
	Close() error
}
