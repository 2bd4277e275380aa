package store

import "github.com/tertulia-crm/tertulia/internal/crm"

// Planning an import is pure: from the rows of a batch and what the database knows about their identifiers follows
// which people are new, who is meant by each row, and which links and values to write.

// Decision is what a row says about consent for a purpose.
type Decision int8

// The decisions. The zero value leaves a recorded consent as it is.
const (
	Unsaid Decision = iota
	Granted
	Refused
)

// ContactRow is what a source says of one person. Empty texts, nil lists and Unsaid leave what is recorded as it is.
type ContactRow struct {
	Line       int64  // where the row stands in its file or list
	ExternalID string // the source's id of the person; required
	Email      string // normalised by crm.NormalizeEmail
	Phone      string // normalised by crm.NormalizePhone
	// Identifiers of other types, in the order of ContactColumns.Identifiers, normalised by identity.Normalize.
	Identifiers []string
	Locale      string // BCP 47
	TimeZone    string // IANA
	Tags        []string
	Attributes  []string   // canonical, in the order of ContactColumns.Attributes
	Consents    []Decision // in the order of ContactColumns.Purposes
	Proofs      []Proof    // likewise; nil where ContactColumns.Proofs is not set
	// Accounts are the source's numbers of those that the person belongs to, the primary one first, where ContactColumns.Accounts is set; none
	// where the row does not tell. AccountRole is what they are in the first.
	Accounts    []string
	AccountRole string
}

// Proof says how a consent was given. Empty texts are not known.
type Proof struct {
	Method      string
	TextVersion string
	GivenAt     string // RFC 3339
}

// RowOutcome tells what a row did.
type RowOutcome int8

// The outcomes of a row.
const (
	Unchanged RowOutcome = iota
	Created
	Updated
	Rejected
)

// reasonRepeated is why a row is rejected that speaks of the same record as an earlier one.
const reasonRepeated = "external_id: stands on an earlier line already; keep one line for each"

// keys are the distinct values of one type of identifier in a batch, and what the database knows of each. The slices
// run parallel.
type keys struct {
	kind   string // the identifiers' type
	values []string
	index  map[string]int32
	id     []int64 // 0: there is none yet
	owner  []int64 // the contact to whom it is verified; 0: nobody
	known  []bool  // it was there before this batch, so that it may own events
}

func newKeys(kind string, size int) *keys {
	return &keys{kind: kind, index: make(map[string]int32, size)}
}

// none stands for a row without an identifier of a type.
const none = int32(-1)

func (k *keys) add(value string) int32 {
	if value == "" {
		return none
	}
	if i, ok := k.index[value]; ok {
		return i
	}
	i := int32(len(k.values)) //nolint:gosec // a batch has some thousand rows
	k.index[value] = i
	k.values = append(k.values, value)
	k.id = append(k.id, 0)
	k.owner = append(k.owner, 0)
	k.known = append(k.known, false)
	return i
}

// missing counts the identifiers that are not in the database.
func (k *keys) missing() int {
	n := 0
	for _, id := range k.id {
		if id == 0 {
			n++
		}
	}
	return n
}

// facts are a batch's identifiers, and what the database knows about them.
type facts struct {
	external, email, phone *keys
	more                   []*keys // in the order of ContactColumns.Identifiers
	rows                   []rowKeys
	// links are those of the contacts that the identifiers above belong to.
	links map[link]bool // verified
	// records are the records of the external ids, where their contacts have several, and claims what these are known by.
	records map[int64]int64 // by identifier
	claims  map[link]bool   // of records; verified
	// accounts are those that rows name, by the source's numbers.
	accounts map[string]int64
	// Ids for what the batch creates, at least as many as it can need.
	contactIDs, identifierIDs []int64
}

// rowKeys are a row's identifiers, as indexes into keys.
type rowKeys struct {
	external, email, phone int32
	more                   []int32
}

// all are the keys of a batch, the external ids first.
func (f *facts) all() []*keys { return append([]*keys{f.external, f.email, f.phone}, f.more...) }

