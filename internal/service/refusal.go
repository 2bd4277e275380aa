package service

import (
	"fmt"
	"time"
)

// Reason is why something was refused, in one word, for programs.
type Reason string

// The reasons.
const (
	ReasonUnknown  Reason = "Unknown"  // there is no such thing
	ReasonClosed   Reason = "Closed"   // it is over
	ReasonSolved   Reason = "Solved"   // it has to be reopened first
	ReasonPast     Reason = "Past"     // it is too late for that
	ReasonClaimed  Reason = "Claimed"  // another agent is at it
	ReasonAnswered Reason = "Answered" // another answer left since it was read
	ReasonWritten  Reason = "Written"  // the customer has written since it was read
	ReasonNoReply  Reason = "NoReply"  // there is no channel by which it could be answered
	ReasonTooLong  Reason = "TooLong"  // the network of the channel takes less
)

// Refusal tells why something that somebody asked for is not done, in words for them. Its text names nobody, so that it can be logged.
type Refusal struct {
	Reason Reason
	Words  string
	// Holder is the agent who is at it, and Until for how long, where the reason is Claimed. Another agent may be shown their name; a log may not.
	Holder string
	Until  time.Time
}

// Error implements error.
func (r *Refusal) Error() string { return r.Words }

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Words: fmt.Sprintf(format, args...)}
}
