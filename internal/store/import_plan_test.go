package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestPlanContacts(t *testing.T) {
	const anasContact, beasContact = 101, 102
	type known struct {
		kind  string // external, email, phone
		value string
		id    int64
		owner int64
	}
	for name, c := range map[string]struct {
		reason   string
		verified bool // e-mail addresses and telephone numbers
		known    []known
		links    map[link]bool
		seen     *seen
		rows     []ContactRow
		contacts []int64 // of the rows; 1, 2, … are new
		outcomes []RowOutcome
		linked   []newLink
		verify   []link
		bind     []newLink
		claims   []newLink
		records  map[int64]int64 // of contacts that have several
	}{
		"somebody new": {
			reason: "nothing is known: everything is made", rows: []ContactRow{{ExternalID: "A", Email: "a@x.example"}},
			contacts: []int64{1}, outcomes: []RowOutcome{Created},
			linked: []newLink{{link{11, 1}, true}, {link{12, 1}, false}},
		},
		"by the id before the address": {
			reason: "the source's own id says more than an address", verified: true,
			known: []known{{"external", "A", 51, anasContact}, {"email", "b@x.example", 52, beasContact}},
			links: map[link]bool{{51, anasContact}: true, {52, beasContact}: true},
			rows:  []ContactRow{{ExternalID: "A", Email: "b@x.example"}}, contacts: []int64{anasContact}, outcomes: []RowOutcome{Unchanged},
			claims: []newLink{{link{52, anasContact}, true}},
		},
		"a new record with identifiers of others": {
			reason: "who of them it is, is decided when all is known", verified: true,
			known: []known{{"email", "a@x.example", 51, anasContact}, {"phone", "+34600111222", 52, beasContact}},
			links: map[link]bool{{51, anasContact}: true, {52, beasContact}: true},
			rows:  []ContactRow{{ExternalID: "N", Email: "a@x.example", Phone: "+34600111222"}}, contacts: []int64{1}, outcomes: []RowOutcome{Created},
			linked: []newLink{{link{11, 1}, true}}, claims: []newLink{{link{51, 1}, true}, {link{52, 1}, true}},
		},
		"one record of several": {
			reason: "what it says is its own, and its identifiers are claimed for it", verified: true,
			known: []known{{"external", "A", 51, anasContact}, {"email", "a@x.example", 52, anasContact}}, records: map[int64]int64{51: 103},
			rows: []ContactRow{{ExternalID: "A", Email: "a@x.example"}}, contacts: []int64{103}, outcomes: []RowOutcome{Unchanged},
			claims: []newLink{{link{51, 103}, true}, {link{52, 103}, true}},
		},
		"an identifier that only events knew": {
			reason: "its events get their person", known: []known{{"external", "A", 51, 0}},
			rows: []ContactRow{{ExternalID: "A"}}, contacts: []int64{1}, outcomes: []RowOutcome{Created},
			linked: []newLink{{link{51, 1}, true}}, bind: []newLink{{link{51, 1}, true}},
		},
		"what was noted becomes proof": {
			reason: "the link is there and changes", verified: true,
			known: []known{{"external", "A", 51, anasContact}, {"email", "a@x.example", 52, 0}},
			links: map[link]bool{{51, anasContact}: true, {52, anasContact}: false},
			rows:  []ContactRow{{ExternalID: "A", Email: "a@x.example"}}, contacts: []int64{anasContact}, outcomes: []RowOutcome{Updated},
			verify: []link{{52, anasContact}}, bind: []newLink{{link{52, anasContact}, true}},
		},
		"proof is not taken back": {
			reason: "a source that does not verify says nothing against it",
			known:  []known{{"external", "A", 51, anasContact}, {"email", "a@x.example", 52, anasContact}},
			links:  map[link]bool{{51, anasContact}: true, {52, anasContact}: true},
			rows:   []ContactRow{{ExternalID: "A", Email: "a@x.example"}}, contacts: []int64{anasContact}, outcomes: []RowOutcome{Unchanged},
		},
		"two rows with one address": {
			reason: "the second claims what the first has", verified: true,
			rows:     []ContactRow{{ExternalID: "A", Email: "a@x.example"}, {ExternalID: "B", Email: "a@x.example"}},
			contacts: []int64{1, 2}, outcomes: []RowOutcome{Created, Created},
			linked: []newLink{{link{11, 1}, true}, {link{12, 1}, true}, {link{13, 2}, true}}, claims: []newLink{{link{12, 2}, true}},
		},
		"a record twice": {
			reason: "the file would contradict itself", rows: []ContactRow{{ExternalID: "A"}, {ExternalID: "A"}},
			contacts: []int64{1, 0}, outcomes: []RowOutcome{Created, Rejected}, linked: []newLink{{link{11, 1}, true}},
		},
		"a record of an earlier batch": {
			reason: "so it would over two batches", known: []known{{"external", "A", 51, anasContact}},
			links: map[link]bool{{51, anasContact}: true}, seen: seenExternals(51),
			rows: []ContactRow{{ExternalID: "A"}}, contacts: []int64{0}, outcomes: []RowOutcome{Rejected},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := collectKeys("shop", ContactColumns{}, c.rows)
			f.records = c.records
			for _, k := range c.known {
				of := map[string]*keys{"external": f.external, "email": f.email, "phone": f.phone}[k.kind]
				at := of.index[k.value]
				of.id[at], of.owner[at], of.known[at] = k.id, k.owner, true
			}
			if c.links != nil {
				f.links = c.links
			}
			f.contactIDs, f.identifierIDs = []int64{1, 2, 3}, []int64{11, 12, 13, 14, 15, 16}
			got := planContacts(ContactColumns{EmailVerified: c.verified, PhoneVerified: c.verified}, c.rows, f, c.seen)
			if diff := cmp.Diff(c.contacts, got.contacts); diff != "" {
				t.Errorf("%s: contacts: -want +got:\n%s", c.reason, diff)
			}
			if diff := cmp.Diff(c.outcomes, got.outcomes); diff != "" {
				t.Errorf("%s: outcomes: -want +got:\n%s", c.reason, diff)
			}
			for what, lists := range map[string][2][]newLink{"links": {c.linked, got.links}, "bindings": {c.bind, got.bind}, "claims": {c.claims, got.claims}} {
				if diff := cmp.Diff(lists[0], lists[1], cmp.AllowUnexported(newLink{}, link{}), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: %s: -want +got:\n%s", c.reason, what, diff)
				}
			}
			if diff := cmp.Diff(c.verify, got.verify, cmp.AllowUnexported(link{})); diff != "" {
				t.Errorf("%s: proofs: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}

func seenExternals(ids ...int64) *seen {
	s := &seen{}
	for _, id := range ids {
		s.externals.add(id)
	}
	return s
}

func TestIDSet(t *testing.T) {
	var s idSet
	in := []int64{1, 63, 64, 65, idSetPage - 1, idSetPage, 1 << 40}
	for _, id := range in {
		if s.has(id) {
			t.Errorf("%d is in before it was added", id)
		}
		s.add(id)
	}
	for _, id := range in {
		if !s.has(id) {
			t.Errorf("%d is not in", id)
		}
	}
	for _, id := range []int64{2, 62, 66, idSetPage + 1, 1<<40 + 1} {
		if s.has(id) {
			t.Errorf("%d is in", id)
		}
	}
}

func TestCopyText(t *testing.T) {
	var c copyText
	c.int(-7)
	c.text("a\tb\nc\rd\\e")
	c.textOrNull("")
	c.bool(true)
	c.array([]string{`q"u`, `b\s`, "t\tb", ""})
	c.array(nil)
	c.endRow()
	c.text("")
	c.endRow()
	want := "-7\ta\\tb\\nc\\rd\\\\e\t\\N\tt\t{\"q\\\\\"u\",\"b\\\\\\\\s\",\"t\\tb\",\"\"}\t{}\n\n"
	if diff := cmp.Diff(want, string(c.buf)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