func collectKeys(source string, columns ContactColumns, rows []ContactRow) *facts {
	f := &facts{
		external: newKeys(crm.ExternalIdentifier(source), len(rows)),
		email:    newKeys(crm.EmailIdentifier, len(rows)),
		phone:    newKeys(crm.PhoneIdentifier, 0),
		rows:     make([]rowKeys, len(rows)), links: map[link]bool{},
	}
	for _, column := range columns.Identifiers {
		f.more = append(f.more, newKeys(column.Type, len(rows)))
	}
	for i := range rows {
		f.rows[i] = rowKeys{external: f.external.add(rows[i].ExternalID), email: f.email.add(rows[i].Email), phone: f.phone.add(rows[i].Phone)}
		for j, k := range f.more {
			f.rows[i].more = append(f.rows[i].more, k.add(rows[i].Identifiers[j]))
		}
	}
	return f
}

type link struct{ identifier, contact int64 }

// newIdentifier is an identifier to create.
type newIdentifier struct {
	id          int64
	kind, value string
}

// newLink is a link to create, or one to mark as verified.
type newLink struct {
	link
	verified bool
}

// person is one contact that a batch writes, with everything that the batch's rows say of them.
type person struct {
	id      int64
	row     *ContactRow
	created bool
	// fill: an earlier batch of the same import has written this contact, and the earlier row decides; this one only
	// adds what is missing. Otherwise two rows about one person would overwrite each other in every run.
	fill bool
	// owned: row is a copy of ours, so that another row can be folded into it.
	owned bool
}

// statement is what a row says of a record.
type statement struct {
	record int64
	row    *ContactRow
}

// plan is what a batch writes.
type plan struct {
	outcomes    []RowOutcome // by row; of those not Created or Rejected, applying finds which are Updated
	reasons     map[int]string
	contacts    []int64 // by row, or records where these are one of several of a contact; 0 where the row was rejected
	people      []person
	said        []statement // of records of contacts that have several
	claims      []newLink   // of records, that may make them somebody else's
	identifiers []newIdentifier
	links       []newLink
	verify      []link // links that are there, to be marked as verified
	bind        []newLink
	externals   []int64 // ids of the rows' external identifiers: they have had their row
	memberships []belonging
}

// planner holds the state while the rows of a batch are decided one after the other, as if each were alone.
type planner struct {
	*facts
	columns ContactColumns
	seen    *seen
	plan    *plan
	person  map[int64]int // contact id → index into plan.people
	taken   []bool        // external identifiers that a row of this batch has used
	linked  map[link]bool // links that this batch makes, and whether they are verified
}

// planContacts decides what the rows mean. Rows are taken in order: a row is about the record that its external id names, else about a new one.
// Who else the record is, because an identifier is verified to another too, is decided when all rows are written: it is claimed here.
func planContacts(columns ContactColumns, rows []ContactRow, f *facts, s *seen) *plan {
	p := &planner{
		facts: f, columns: columns, seen: s, person: make(map[int64]int, len(rows)),
		taken: make([]bool, len(f.external.values)), linked: map[link]bool{},
		plan: &plan{outcomes: make([]RowOutcome, len(rows)), contacts: make([]int64, len(rows)), reasons: map[int]string{}},
	}
	p.plan.people = make([]person, 0, len(rows))
	p.plan.links = make([]newLink, 0, 2*len(rows))
	for i := range rows {
		p.row(i, &rows[i])
	}
	return p.plan
}

func (p *planner) row(i int, row *ContactRow) {
	k := p.rows[i]
	if p.taken[k.external] || p.seen.hasExternal(p.external.id[k.external]) {
		p.plan.outcomes[i], p.plan.reasons[i] = Rejected, reasonRepeated
		return
	}
	belongs, ok := p.belongs(row)
	if !ok {
		p.plan.outcomes[i], p.plan.reasons[i] = Rejected, reasonNoAccount
		return
	}
	defer func() { p.plan.memberships = belongs.of(p.plan.memberships, p.plan.contacts[i]) }()
	p.taken[k.external] = true
	contact := p.external.owner[k.external]
	if record, several := p.records[p.external.id[k.external]]; several {
		p.plan.contacts[i] = record
		p.plan.said = append(p.plan.said, statement{record: record, row: row})
		p.each(k, func(k *keys, at int32, verified bool) { p.claim(k, at, record, verified) })
		p.plan.externals = append(p.plan.externals, p.external.id[k.external])
		return
	}
	if contact == 0 {
		contact, p.contactIDs = p.contactIDs[0], p.contactIDs[1:]
		p.plan.outcomes[i] = Created
		p.person[contact] = len(p.plan.people)
		p.plan.people = append(p.plan.people, person{id: contact, row: row, created: true})
	} else {
		p.known(contact, row)
	}
	p.plan.contacts[i] = contact
	before := len(p.plan.links) + len(p.plan.verify)
	p.each(k, func(k *keys, at int32, verified bool) { p.link(k, at, contact, verified) })
	if p.plan.outcomes[i] != Created && len(p.plan.links)+len(p.plan.verify) > before {
		p.plan.outcomes[i] = Updated
	}
	p.plan.externals = append(p.plan.externals, p.external.id[k.external])
}

