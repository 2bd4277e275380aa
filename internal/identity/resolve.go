package identity

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Evidence is why a record is said to have an identifier.
type Evidence string

// The kinds of evidence, the weakest first.
const (
	// Stated: a source says so, and may have verified it.
	Stated Evidence = "stated"
	// Confirmed: whoever holds the address or the account has answered from there.
	Confirmed Evidence = "confirmed"
	// Decided: a person of the tenant has decided so.
	Decided Evidence = "decided"
)

func (e Evidence) rank() int {
	switch e {
	case Decided:
		return 2
	case Confirmed:
		return 1
	}
	return 0
}

// Claim says that a record has an identifier. Records are known by their contact's id when they came in, which no merge changes.
type Claim struct {
	Record     int64
	Identifier int64
	Type       string
	Value      string // normalised
	Verified   bool
	Evidence   Evidence
	Source     string
	At         time.Time
}

// Decision is what a person has decided of two records. Of several about the same two the last in the list counts. Where what joins two
// and what parts others cannot both be, the parting holds, and what was joined before.
type Decision struct {
	A, B int64
	Same bool
}

// Person is a group of records that are one, with everything that they are known by.
type Person struct {
	Records []int64 // in order
	Links   []Link  // in the order of their identifiers
}

// Link binds an identifier to a person.
type Link struct {
	Identifier int64
	// Verified tells that the identifier is this person's and nobody else's.
	Verified bool
	// Records of the person that claim it.
	Records []int64
	// Source and At of the first who said so.
	Source string
	At     time.Time
}

// MaxClaimants is how many records may have one identifier verified before it is taken for one that many share, such as the address of an
// office. Such an identifier joins nobody, and is nobody's.
const MaxClaimants = 100

// Resolve decides which of some records are one person. All claims about them, all verified claims on the same identifiers, and all
// decisions about them have to be there. The order of records and claims makes no difference, and neither does when a claim was made: records are joined by
// what identifies best first, and where two of them cannot be one (a person has decided so, or a limit would be passed), the identifier
// is verified to the one that has the better evidence, else to the one whose key is the lower.
func Resolve(records []int64, claims []Claim, decisions []Decision) []Person {
	r := newResolver(records, claims)
	r.apply(decisions)
	owners := map[int64]int64{}
	for _, i := range r.identifiers() {
		if owner, ok := r.join(i); ok {
			owners[i.id] = owner
		}
	}
	return r.people(owners)
}

// resolver is a union of records while it is decided.
type resolver struct {
	records []int64
	claims  []Claim
	key     map[int64]string // of a record, from what it is known by
	parent  map[int64]int64
	held    map[int64]map[string]map[int64]bool // by root: the verified identifiers by type
	apart   map[int64][]int64                   // records that are not this one, by decision
	members map[int64][]int64                   // by root
}

