// Package service decides how people who write to us are answered. It is pure: it is told what happened and when, and says what follows; others
// read, store and send.
//
// The life of a conversation. A message comes in. Inbound.Keys are what it may be known by, and Place says to which conversation it belongs: to
// one that goes on, to one that was closed a short time ago and is reopened, or to a new one. The conversation is Open, because somebody waits
// for us. Where the condition of a Queue holds for it, it becomes a Ticket, which is New until somebody is to answer it; a Roster says who. An
// agent takes a claim on the conversation, so that no other writes at the same time, and answers; a Desk refuses an answer to what has changed
// since it was read. The conversation is Waiting now, and the ticket Pending: its clock stands still until the customer writes again, which
// opens both. An agent may put a conversation away until a moment; then it is Snoozed.
//
// All the while the ticket's clocks run, in the hours in which the team works (Calendar). What a queue promises is a Target; Ticket.WakeAt is when
// something happens next by time alone (a warning, a breach, a step of an escalation, the end of a solved ticket), so that nobody looks at
// tickets at which nothing is due. In the end the ticket is Solved. If the customer comes back soon, it is reopened; later it is Closed for good,
// and what comes then begins a new one that follows it. What came of it is a Measure, and many of them are a Total.
package service

import "time"

// ConversationState is who has the next word in a conversation.
type ConversationState string

// The states of a conversation.
const (
	ConversationOpen    ConversationState = "Open"    // it is our turn
	ConversationWaiting ConversationState = "Waiting" // it is the customer's turn
	ConversationSnoozed ConversationState = "Snoozed" // put away until a moment, or until the customer writes
	ConversationClosed  ConversationState = "Closed"
)

// Conversation is how a conversation stands. The zero value is one in which nothing has happened yet.
type Conversation struct {
	State ConversationState `json:"state"`
	// WaitingSince is since when the customer waits for an answer; the zero time while nobody does.
	WaitingSince time.Time `json:"waitingSince,omitzero"`
	SnoozedUntil time.Time `json:"snoozedUntil,omitzero"` // while it is Snoozed
	ClosedAt     time.Time `json:"closedAt,omitzero"`     // while it is Closed
	// LastInbound and LastOutbound are when the last message of each side came or left; the zero time where there is none.
	LastInbound  time.Time `json:"lastInbound,omitzero"`
	LastOutbound time.Time `json:"lastOutbound,omitzero"`
	Reopened     int       `json:"reopened,omitempty"` // how often it was
}

// ConversationEventKind is what happens to a conversation.
type ConversationEventKind string

// What happens to conversations.
const (
	MessageReceived ConversationEventKind = "Received" // from the customer
	// MessageAnswered: a message of ours that answers has left; At is when it was written.
	MessageAnswered ConversationEventKind = "Answered"
	// MessageAcknowledged: a program said that the message was received. Nobody is answered by that.
	MessageAcknowledged ConversationEventKind = "Acknowledged"
	// MessageBounced: an answer that had left came back. The customer has not read it.
	MessageBounced ConversationEventKind = "Bounced"
	NoteAdded      ConversationEventKind = "Noted" // for ourselves
	SnoozeAsked    ConversationEventKind = "Snooze"
	CloseAsked     ConversationEventKind = "Close"
	ReopenAsked    ConversationEventKind = "Reopen"
	TimeCame       ConversationEventKind = "Time" // it is so late
)

// ConversationEventKinds lists them.
func ConversationEventKinds() []ConversationEventKind {
	return []ConversationEventKind{
		MessageReceived, MessageAnswered, MessageAcknowledged, MessageBounced, NoteAdded, SnoozeAsked, CloseAsked, ReopenAsked, TimeCame,
	}
}

// ConversationEvent is something that happens to a conversation.
type ConversationEvent struct {
	Kind  ConversationEventKind
	At    time.Time
	Until time.Time // of SnoozeAsked
}

// Next is the conversation after an event. What cannot be is refused, and the conversation stays as it is; what changes nothing is no error, so
// that an event may come twice. bounds say when a conversation ends by itself.
func (c Conversation) Next(e ConversationEvent, bounds Bounds) (Conversation, error) {
	switch e.Kind {
	case MessageReceived:
		return c.received(e.At), nil
	case MessageAnswered:
		return c.answered(e.At), nil
	case MessageBounced:
		return c.bounced(e.At), nil
	case MessageAcknowledged, NoteAdded:
		return c, nil
	case SnoozeAsked:
		return c.snoozed(e)
	case CloseAsked:
		return c.closed(e.At), nil
	case ReopenAsked:
		return c.opened(), nil
	case TimeCame:
		if at, ok := c.WakeAt(bounds); ok && !e.At.Before(at) {
			if c.State == ConversationSnoozed {
				return c.opened(), nil
			}
			return c.closed(at), nil
		}
		return c, nil
	}
	return c, refuse(ReasonUnknown, "%q is nothing that happens to a conversation", e.Kind)
}

// WakeAt is when something happens to the conversation by time alone: a snoozed one comes back, one in which the customer says nothing any more
// ends. false: nothing does.
func (c Conversation) WakeAt(bounds Bounds) (time.Time, bool) {
	switch {
	case c.State == ConversationSnoozed:
		return c.SnoozedUntil, true
	case c.State == ConversationWaiting && bounds.CloseAfter > 0:
		return later(c.LastInbound, c.LastOutbound).Add(bounds.CloseAfter), true
	}
	return time.Time{}, false
}

func (c Conversation) received(at time.Time) Conversation {
	c = c.opened()
	c.LastInbound = later(c.LastInbound, at)
	if c.WaitingSince.IsZero() {
		c.WaitingSince = at
	}
	return c
}

// answered leaves a conversation open where the customer has written after the answer was: that message nobody has answered.
func (c Conversation) answered(at time.Time) Conversation {
	c.LastOutbound = later(c.LastOutbound, at)
	if c.LastInbound.After(at) {
		c = c.opened()
		if !c.WaitingSince.After(at) {
			c.WaitingSince = c.LastInbound
		}
		return c
	}
	c = c.opened()
	c.State, c.WaitingSince = ConversationWaiting, time.Time{}
	return c
}

func (c Conversation) bounced(at time.Time) Conversation {
	c = c.opened()
	if c.WaitingSince.IsZero() && !c.LastInbound.IsZero() {
		c.WaitingSince = at
	}
	return c
}

func (c Conversation) snoozed(e ConversationEvent) (Conversation, error) {
	switch {
	case c.State == ConversationClosed:
		return c, refuse(ReasonClosed, "the conversation is closed: reopen it first")
	case c.State == "":
		return c, refuse(ReasonUnknown, "nothing has been said in the conversation yet")
	case !e.Until.After(e.At):
		return c, refuse(ReasonPast, "the moment until which it is to be put away has passed: name a later one")
	}
	c.State, c.SnoozedUntil = ConversationSnoozed, e.Until
	return c, nil
}

func (c Conversation) closed(at time.Time) Conversation {
	if c.State == ConversationClosed {
		return c
	}
	c.State, c.ClosedAt = ConversationClosed, at
	c.WaitingSince, c.SnoozedUntil = time.Time{}, time.Time{}
	return c
}

// opened is the conversation with its ball in our court, wherever it was.
func (c Conversation) opened() Conversation {
	if c.State == ConversationClosed {
		c.Reopened++
	}
	c.State, c.ClosedAt, c.SnoozedUntil = ConversationOpen, time.Time{}, time.Time{}
	return c
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
