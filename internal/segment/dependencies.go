package segment

import (
	"cmp"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/expr"
)

// Dependencies are what can change a membership, as a segment's row holds them: triggers note changes of what is watched, and
// a sweep notes who crosses a boundary.
type Dependencies struct {
	Watches    []Watch    `json:"watches"`
	Boundaries []Boundary `json:"boundaries"`
}

// Watch is something of a contact that can change.
type Watch struct {
	Kind WatchKind `json:"kind"`
	Name string    `json:"name"`
}

// WatchKind says what changes.
type WatchKind string

// The kinds of watches, with what their names are.
const (
	WatchAttribute  WatchKind = "attribute"  // an attribute
	WatchField      WatchKind = "field"      // a field that every contact has
	WatchTag        WatchKind = "tag"        // a tag
	WatchPurpose    WatchKind = "purpose"    // a purpose of consent
	WatchIdentifier WatchKind = "identifier" // a type of identifiers
	WatchSegment    WatchKind = "segment"    // another segment, whose membership is asked for
	WatchEvent      WatchKind = "event"      // an event type
	WatchMessage    WatchKind = "message"    // what people do with messages: opened, clicked
	WatchReceived   WatchKind = "received"   // messages that are sent to the contact: received
)

// Boundary is where the passing of time changes an answer: so many microseconds After an event, a message or the moment that a
// field of the contact holds; negative where that is before. Age and anniversary change at the contact's midnight, and an
// instant changes the answer for everybody.
type Boundary struct {
	Of    BoundaryKind `json:"of"`
	Name  string       `json:"name"` // of the event type, of what is done with the message, of the field's column; the instant
	After int64        `json:"after,omitempty"`
	Steps []int64      `json:"steps,omitempty"` // of age and anniversary: the values that matter; empty: all
}

// BoundaryKind says what a boundary is counted from.
type BoundaryKind string

// The kinds of boundaries.
const (
	OfEvent       BoundaryKind = "event"
	OfMessage     BoundaryKind = "message"
	OfField       BoundaryKind = "field"
	OfAge         BoundaryKind = "age"
	OfAnniversary BoundaryKind = "anniversary"
	OfInstant     BoundaryKind = "instant"
)

func (b Boundary) compare(o Boundary) int {
	return cmp.Or(cmp.Compare(b.Of, o.Of), cmp.Compare(b.Name, o.Name), cmp.Compare(b.After, o.After), slices.Compare(b.Steps, o.Steps))
}

// Depend plans what has to be noticed so that a membership never stays behind an expression with these dependencies.
func Depend(d expr.Dependencies) Dependencies {
	return Dependencies{Watches: watches(d), Boundaries: boundaries(d)}
}

func watches(d expr.Dependencies) []Watch {
	list := []Watch{}
	add := func(kind WatchKind, names ...string) {
		for _, name := range names {
			list = append(list, Watch{kind, name})
		}
	}
	add(WatchAttribute, d.Attributes...)
	for _, field := range d.Fields {
		if field == "tags" && len(d.Tags) > 0 {
			continue // only single ones are looked for
		}
		add(WatchField, field)
	}
	add(WatchTag, d.Tags...)
	add(WatchPurpose, d.Purposes...)
	add(WatchIdentifier, d.Identifiers...)
	add(WatchSegment, d.Segments...)
	for _, e := range d.Events {
		add(WatchEvent, e.Name)
	}
	for _, m := range d.Messages {
		kind := WatchMessage
		if m.What == string(WatchReceived) {
			kind = WatchReceived
		}
		add(kind, m.What)
	}
	slices.SortFunc(list, func(a, b Watch) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return slices.Compact(list)
}

func boundaries(d expr.Dependencies) []Boundary {
	list := []Boundary{}
	column := func(field string) string {
		if slices.Contains(d.Attributes, field) {
			return "attr_" + field
		}
		return field
	}
	for _, b := range d.Boundaries() {
		bound := Boundary{Of: OfEvent, Name: b.Name, After: b.Age.Microseconds()}
		switch b.Of {
		case expr.OfMessage:
			bound.Of = OfMessage
		case expr.OfField:
			bound.Of, bound.Name = OfField, column(b.Name)
		}
		list = append(list, bound)
	}
	for _, c := range d.Calendar {
		list = append(list, Boundary{Of: BoundaryKind(c.Function), Name: column(c.Field), Steps: c.Steps})
	}
	for _, at := range d.Instants {
		list = append(list, Boundary{Of: OfInstant, Name: at.UTC().Format(time.RFC3339Nano)})
	}
	slices.SortFunc(list, Boundary.compare)
	return slices.CompactFunc(list, func(a, b Boundary) bool { return a.compare(b) == 0 })
}
