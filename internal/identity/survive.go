package identity

import (
	"cmp"
	"slices"
	"time"
)

// Value is one value of an attribute, as a record's source says it.
type Value struct {
	Text string    `json:"v"`
	At   time.Time `json:"at"` // since when the source says so
}

// Consent is what a record's source, or the person, has said of a purpose.
type Consent struct {
	Purpose     string     `json:"purpose"`
	Granted     bool       `json:"granted"`
	ByContact   bool       `json:"by_contact,omitempty"`
	Source      string     `json:"source"`
	RecordedAt  time.Time  `json:"recorded_at"`
	Method      *string    `json:"method,omitempty"`
	TextVersion *string    `json:"text_version,omitempty"`
	GivenAt     *time.Time `json:"given_at,omitempty"`
}

// Record is what one source says of a person.
type Record struct {
	ID       int64
	Source   string
	Values   map[string]Value // by attribute
	Tags     []string
	Consents []Consent
}

// Said is what a source says now. Empty texts leave what it has said before.
type Said struct {
	Values   map[string]string
	Tags     []string
	Consents []Consent
}

// Say takes in what the record's source says at a moment, and tells whether any of it is new. A value that the source has said before stays
// as old as it was, where same tells that two texts are one value of an attribute: to repeat a file makes nothing newer. What the person
// has decided themself stays.
func (r *Record) Say(said Said, at time.Time, same func(attribute, a, b string) bool) (changed bool) {
	for name, text := range said.Values {
		if known, ok := r.Values[name]; text == "" || ok && same(name, known.Text, text) {
			continue
		}
		if r.Values == nil {
			r.Values = map[string]Value{}
		}
		r.Values[name], changed = Value{Text: text, At: at}, true
	}
	for _, tag := range said.Tags {
		if !slices.Contains(r.Tags, tag) {
			r.Tags, changed = append(r.Tags, tag), true
		}
	}
	for _, c := range said.Consents {
		i := slices.IndexFunc(r.Consents, func(known Consent) bool { return known.Purpose == c.Purpose })
		switch {
		case i < 0:
			r.Consents, changed = append(r.Consents, c), true
		case !r.Consents[i].ByContact && (r.Consents[i].Granted != c.Granted || c.proves() && !r.Consents[i].sameProof(c)):
			r.Consents[i], changed = c, true
		}
	}
	return changed
}

func (c Consent) proves() bool { return c.Method != nil || c.TextVersion != nil || c.GivenAt != nil }

func (c Consent) sameProof(o Consent) bool {
	return equal(c.Method, o.Method) && equal(c.TextVersion, o.TextVersion) &&
		(c.GivenAt == nil && o.GivenAt == nil || c.GivenAt != nil && o.GivenAt != nil && c.GivenAt.Equal(*o.GivenAt))
}

func equal(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// Equal tells whether two consents say the same, whenever they were recorded.
func (c Consent) Equal(o Consent) bool {
	return c.Purpose == o.Purpose && c.Granted == o.Granted && c.ByContact == o.ByContact && c.Source == o.Source && c.sameProof(o)
}

// Profile is what counts of a person.
type Profile struct {
	Values   map[string]string
	Sources  map[string]string // whose value counts, by attribute
	Tags     []string
	Consents []Consent // by purpose
}

// Survive decides what counts of what records say of one person: of each attribute the value of the source that ranks highest, among
// those that rank alike the newest; all tags; of each purpose the strictest consent. Sources that are not ranked come behind those that are.
// A value for which valid is false counts nowhere.
func Survive(records []Record, sources []string, valid func(attribute, text string) bool) Profile {
	rank := map[string]int{}
	for i, source := range sources {
		rank[source] = i - len(sources)
	}
	ordered := slices.Clone(records)
	slices.SortFunc(ordered, func(a, b Record) int { return cmp.Compare(a.ID, b.ID) })
	p := Profile{Values: map[string]string{}, Sources: map[string]string{}}
	best := map[string]Value{}
	for _, r := range ordered {
		for name, v := range r.Values {
			known, ok := best[name]
			order := cmp.Or(cmp.Compare(rank[r.Source], rank[p.Sources[name]]), known.At.Compare(v.At), cmp.Compare(r.Source, p.Sources[name]),
				cmp.Compare(v.Text, known.Text))
			if ok && order >= 0 || !valid(name, v.Text) {
				continue
			}
			best[name], p.Sources[name], p.Values[name] = v, r.Source, v.Text
		}
		for _, tag := range r.Tags {
			if !slices.Contains(p.Tags, tag) {
				p.Tags = append(p.Tags, tag)
			}
		}
	}
	p.Consents = Strictest(ordered)
	return p
}

// Strictest is, for each purpose, the consent that leaves the least room: a no before a yes, what the person decided before what a source
// says, what was proven before what was not, and then the older.
func Strictest(records []Record) []Consent {
	by := map[string]Consent{}
	for _, r := range records {
		for _, c := range r.Consents {
			if known, ok := by[c.Purpose]; !ok || c.stricter(known) {
				by[c.Purpose] = c
			}
		}
	}
	list := make([]Consent, 0, len(by))
	for _, c := range by {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Consent) int { return cmp.Compare(a.Purpose, b.Purpose) })
	return list
}

func (c Consent) stricter(o Consent) bool {
	return cmp.Or(compareBool(c.Granted, o.Granted), compareBool(o.ByContact, c.ByContact), compareBool(o.proves(), c.proves()),
		c.RecordedAt.Compare(o.RecordedAt), cmp.Compare(c.Source, o.Source)) < 0
}
