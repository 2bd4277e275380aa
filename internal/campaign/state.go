// Package campaign decides how a send lives: when it may begin, when it is held, expired or completed, which variant a
// contact gets, why a recipient is left out, and when a message that was deferred is tried again. All of it is pure:
// facts and the time come in, decisions go out.
package campaign

import "time"

// State is where a send is in its life. Paused is no state: a send that is suspended stays where it is.
type State string

// The states: Scheduled → Freezing → Sending → Completed; Held when the audience is over its bound, Expired when the
// starting deadline passed before the audience was frozen, Aborted when a person ended it.
const (
	Scheduled State = "Scheduled"
	Freezing  State = "Freezing"
	Sending   State = "Sending"
	Held      State = "Held"
	Completed State = "Completed"
	Expired   State = "Expired"
	Aborted   State = "Aborted"
)

// Final tells whether nothing is sent any more in this state by itself.
func (s State) Final() bool { return s == Completed || s == Expired || s == Aborted }

// Frozen tells whether a send in this state has its audience in the ledger.
func (s State) Frozen() bool { return s == Sending || s == Completed || s == Aborted }

// Facts are what is known of a send when its next state is decided.
type Facts struct {
	StartsAt time.Time
	// Deadline is the last moment at which the send may begin.
	Deadline time.Time
	// EndsAt is the moment after which nothing is begun; zero for no end.
	EndsAt time.Time
	// Rolling is true for a send that goes on adding to its audience until EndsAt.
	Rolling bool
	// Waits is true while the occurrence before this one has not ended.
	Waits bool
	// Stopped is true while the send, its channel, its templates or its tenant are suspended or deleted.
	Stopped bool
	// Counted is true when Audience holds the count of the audience as it is now.
	Counted       bool
	Audience      int64
	MaxRecipients int64
	// Open is how many ledger rows have no outcome yet; it counts once the audience is frozen.
	Open int64
}

// Next is the state that a send in this state goes to. A stopped send begins nothing, but its deadline passes all the
// same, and one whose last outcome came while it was stopped is completed.
func Next(state State, f Facts, now time.Time) State {
	switch state {
	case Scheduled, Freezing, Held:
		return nextBeforeFreeze(state, f, now)
	case Sending:
		if f.Open == 0 && (!f.Rolling || f.ended(now)) {
			return Completed
		}
	case Completed:
		// An outcome that came late can show that a message was not taken after all: nobody is forgotten.
		if f.Open > 0 {
			return Sending
		}
	case Expired, Aborted:
	}
	return state
}

func (f Facts) ended(now time.Time) bool { return !f.EndsAt.IsZero() && !now.Before(f.EndsAt) }

func nextBeforeFreeze(state State, f Facts, now time.Time) State {
	switch {
	case now.After(f.Deadline) || f.ended(now):
		return Expired
	case f.Stopped:
		return state
	case now.Before(f.StartsAt) || f.Waits:
		return Scheduled
	case !f.Counted:
		// A held send stays so until its audience has been counted anew.
		if state == Held {
			return Held
		}
		return Freezing
	case f.Audience > f.MaxRecipients:
		return Held
	case state == Freezing && f.Open == 0 && !f.Rolling:
		return Completed
	case state == Freezing:
		return Sending
	}
	return Freezing
}
