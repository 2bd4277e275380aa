package pace

import (
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

const (
	// slowest is the rate below which no receiver is slowed: six messages a minute.
	slowest Rate = 0.1
	// recovery is how long a receiver that takes everything needs from nothing back to its full rate.
	recovery = 10 * time.Minute
	// longestSuccess bounds what one report of success counts for, so that a time without mail is not taken for one.
	longestSuccess = 10 * time.Second
	// peace is how long a receiver must have had no pause for the next one to be short again.
	peace = 10 * time.Minute
	// mostPauses bounds the count from which the length of a pause follows.
	mostPauses = 16
)

// PauseBackoff is for a receiver that defers what it is offered: a minute, doubled each time, at most half an hour.
var PauseBackoff = campaign.Backoff{First: time.Minute, Max: 30 * time.Minute}

// Receiver is the patience that a receiver has asked for. The zero value is one that takes what it is offered.
type Receiver struct {
	Slowed     Rate      // what it is offered yet; 0 for one that is not held back
	SlowedFrom Rate      // at which it is no longer held back
	Pauses     int       // how many there were without a time of peace between them
	Until      time.Time // nothing is offered before
	GrownAt    time.Time // when Slowed was last changed
}

// HeldBack tells whether the receiver is offered less than the channel allows.
func (r Receiver) HeldBack() bool { return r.Slowed > 0 }

// Deferred is the receiver after it has deferred mail: its rate is halved, and it is paused, each time for longer. limit is
// what the channel allows it (0: no limit), offered what it was offered in the last second. What it says during a pause is about
// mail that was under way already, and changes nothing.
func (r Receiver) Deferred(now time.Time, limit, offered Rate, b campaign.Backoff, seed uint64) Receiver {
	if now.Before(r.Until) {
		return r
	}
	if !r.HeldBack() {
		// Without a limit it is led a little over what was too much before it is let go.
		offered = max(offered, slowest)
		r.SlowedFrom = 2 * offered
		if limit > 0 {
			offered, r.SlowedFrom = min(offered, limit), limit
		}
		r.Slowed = offered
	}
	if now.Sub(r.Until) > peace {
		r.Pauses = 0
	}
	r.Pauses = min(r.Pauses+1, mostPauses)
	r.Slowed = max(slowest, r.Slowed/2)
	r.SlowedFrom = max(r.SlowedFrom, r.Slowed)
	r.Until = now.Add(b.Delay(r.Pauses, seed))
	r.GrownAt = r.Until
	return r
}

// Accepted is the receiver after it has taken mail: its rate grows by the same amount for each second, until it is no longer
// held back. limit is what the channel allows it by now.
func (r Receiver) Accepted(now time.Time, limit Rate) Receiver {
	if !r.HeldBack() || !now.After(r.GrownAt) {
		return r
	}
	success := min(now.Sub(r.GrownAt), longestSuccess)
	r.Slowed += max(r.SlowedFrom, slowest) * Rate(success.Seconds()/recovery.Seconds())
	r.GrownAt = now
	if r.Slowed >= r.SlowedFrom || (limit > 0 && r.Slowed >= limit) {
		return Receiver{Pauses: r.Pauses, Until: r.Until}
	}
	return r
}

// Effective is the rate at which a receiver may be written to: the lower of the channel's limit and of what it takes yet;
// 0 where neither bounds it.
func (r Receiver) Effective(limit Rate) Rate {
	if r.HeldBack() && (limit == 0 || r.Slowed < limit) {
		return r.Slowed
	}
	return limit
}

// Answers counts what a receiver said to the messages of a batch.
type Answers struct {
	Accepted int
	Busy     int // 421: the service is not available
	Later    int // 45x that is not about the single mailbox
}

// Hears counts an answer by its SMTP code and the server's words after it, which may begin with an enhanced code (RFC 3463).
func (a *Answers) Hears(accepted bool, code int, words string) {
	switch {
	case accepted:
		a.Accepted++
	case code == 421:
		a.Busy++
	case code >= 450 && code <= 459 && !aboutMailbox(words):
		a.Later++
	}
}

// aboutMailbox tells whether an answer has an enhanced code of the class 4.2: a mailbox that is full, or written to by
// too many, says nothing about its neighbours.
func aboutMailbox(words string) bool { return strings.HasPrefix(words, "4.2.") }

// PushesBack tells whether a receiver asks for patience: it is busy, or it defers a tenth of what it is offered. Of one that is
// not held back yet it takes three messages: a single one is often greylisting, for which waiting with that message is enough.
func (a Answers) PushesBack(heldBack bool) bool {
	const share, least = 10, 3
	return a.Busy > 0 || (a.Later > 0 && (heldBack || a.Later >= least) && a.Later*share >= a.Accepted+a.Later)
}
