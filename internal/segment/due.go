// Package segment decides when a segment's membership is evaluated again, and with which statement. It runs nothing.
//
// In this form a segment is evaluated as a whole. The engine that follows what changed replaces Due, and asks
// Evaluation.Contacts for the few contacts that its queue names; what a predicate means stays the same.
package segment

import "time"

// Reason says why a membership is evaluated, and so why somebody enters or leaves.
type Reason string

// The reasons. An automation may follow Data and Time; editing a segment must not set anything in motion.
const (
	Definition Reason = "Definition" // the expression, or a type it was checked against, has changed
	Data       Reason = "Data"       // an import, or whoever changed people, asked for it
	Time       Reason = "Time"       // windows have moved on, and single changes have come in
)

// DefaultInterval is how long a membership may be unaware of single changes and of the passing of time.
const DefaultInterval = 5 * time.Minute

// State is what is known of a segment when the question arises whether it is due.
type State struct {
	Suspended   bool          // by its manifest, because its object was deleted, or with its tenant
	Digest      string        // of the definition in force
	BuiltDigest string        // of the definition that the membership was built with; "" before the first time
	AskedAt     time.Time     // when somebody asked for evaluation; zero when nobody has since
	BuiltAt     time.Time     // when the membership was last evaluated; zero before the first time
	Interval    time.Duration // between two evaluations that nobody asked for; DefaultInterval when zero
}

// Due tells whether a membership has to be evaluated now, and why. A suspended one stays as it is, however old.
func Due(s State, now time.Time) (due bool, reason Reason) {
	switch {
	case s.Suspended:
		return false, ""
	case s.BuiltDigest != s.Digest || s.BuiltAt.IsZero():
		return true, Definition
	case !s.AskedAt.IsZero():
		return true, Data
	case !now.Before(s.BuiltAt.Add(s.interval())):
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
