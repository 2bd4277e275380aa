package crash

import (
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// merging is that two people of the audience were said to be one while they were written to.
type merging struct {
	people   [2]int
	answered time.Time // when the server said that they are
}

// isMerged tells whether a person was merged with another: what each of them got is compared together.
func (e *evidence) isMerged(person int) bool {
	return slices.ContainsFunc(e.merged, func(m merging) bool { return slices.Contains(m.people[:], person) })
}

// compareMerged compares what two who are one got with what the ledger says of both. A message to one tells the name of either. What
// both had before they were merged is theirs; from then on whoever has a message gets no other.
func (e *evidence) compareMerged(tell func(what string, people []int)) {
	rows, got := map[int]ledgerRow{}, map[int]int{}
	for _, row := range e.rows {
		rows[row.person] = row
	}
	for _, entry := range e.entries {
		if !entry.Refused() {
			got[entry.Person]++
		}
	}
	var differing, open, forgotten, twice []int
	for _, m := range e.merged {
		states := map[campaign.RowState]int{}
		var second time.Time
		received := 0
		for _, person := range m.people {
			states[rows[person].state]++
			received += got[person]
			if at := rows[person].intentAt; at.After(second) {
				second = at
			}
		}
		sent, ambiguous := states[campaign.RowSent], states[campaign.RowAmbiguous]
		if received < sent || received > sent+ambiguous {
			differing = append(differing, m.people[0])
		}
		if states[campaign.RowPending]+states[campaign.RowIntent] > 0 {
			open = append(open, m.people[0])
		}
		if states[campaign.RowSkipped] == len(m.people) {
			forgotten = append(forgotten, m.people[0])
		}
		if sent+ambiguous == len(m.people) && second.After(m.answered) {
			twice = append(twice, m.people[0])
		}
	}
	tell("merged people whose messages are not those of the ledger", differing)
	tell("merged people without an outcome", open)
	tell("merged people of whom both were left out", forgotten)
	tell("merged people who were written to again after they were merged", twice)
}
