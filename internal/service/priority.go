package service

import "slices"

// Priority is how urgent a ticket is.
type Priority string

// The priorities.
const (
	Low    Priority = "Low"
	Normal Priority = "Normal"
	High   Priority = "High"
	Urgent Priority = "Urgent"
)

var priorities = []Priority{Low, Normal, High, Urgent}

// Priorities lists them, the least urgent first.
func Priorities() []Priority { return slices.Clone(priorities) }

// Rank orders priorities: 0 for the least urgent; -1 for what is none.
func (p Priority) Rank() int { return slices.Index(priorities, p) }

// AtLeast is the more urgent of two.
func (p Priority) AtLeast(o Priority) Priority {
	if o.Rank() > p.Rank() {
		return o
	}
	return p
}
