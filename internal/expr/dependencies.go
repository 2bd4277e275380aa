package expr

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Dependencies are what the answer of an expression depends on: nothing else changes it. They are stored with a segment, as
// JSON, so that whoever follows changes evaluates only who is affected. All lists are sorted and without repetition.
//
// A change of a contact's row concerns it by Attributes, Fields and Tags; of a consent by Purposes; of an identifier's link by
// Identifiers; of a membership by Segments; a new event, or one bound to another contact, by Events; a message that is sent,
// opened or clicked by Messages. Time concerns it by what Boundaries lists, by Calendar and by Instants.
type Dependencies struct {
	Attributes  []string      `json:"attributes,omitempty"`  // of the contact, that the tenant declared
	Fields      []string      `json:"fields,omitempty"`      // that every contact has: created_at, locale, tags, time_zone
	Tags        []string      `json:"tags,omitempty"`        // that are looked for by name; where Fields has tags and this is empty, any
	Purposes    []string      `json:"purposes,omitempty"`    // of consent
	Identifiers []string      `json:"identifiers,omitempty"` // types of identifiers that a contact has or has not
	Segments    []string      `json:"segments,omitempty"`    // whose membership is asked for
	Events      []EventUse    `json:"events,omitempty"`
	Messages    []MessageUse  `json:"messages,omitempty"`
	Ages        []AgeUse      `json:"ages,omitempty"`
	Calendar    []CalendarUse `json:"calendar,omitempty"`
	// Instants are literals that are compared with the clock: when one comes, the answer may change for everybody.
	Instants []time.Time `json:"instants,omitempty"`
}

// Window is which of the events or messages count by their age. Durations travel as nanoseconds in JSON.
type Window struct {
	Within time.Duration `json:"within,omitempty"` // younger than that; 0: however old
	Before time.Duration `json:"before,omitempty"` // at least that old; 0: from the moment that it happens
	// Compared is how old the first or the last of them is asked to be; 0 where that is not asked, or is asked of now.
	Compared time.Duration `json:"compared,omitempty"`
}

// EventUse is one window of the events of a type. An answer may change when such an event arrives, and when it is as old as
// one of the window's durations.
type EventUse struct {
	Name string `json:"name"`
	Window
}

// MessageUse is one window of messages that were received, opened or clicked.
type MessageUse struct {
	What     string `json:"what"`               // received, opened, clicked
	Campaign string `json:"campaign,omitempty"` // "": of any
	Window
}

// AgeUse is a date or an instant of the contact that is compared with the clock. An answer may change when the
// field's value is the present plus Offset, which is negative for ago. Of a Date, its midnight in UTC counts.
type AgeUse struct {
	Field  string        `json:"field"` // an attribute or created_at
	Offset time.Duration `json:"offset"`
}

// CalendarUse is a day of the contact whose anniversaries are asked for. An answer may change at the contact's midnight, by
// contact.time_zone or else the tenant's zone: by age on an anniversary, and by anniversary on any day.
type CalendarUse struct {
	Function string `json:"function"` // age or anniversary
	Field    string `json:"field"`    // an attribute or created_at
	// Steps are the values that matter: the answer may change on the day on which the function's value becomes one of them, or
	// stops being one. Empty: on any day on which the value changes.
	Steps []int64 `json:"steps,omitempty"`
}

// Boundary is an age at which a single event, message or field of a contact changes an answer.
type Boundary struct {
	Of   BoundaryOf
	Name string        // of the event type; of a message, what was done with it; of the field
	Age  time.Duration // since it happened; negative: that long before
}

// BoundaryOf tells of what a boundary is.
type BoundaryOf string

// What grows old.
const (
	OfEvent   BoundaryOf = "Event"
	OfMessage BoundaryOf = "Message"
	OfField   BoundaryOf = "Field"
)

