package service

import "time"

// Bounds say how far apart messages may be and belong together all the same.
type Bounds struct {
	// ReopenWithin is how long after its end a conversation is reopened by what comes in. Later, a new one begins that follows it.
	ReopenWithin time.Duration
	// SubjectWithin is how long after its last message a conversation by mail is found by its subject, where a mail names no other.
	SubjectWithin time.Duration
	// IdleAfter is how long after its last message a chat in which nobody waits for us is another conversation: chats have no threads.
	IdleAfter time.Duration
	// CloseAfter is how long a conversation waits for the customer before it ends; 0: for ever.
	CloseAfter time.Duration
}

// DefaultBounds are those of who says nothing.
func DefaultBounds() Bounds {
	const day = 24 * time.Hour
	return Bounds{ReopenWithin: 14 * day, SubjectWithin: 7 * day, IdleAfter: 3 * day, CloseAfter: 30 * day}
}