// each calls a function for each identifier of a row.
func (p *planner) each(k rowKeys, f func(k *keys, at int32, verified bool)) {
	f(p.external, k.external, true)
	f(p.email, k.email, p.columns.EmailVerified)
	f(p.phone, k.phone, p.columns.PhoneVerified)
	for j, at := range k.more {
		f(p.more[j], at, p.columns.Identifiers[j].Verified)
	}
}

// known notes what a row says of a contact who is there already, or whom an earlier row of the batch has created.
func (p *planner) known(contact int64, row *ContactRow) {
	at, ok := p.person[contact]
	if !ok {
		p.person[contact] = len(p.plan.people)
		p.plan.people = append(p.plan.people, person{id: contact, row: row, fill: p.seen.hasContact(contact)})
		return
	}
	earlier := &p.plan.people[at]
	if !earlier.owned {
		earlier.row, earlier.owned = earlier.row.clone(), true
	}
	earlier.row.fill(row)
}

func (r *ContactRow) clone() *ContactRow {
	c := *r
	c.Tags = append([]string(nil), r.Tags...)
	c.Attributes = append([]string(nil), r.Attributes...)
	c.Consents = append([]Decision(nil), r.Consents...)
	c.Proofs = append([]Proof(nil), r.Proofs...)
	return &c
}

// fill takes from a later row what this one leaves unsaid.
func (r *ContactRow) fill(later *ContactRow) {
	if r.Locale == "" {
		r.Locale = later.Locale
	}
	if r.TimeZone == "" {
		r.TimeZone = later.TimeZone
	}
	for i, value := range later.Attributes {
		if r.Attributes[i] == "" {
			r.Attributes[i] = value
		}
	}
	for i, decision := range later.Consents {
		if r.Consents[i] == Unsaid {
			r.Consents[i] = decision
			if i < len(later.Proofs) {
				r.Proofs[i] = later.Proofs[i]
			}
		}
	}
	r.Tags = append(r.Tags, later.Tags...)
}

// ensure plans to create an identifier that is not there.
func (p *planner) ensure(k *keys, at int32) {
	if k.id[at] == 0 {
		k.id[at], p.identifierIDs = p.identifierIDs[0], p.identifierIDs[1:]
		p.plan.identifiers = append(p.plan.identifiers, newIdentifier{id: k.id[at], kind: k.kind, value: k.values[at]})
	}
}

// claim plans that a record of a contact with several is known by an identifier, unless it is known so already.
func (p *planner) claim(k *keys, at int32, record int64, verified bool) {
	if at == none {
		return
	}
	p.ensure(k, at)
	l := link{identifier: k.id[at], contact: record}
	if known, ok := p.claims[l]; ok && (known || !verified) {
		return
	}
	p.plan.claims = append(p.plan.claims, newLink{link: l, verified: verified})
}

// link plans what binds an identifier to a contact, unless it is bound so already.
func (p *planner) link(k *keys, at int32, contact int64, verified bool) {
	if at == none {
		return
	}
	p.ensure(k, at)
	if k.owner[at] == contact {
		return
	}
	l := link{identifier: k.id[at], contact: contact}
	if verified && k.owner[at] != 0 {
		// Verified to somebody else too: both are one person, or it is verified to one of them only.
		p.plan.claims = append(p.plan.claims, newLink{link: l, verified: true})
		return
	}
	linked, known := p.linked[l]
	if !known {
		linked, known = p.links[l]
	}
	switch {
	case known && (linked || !verified):
		return
	case known:
		p.plan.verify = append(p.plan.verify, l)
	default:
		p.plan.links = append(p.plan.links, newLink{link: l, verified: verified})
	}
	if verified {
		k.owner[at] = contact
	} else {
		p.linked[l] = verified
	}
	if k.known[at] {
		p.plan.bind = append(p.plan.bind, newLink{link: l, verified: verified})
	}
}