// Boundaries lists, sorted, the ages that a sweep over the passing of time has to look for: whatever became that old since the
// last sweep belongs to a contact whose answer may be another. An event may be dated ahead, so age 0 is a boundary of each.
func (d Dependencies) Boundaries() []Boundary {
	found := map[Boundary]struct{}{}
	note := func(of BoundaryOf, name string, w Window) {
		found[Boundary{of, name, w.Before}] = struct{}{} // 0: when it happens
		for _, age := range []time.Duration{w.Within, w.Compared} {
			if age > 0 {
				found[Boundary{of, name, age}] = struct{}{}
			}
		}
	}
	for _, e := range d.Events {
		note(OfEvent, e.Name, e.Window)
	}
	for _, m := range d.Messages {
		note(OfMessage, m.What, m.Window)
	}
	for _, a := range d.Ages {
		found[Boundary{OfField, a.Field, -a.Offset}] = struct{}{}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b Boundary) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Age, b.Age))
	})
}

// set is a set of names.
type set map[string]struct{}

func (s set) add(name string) { s[name] = struct{}{} }

func (s set) sorted() []string { return slices.Sorted(maps.Keys(s)) }

// calendar is one function of one field.
type calendar struct{ function, field string }

// uses collects dependencies while an expression is compiled.
type uses struct {
	attributes, fields, tags, purposes, identifiers, segments set

	events   map[EventUse]struct{}
	messages map[MessageUse]struct{}
	ages     map[AgeUse]struct{}
	calendar map[calendar]map[int64]struct{} // nil where any value matters
	instants map[time.Time]struct{}
	anyTag   bool
}

func newUses() *uses {
	return &uses{
		attributes: set{}, fields: set{}, tags: set{}, purposes: set{}, identifiers: set{}, segments: set{},
		events: map[EventUse]struct{}{}, messages: map[MessageUse]struct{}{}, ages: map[AgeUse]struct{}{},
		calendar: map[calendar]map[int64]struct{}{}, instants: map[time.Time]struct{}{},
	}
}

// field notes an attribute, or a field that every contact has.
func (u *uses) field(name string) {
	if _, common := contactFields[name]; common {
		u.fields.add(name)
		return
	}
	u.attributes.add(name)
}

// selection notes a window of events or messages.
func (u *uses) selection(s selection, compared time.Duration) {
	w := Window{Within: s.within, Before: s.before, Compared: compared}
	if s.message != "" {
		u.messages[MessageUse{s.message, s.campaign, w}] = struct{}{}
		return
	}
	u.events[EventUse{s.event.Name, w}] = struct{}{}
}

// steps notes which values of age or anniversary matter; none: all. 0 always does: an age begins with it, and behind it an
// anniversary is a year ahead again.
func (u *uses) steps(c calendar, values []int64) {
	known, noted := u.calendar[c]
	switch {
	case len(values) == 0 || noted && known == nil:
		u.calendar[c] = nil
		return
	case !noted:
		known = map[int64]struct{}{0: {}}
		u.calendar[c] = known
	}
	for _, v := range values {
		known[v] = struct{}{}
	}
}

func (u *uses) dependencies() Dependencies {
	d := Dependencies{
		Attributes: u.attributes.sorted(), Fields: u.fields.sorted(), Tags: u.tags.sorted(), Purposes: u.purposes.sorted(),
		Identifiers: u.identifiers.sorted(), Segments: u.segments.sorted(),
		Events: slices.SortedFunc(maps.Keys(u.events), func(a, b EventUse) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), a.compare(b.Window))
		}),
		Messages: slices.SortedFunc(maps.Keys(u.messages), func(a, b MessageUse) int {
			return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Campaign, b.Campaign), a.compare(b.Window))
		}),
		Ages: slices.SortedFunc(maps.Keys(u.ages), func(a, b AgeUse) int {
			return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Offset, b.Offset))
		}),
		Instants: slices.SortedFunc(maps.Keys(u.instants), time.Time.Compare),
	}
	if u.anyTag {
		d.Tags = nil
	}
	for c, values := range u.calendar {
		d.Calendar = append(d.Calendar, CalendarUse{c.function, c.field, slices.Sorted(maps.Keys(values))})
	}
	slices.SortFunc(d.Calendar, func(a, b CalendarUse) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Field, b.Field))
	})
	return d
}

func (w Window) compare(o Window) int {
	return cmp.Or(cmp.Compare(w.Within, o.Within), cmp.Compare(w.Before, o.Before), cmp.Compare(w.Compared, o.Compared))
}
