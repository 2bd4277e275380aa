package crash

import (
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crash/sink"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// ledgerRow is what the ledger says of a person.
type ledgerRow struct {
	person   int
	state    campaign.RowState
	reason   string
	intentAt time.Time // of its last intent; the zero time without one
}

// evidence is what was found after a send: what the mail server has, and what the ledger says.
type evidence struct {
	name    string // of the occurrence; "" where there is only one
	size    int
	rows    []ledgerRow
	entries []sink.Entry
	status  store.SendStatus
	audit   []string

	unsubscribed map[int]time.Time     // when it was answered to whom
	refused      func(person int) bool // whom the mail server refuses for good
	excused      map[int]bool          // people who may be skipped
	merged       []merging
}

// count adds the numbers of all sends up.
func (r *Result) count(found []*evidence) {
	for _, e := range found {
		e.count(r)
	}
}

// findings says what was promised and not kept, of all sends together.
func findings(found []*evidence, bound int) []string {
	var all []string
	ambiguous := 0
	for _, e := range found {
		var r Result
		e.count(&r)
		ambiguous += r.Ambiguous
		for _, finding := range e.findings() {
			if e.name != "" {
				finding = "occurrence " + e.name + ": " + finding
			}
			all = append(all, finding)
		}
	}
	if ambiguous > bound {
		all = append(all, fmt.Sprintf("%d are ambiguous, and at most %d may be", ambiguous, bound))
	}
	return all
}

// count writes the numbers into a result.
func (e *evidence) count(r *Result) {
	for _, row := range e.rows {
		r.Planned++
		switch row.state {
		case campaign.RowSent:
			r.Sent++
		case campaign.RowFailed:
			r.Failed++
		case campaign.RowAmbiguous:
			r.Ambiguous++
		case campaign.RowSkipped:
			r.Skipped++
		default:
			r.Pending++
		}
	}
	seen := map[string]bool{}
	for _, entry := range e.entries {
		switch {
		case entry.Refused():
		case seen[entry.To]:
			r.Received++
			r.Duplicates++
		default:
			r.Received++
			seen[entry.To] = true
		}
	}
}

// mostTold is how many people a finding is told of: they are numbers, and one shows what is wrong.
const mostTold = 5

// findings says what was promised and not kept; nothing where all was.
func (e *evidence) findings() []string {
	var all []string
	tell := func(what string, people []int) {
		if len(people) > 0 {
			all = append(all, fmt.Sprintf("%s: %d, such as %v", what, len(people), people[:min(len(people), mostTold)]))
		}
	}
	mail := e.mail()
	tell("addresses that got more than one message, by the number in them", mail.twiceByAddress)
	tell("people who got more than one message", mail.twiceByPerson)
	tell("messages that came more than once by their stable id, by the person in them", mail.twiceByMessage)
	e.compareRows(mail, tell)
	e.compareMerged(tell)
	all = append(all, e.compareSums()...)
	for _, finding := range e.audit {
		all = append(all, "the ledger does not add up: "+finding)
	}
	return all
}

// mail is what people got.
type mail struct {
	acknowledged   map[int]bool // the mail server said that it has their message
	possible       map[int]bool // it has it, and may have died before it said so
	twiceByAddress []int
	twiceByPerson  []int
	twiceByMessage []int
}

func (e *evidence) mail() mail {
	m := mail{acknowledged: map[int]bool{}, possible: map[int]bool{}}
	byAddress, byMessage := map[string]bool{}, map[string]bool{}
	for _, entry := range e.entries {
		if entry.Refused() {
			continue
		}
		if byAddress[entry.To] {
			m.twiceByAddress = append(m.twiceByAddress, sink.Number(entry.To))
		}
		if m.possible[entry.Person] && !e.isMerged(entry.Person) {
			m.twiceByPerson = append(m.twiceByPerson, entry.Person)
		}
		if entry.Message != "" && byMessage[entry.Message] {
			m.twiceByMessage = append(m.twiceByMessage, entry.Person)
		}
		byMessage[entry.Message] = true
		byAddress[entry.To], m.possible[entry.Person] = true, true
		if entry.Acknowledged() {
			m.acknowledged[entry.Person] = true
		}
	}
	return m
}

// compareRows compares what the ledger says of each person with what the person got.
func (e *evidence) compareRows(m mail, tell func(what string, people []int)) {
	known := map[int]bool{}
	wrong := map[string][]int{}
	find := func(what string, is bool, person int) {
		if is {
			wrong[what] = append(wrong[what], person)
		}
	}
	for _, row := range e.rows {
		find("people with two rows", known[row.person], row.person)
		known[row.person] = true
		if e.isMerged(row.person) {
			continue
		}
		got := m.possible[row.person]
		switch row.state {
		case campaign.RowSent:
			find("people who count as sent and whose message was never acknowledged", !m.acknowledged[row.person], row.person)
		case campaign.RowAmbiguous:
		case campaign.RowFailed:
			find("people who count as failed and got a message", got, row.person)
			find("people who count as failed and whom nobody refused", !e.refused(row.person), row.person)
		case campaign.RowSkipped:
			find("people who count as skipped and got a message", got, row.person)
			find("people who were skipped without a cause", !e.excused[row.person], row.person)
		default:
			find("people without an outcome", true, row.person)
			find("people without an outcome who got a message", got, row.person)
		}
		answered, left := e.unsubscribed[row.person]
		find("people who had unsubscribed before their intent and got a message", left && got && row.intentAt.After(answered), row.person)
	}
	for person := range m.possible {
		find("people who got a message and are not in the ledger", !known[person], person)
	}
	for what, people := range wrong {
		tell(what, people)
	}
}

// compareSums compares the counts that people see with the rows.
func (e *evidence) compareSums() []string {
	var all []string
	var r Result
	e.count(&r)
	if r.Planned != e.size {
		all = append(all, fmt.Sprintf("%d are planned, and the audience holds %d", r.Planned, e.size))
	}
	var skipped int64
	for _, s := range e.status.SkippedByReason {
		skipped += s.Count
	}
	s := e.status
	for _, n := range []struct {
		what            string
		counted, status int64
	}{
		{"planned", int64(r.Planned), s.Planned},
		{"sent", int64(r.Sent), s.Sent},
		{"failed", int64(r.Failed), s.Failed},
		{"ambiguous", int64(r.Ambiguous), s.Ambiguous},
		{"skipped", int64(r.Skipped), skipped},
		{"pending", int64(r.Pending), s.Pending},
	} {
		if n.counted != n.status {
			all = append(all, fmt.Sprintf("%d rows are %s, and the status says %d", n.counted, n.what, n.status))
		}
	}
	return all
}