func newResolver(records []int64, claims []Claim) *resolver {
	r := &resolver{
		records: slices.Compact(slices.Sorted(slices.Values(records))), claims: slices.Clone(claims), key: map[int64]string{}, parent: map[int64]int64{},
		held: map[int64]map[string]map[int64]bool{}, apart: map[int64][]int64{}, members: map[int64][]int64{},
	}
	for _, record := range r.records {
		r.parent[record], r.members[record], r.held[record] = record, []int64{record}, map[string]map[int64]bool{}
	}
	r.claims = slices.DeleteFunc(r.claims, func(c Claim) bool { _, known := r.parent[c.Record]; return !known })
	slices.SortFunc(r.claims, func(a, b Claim) int {
		return cmp.Or(cmp.Compare(a.Identifier, b.Identifier), cmp.Compare(a.Record, b.Record), compareBool(b.Verified, a.Verified),
			cmp.Compare(b.Evidence.rank(), a.Evidence.rank()), a.At.Compare(b.At), cmp.Compare(a.Source, b.Source))
	})
	for _, c := range r.claims {
		r.name(c)
		if c.Verified {
			held := r.held[c.Record]
			if held[c.Type] == nil {
				held[c.Type] = map[int64]bool{}
			}
			held[c.Type][c.Identifier] = true
		}
	}
	return r
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// name gives a record its key: the lowest of what it is known by, other systems' ids before all else, because they are its own.
func (r *resolver) name(c Claim) {
	t, _ := TypeOf(c.Type)
	key := fmt.Sprintf("%d %s=%s", t.priority, c.Type, c.Value)
	if known, ok := r.key[c.Record]; !ok || key < known {
		r.key[c.Record] = key
	}
}

func (r *resolver) compare(a, b int64) int {
	return cmp.Or(cmp.Compare(r.key[a], r.key[b]), cmp.Compare(a, b))
}

// apply takes people's decisions: what they part stays apart, whatever joins it, and what they join knows no limit.
func (r *resolver) apply(decisions []Decision) {
	type pair struct{ a, b int64 }
	last := map[pair]int{}
	for i, d := range decisions {
		last[pair{min(d.A, d.B), max(d.A, d.B)}] = i
	}
	var same []pair
	for i, d := range decisions {
		p := pair{min(d.A, d.B), max(d.A, d.B)}
		if last[p] != i {
			continue
		}
		if _, known := r.parent[p.a]; !known {
			continue
		}
		if _, known := r.parent[p.b]; !known || p.a == p.b {
			continue
		}
		if d.Same {
			same = append(same, p)
			continue
		}
		r.apart[p.a], r.apart[p.b] = append(r.apart[p.a], p.b), append(r.apart[p.b], p.a)
	}
	for _, p := range same {
		if !r.parted(p.a, p.b) {
			r.union(p.a, p.b)
		}
	}
}

func (r *resolver) find(record int64) int64 {
	for r.parent[record] != record {
		record = r.parent[record]
	}
	return record
}

// parted tells whether somebody has decided that one of a's records is not one of b's.
func (r *resolver) parted(a, b int64) bool {
	other := r.find(b)
	for _, record := range r.members[r.find(a)] {
		for _, apart := range r.apart[record] {
			if r.find(apart) == other {
				return true
			}
		}
	}
	return false
}

// fits tells whether both together stay within the limits.
func (r *resolver) fits(a, b int64) bool {
	first, second := r.held[r.find(a)], r.held[r.find(b)]
	for name, identifiers := range second {
		t, _ := TypeOf(name)
		n := len(first[name])
		for id := range identifiers {
			if !first[name][id] {
				n++
			}
		}
		if t.Limit > 0 && len(first[name]) > 0 && n > t.Limit {
			return false
		}
	}
	return true
}

func (r *resolver) union(a, b int64) {
	a, b = r.find(a), r.find(b)
	if a == b {
		return
	}
	if b < a {
		a, b = b, a
	}
	r.parent[b] = a
	r.members[a] = append(r.members[a], r.members[b]...)
	for name, identifiers := range r.held[b] {
		if r.held[a][name] == nil {
			r.held[a][name] = map[int64]bool{}
		}
		for id := range identifiers {
			r.held[a][name][id] = true
		}
	}
	delete(r.members, b)
	delete(r.held, b)
}

// identifier is one that records claim as verified.
type identifier struct {
	id        int64
	kind      Type
	value     string
	claimants []int64 // the best evidence first
}

// identifiers lists what may join records, the best first.
func (r *resolver) identifiers() []identifier {
	var list []identifier
	evidence := map[int64]int{} // of the record that claims the current identifier
	end := func() {
		if len(list) == 0 {
			return
		}
		claimants := list[len(list)-1].claimants
		slices.SortFunc(claimants, func(a, b int64) int { return cmp.Or(cmp.Compare(evidence[b], evidence[a]), r.compare(a, b)) })
		clear(evidence)
	}
	for _, c := range r.claims {
		if !c.Verified {
			continue
		}
		if len(list) == 0 || list[len(list)-1].id != c.Identifier {
			end()
			t, _ := TypeOf(c.Type)
			list = append(list, identifier{id: c.Identifier, kind: t, value: c.Value})
		}
		current := &list[len(list)-1]
		if _, known := evidence[c.Record]; !known {
			current.claimants = append(current.claimants, c.Record)
		}
		evidence[c.Record] = max(evidence[c.Record], c.Evidence.rank())
	}
	end()
	slices.SortFunc(list, func(a, b identifier) int {
		return cmp.Or(cmp.Compare(a.kind.priority, b.kind.priority), cmp.Compare(a.kind.Name, b.kind.Name), cmp.Compare(a.value, b.value),
			cmp.Compare(a.id, b.id))
	})
	return list
}

// join makes one person of the records that have an identifier, as far as they can be one, and tells whose it is.
func (r *resolver) join(i identifier) (owner int64, ok bool) {
	if len(i.claimants) > MaxClaimants {
		return 0, false
	}
	owner = i.claimants[0]
	if !i.kind.Strong || IsBlocked(i.kind.Name, i.value) {
		return owner, true
	}
	for _, record := range i.claimants[1:] {
		if r.find(record) != r.find(owner) && !r.parted(owner, record) && r.fits(owner, record) {
			r.union(owner, record)
		}
	}
	return owner, true
}

// people lists the groups, in the order of their first records.
func (r *resolver) people(owners map[int64]int64) []Person {
	var people []Person
	at := map[int64]int{}
	for _, record := range r.records {
		root := r.find(record)
		if _, known := at[root]; !known {
			at[root] = len(people)
			people = append(people, Person{})
		}
		p := &people[at[root]]
		p.Records = append(p.Records, record)
	}
	for _, c := range r.claims {
		root := r.find(c.Record)
		p := &people[at[root]]
		n := len(p.Links)
		if n == 0 || p.Links[n-1].Identifier != c.Identifier {
			owner, owned := owners[c.Identifier]
			p.Links = append(p.Links, Link{Identifier: c.Identifier, Source: c.Source, At: c.At, Verified: owned && r.find(owner) == root})
			n++
		}
		l := &p.Links[n-1]
		if len(l.Records) == 0 || l.Records[len(l.Records)-1] != c.Record {
			l.Records = append(l.Records, c.Record)
		}
		if c.At.Before(l.At) || c.At.Equal(l.At) && c.Source < l.Source {
			l.Source, l.At = c.Source, c.At
		}
	}
	return people
}
