// Package overview tells how tenants are: what runs, what is being sent, what waits, what is wrong and what to do about
// it. Gather reads what the reader may see, Plan draws the conclusions, and Screen and Table show them.
package overview

import "time"

// Overview is how the tenants of a cluster, or one of them, are.
type Overview struct {
	// At is when it was read.
	At time.Time `json:"at"`
	// Operator is how the operator runs; nil where no Deployment of it is found or may be seen.
	Operator *Process `json:"operator,omitempty"`
	// Tenants by namespace.
	Tenants []Tenant `json:"tenants"`
	// Problems concern no tenant alone.
	Problems []Problem `json:"problems,omitempty"`
	// Unseen names what the reader may not read, so that nothing is said of it.
	Unseen []string `json:"unseen,omitempty"`
}

// Tenant is how one tenant is.
type Tenant struct {
	Namespace   string `json:"namespace"`
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	URL         string `json:"url"`
	TimeZone    string `json:"timeZone"`
	// Well is false when something is wrong.
	Well      bool `json:"well"`
	Suspended bool `json:"suspended,omitempty"`
	// Workers and Servers are nil where the operator does not run them.
	Workers *Process `json:"workers,omitempty"`
	Servers *Process `json:"servers,omitempty"`
	// Database is its name, and SchemaVersion the newest migration that it has.
	Database      string    `json:"database,omitempty"`
	SchemaVersion int64     `json:"schemaVersion,omitempty"`
	Objects       []Kind    `json:"objects"`
	Sending       []Sending `json:"sending,omitempty"`
	// Finished are the campaigns whose last outcome is known, the newest first.
	Finished []Finished `json:"finished,omitempty"`
	Waiting  []Waiting  `json:"waiting,omitempty"`
	Problems []Problem  `json:"problems,omitempty"`
	// Consequences counts the objects that only wait until the problems are solved.
	Consequences int `json:"consequences,omitempty"`
	// Hints are worth knowing, and nothing is wrong because of them.
	Hints  []Problem `json:"hints,omitempty"`
	Unseen []string  `json:"unseen,omitempty"`
}

// Process is how the processes of one sort run.
type Process struct {
	Namespace string `json:"namespace,omitempty"`
	Desired   int32  `json:"desired"`
	Ready     int32  `json:"ready"`
	// Version is the tag or digest of the image; several where a rollout is under way.
	Versions []string `json:"versions,omitempty"`
}

// Kind counts the objects of a kind.
type Kind struct {
	Kind  string `json:"kind"`
	Total int    `json:"total"`
	Ready int    `json:"ready"`
}

// Sending is a campaign that is being sent.
type Sending struct {
	Campaign  string `json:"campaign"`
	Planned   int64  `json:"planned"`
	Sent      int64  `json:"sent"`
	Failed    int64  `json:"failed"`
	Ambiguous int64  `json:"ambiguous"`
	Skipped   int64  `json:"skipped"`
	Pending   int64  `json:"pending"`
	// Rate is messages a second since sending began, and Left how long the rest takes at that rate; 0 where the beginning is
	// not known any more.
	Rate float64       `json:"rate,omitempty"`
	Left time.Duration `json:"leftNanoseconds,omitempty"`
}

// Done is the share that is settled, from 0 to 1.
func (s Sending) Done() float64 {
	if s.Planned == 0 {
		return 0
	}
	return float64(s.Planned-s.Pending) / float64(s.Planned)
}

// Finished is a campaign that is over.
type Finished struct {
	Campaign  string    `json:"campaign"`
	At        time.Time `json:"at"`
	Planned   int64     `json:"planned"`
	Sent      int64     `json:"sent"`
	Failed    int64     `json:"failed"`
	Ambiguous int64     `json:"ambiguous"`
	Skipped   int64     `json:"skipped"`
}

// Waiting is what will go on by itself, or when its author says so.
type Waiting struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// What it waits for, in words.
	What string `json:"what"`
	// Until is when it goes on, where that is known.
	Until *time.Time `json:"until,omitempty"`
}

// Problem is what a person has to look at.
type Problem struct {
	Kind string `json:"kind"`
	// Names of the objects that have it.
	Names   []string `json:"names"`
	Reason  string   `json:"reason"`
	Message string   `json:"message"`
	// Do is the next step.
	Do string `json:"do"`
}

// Well tells whether nothing is wrong anywhere.
func (o Overview) Well() bool {
	for _, t := range o.Tenants {
		if !t.Well {
			return false
		}
	}
	return len(o.Problems) == 0
}
