package store

import (
	"maps"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/identity"
)

// personPlan is a person as they will be.
type personPlan struct {
	Contact int64 // the record that the person is known by: the first that came in
	Records []*record
	Profile identity.Profile
}

func (p personPlan) single() bool { return len(p.Records) == 1 }

// move is a record that comes from one contact to another.
type move struct {
	Record, From, To int64
	Types            []string // of the verified identifiers that it shares with others of the contact
	Decision         int64    // 0 where nobody decided so
}

// identityPlan is what has to be written so that people are who they are.
type identityPlan struct {
	people  []personPlan // with several records, or with one that was one of several
	revived []int64      // contacts that come back
	retired []int64      // contacts that go: they are merged into others
	moves   []move
	// links of everybody who was looked at.
	links    []plannedLink
	contacts []int64  // whose links they are, and whose they were
	columns  []string // of contacts, that what is said of people may have changed
}

// plannedLink is a link as it will be.
type plannedLink struct {
	Identifier, Contact int64
	Verified            bool
	Source              string
	At                  time.Time
	alone               bool // one record claims it, of those that were looked at
}

// planIdentities decides who the people are, which of them change, and what that moves. It reads nothing and writes nothing.
func planIdentities(found *identities) *identityPlan {
	p := &identityPlan{}
	contacts := map[int64]bool{}
	claimed := map[int64]int{} // by how many records
	before := map[int64]int{}  // how many records a contact had
	for _, contact := range found.contact {
		before[contact]++
	}
	kinds := map[int64]string{} // of identifiers
	for _, c := range found.claims {
		kinds[c.Identifier] = c.Type
	}
	for _, person := range identity.Resolve(found.records(), found.claims, found.decisions) {
		contact := person.Records[0]
		contacts[contact] = true
		for _, record := range person.Records {
			contacts[found.contact[record]] = true
		}
		moved := p.move(person, found, kinds)
		if moved || len(person.Records) > 1 || before[found.contact[contact]] > 1 {
			planned := personPlan{Contact: contact}
			for _, id := range person.Records {
				planned.Records = append(planned.Records, &record{ID: id})
			}
			p.people = append(p.people, planned)
		}
		for _, l := range person.Links {
			claimed[l.Identifier] += len(l.Records)
			p.links = append(p.links, plannedLink{Identifier: l.Identifier, Contact: contact, Verified: l.Verified, Source: l.Source, At: l.At})
		}
	}
	for i := range p.links {
		p.links[i].alone = claimed[p.links[i].Identifier] == 1
	}
	for contact := range contacts {
		p.contacts = append(p.contacts, contact)
	}
	slices.Sort(p.contacts)
	return p
}

// move plans which records come to a person from other contacts, and whether any does.
func (p *identityPlan) move(person identity.Person, found *identities, kinds map[int64]string) (moved bool) {
	contact := person.Records[0]
	for _, record := range person.Records {
		from := found.contact[record]
		if from == contact {
			continue
		}
		moved = true
		p.moves = append(p.moves, move{
			Record: record, From: from, To: contact, Types: sharedTypes(person, record, kinds), Decision: decisionOf(record, person, found),
		})
		if from == record {
			p.retired = append(p.retired, record)
		}
	}
	if found.contact[contact] != contact {
		p.revived = append(p.revived, contact)
	}
	return moved
}

// sharedTypes are the types of what joins a record to the others of its person.
func sharedTypes(person identity.Person, record int64, kinds map[int64]string) []string {
	types := []string{}
	for _, l := range person.Links {
		if kind := kinds[l.Identifier]; l.Verified && len(l.Records) > 1 && slices.Contains(l.Records, record) && !slices.Contains(types, kind) {
			types = append(types, kind)
		}
	}
	slices.Sort(types)
	return types
}

// decisionOf is the newest decision that joins a record to the others of its person, or parts it from those that it was with.
func decisionOf(record int64, person identity.Person, found *identities) (newest int64) {
	for _, d := range found.decisions {
		if d.A != record && d.B != record {
			continue
		}
		other := d.A + d.B - record
		if slices.Contains(person.Records, other) == d.Same {
			newest = max(newest, found.last[[2]int64{d.A, d.B}])
		}
	}
	return newest
}

// takeIn gives the people of a plan what is said of their records: what is kept of each, what was written to the contact itself while it had
// several, and what sources say now.
func (p *identityPlan) takeIn(
	records map[int64]*record, recorded map[int64][]identity.Consent, said map[int64]identity.Said, at time.Time, s survivorship,
) (changed map[int64]bool) {
	columns := map[string]bool{"locale": true, "time_zone": true}
	before := map[int64][]*record{}
	for _, r := range records {
		before[r.ContactID] = append(before[r.ContactID], r)
	}
	for contact, list := range before {
		if slices.ContainsFunc(list, func(r *record) bool { return r.kept }) {
			foldConsents(list, recorded[contact])
		}
	}
	changed = map[int64]bool{}
	for i := range p.people {
		person := &p.people[i]
		facts := make([]identity.Record, len(person.Records))
		for j, r := range person.Records {
			full := records[r.ID]
			facts[j] = identity.Record{ID: full.ID, Source: full.Source, Values: full.Said, Tags: full.Tags, Consents: full.Consents}
			if words, ok := said[full.ID]; ok && facts[j].Say(words, at, s.same) {
				changed[full.ID] = true
				full.Said, full.Tags, full.Consents, full.UpdatedAt = facts[j].Values, facts[j].Tags, facts[j].Consents, at
			}
			for column := range full.Said {
				if _, there := s.attributes[column]; there {
					columns[column] = true
				}
			}
			full.ContactID = person.Contact
			person.Records[j] = full
		}
		person.Profile = identity.Survive(facts, s.sources, s.valid)
	}
	p.columns = slices.Sorted(maps.Keys(columns))
	return changed
}

// foldConsents takes in what was recorded of a contact with several records since they were last looked at: it is the newest word on each of
// them, but for what the person decided and somebody else says otherwise.
func foldConsents(records []*record, recorded []identity.Consent) {
	facts := make([]identity.Record, len(records))
	for i, r := range records {
		facts[i] = identity.Record{ID: r.ID, Consents: r.Consents}
	}
	derived := identity.Strictest(facts)
	for _, c := range recorded {
		if slices.ContainsFunc(derived, c.Equal) {
			continue
		}
		for _, r := range records {
			at := slices.IndexFunc(r.Consents, func(known identity.Consent) bool { return known.Purpose == c.Purpose })
			switch {
			case at < 0:
				r.Consents = append(r.Consents, c)
			case r.Consents[at].ByContact && !r.Consents[at].Granted && !c.Granted: // what was refused first stays
			case c.ByContact || !r.Consents[at].ByContact:
				r.Consents[at] = c
			}
		}
	}
}
