package expr

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/google/cel-go/common/ast"
)

// Dependencies are what the answer of an expression depends on. All lists are sorted and without repetition.
type Dependencies struct {
	Attributes []string // of the contact, that the tenant declared
	Fields     []string // that every contact has: created_at, locale, tags, time_zone
	Tags       []string // that are looked for by name
	Purposes   []string // of consent
	Events     []EventUse
	Ages       []AgeUse
}

// EventUse is one window of the events of a type. An answer may change when such an event arrives, and when it is
// Within or Before old.
type EventUse struct {
	Name   string
	Within time.Duration // 0: however old
	Before time.Duration // 0: from the moment that it happens
}

// AgeUse is a date or an instant of the contact that is compared with the clock. An answer may change when the
// field's value is the present plus Offset, which is negative for ago.
type AgeUse struct {
	Field  string // an attribute or created_at
	Offset time.Duration
}

// set is a set of names.
type set map[string]struct{}

func (s set) add(name string) { s[name] = struct{}{} }

func (s set) sorted() []string { return slices.Sorted(maps.Keys(s)) }

// uses collects dependencies while an expression is compiled.
type uses struct {
	attributes, fields, tags, purposes set
	events                             map[EventUse]struct{}
	ages                               map[AgeUse]struct{}
}

func newUses() *uses {
	return &uses{
		attributes: set{}, fields: set{}, tags: set{}, purposes: set{},
		events: map[EventUse]struct{}{}, ages: map[AgeUse]struct{}{},
	}
}

func (u *uses) field(name string) { u.fields.add(name) }

func (u *uses) event(name string, within, before time.Duration) {
	u.events[EventUse{Name: name, Within: within, Before: before}] = struct{}{}
}

func (u *uses) dependencies() Dependencies {
	return Dependencies{
		Attributes: u.attributes.sorted(),
		Fields:     u.fields.sorted(),
		Tags:       u.tags.sorted(),
		Purposes:   u.purposes.sorted(),
		Events: slices.SortedFunc(maps.Keys(u.events), func(a, b EventUse) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Within, b.Within), cmp.Compare(a.Before, b.Before))
		}),
		Ages: slices.SortedFunc(maps.Keys(u.ages), func(a, b AgeUse) int {
			return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Offset, b.Offset))
		}),
	}
}

// noteAge records that a contact's field is compared with the clock.
func (c *compiler) noteAge(field, clock ast.Expr) {
	if field.Kind() != ast.SelectKind || c.ofEvent(field.AsSelect()) {
		return
	}
	switch {
	case clock.Kind() == ast.IdentKind && clock.AsIdent() == "now":
		c.uses.ages[AgeUse{Field: field.AsSelect().FieldName()}] = struct{}{}
	case clock.Kind() == ast.CallKind && (clock.AsCall().FunctionName() == "ago" || clock.AsCall().FunctionName() == "ahead"):
		offset, _ := parseDuration(text(clock.AsCall().Args()[0]))
		if clock.AsCall().FunctionName() == "ago" {
			offset = -offset
		}
		c.uses.ages[AgeUse{Field: field.AsSelect().FieldName(), Offset: offset}] = struct{}{}
	}
}
