// Package segment decides what a membership depends on, when it has to be built, and with which statements it is brought up to
// date. It runs nothing.
//
// What a predicate means is the same for everybody, for who changed and for one contact: the statements differ only in whom
// they ask about.
package segment

import "time"

// Reason says why somebody enters or leaves.
type Reason string

// The reasons. Rolling audiences follow Data and Time; editing a segment must not set anything in motion, and neither must the
// mending of what a defect left behind.
const (
	Definition Reason = "Definition" // the expression, or a type that it was checked against, has changed
	Data       Reason = "Data"       // something about the contact has changed
	Time       Reason = "Time"       // time has passed
	Repair     Reason = "Repair"     // the membership was not what it should have been
)

// DefaultInterval is how often a membership is built anew of which nobody knows what it depends on.
const DefaultInterval = 5 * time.Minute

// State is what is known of a segment when the question arises whether its membership has to be built.
type State struct {
	Watched     bool          // it is in force, and neither it nor its tenant is suspended
	Followed    bool          // what it depends on is known, so that time and changes are followed
	Digest      string        // of the definition in force
	BuiltDigest string        // of the definition that the membership was built with; "" before the first time
	AskedAt     time.Time     // when a build became necessary; zero when none is
	BuiltAt     time.Time     // when the membership was last built; zero before the first time
	Interval    time.Duration // of builds where Followed is false; DefaultInterval when zero
}

// Due tells whether a membership has to be built now, and why. One that is not watched stays as it is, however old.
func Due(s State, now time.Time) (due bool, reason Reason) {
	switch {
	case !s.Watched:
		return false, ""
	case s.BuiltDigest != s.Digest || s.BuiltAt.IsZero():
		return true, Definition
	case !s.AskedAt.IsZero():
		return true, Data // it was suspended, or nobody followed something that it depends on
	case !s.Followed && !now.Before(s.BuiltAt.Add(s.interval())):
		return true, Time
	}
	return false, ""
}

func (s State) interval() time.Duration {
	if s.Interval <= 0 {
		return DefaultInterval
	}
	return s.Interval
}
