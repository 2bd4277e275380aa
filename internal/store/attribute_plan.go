package store

import (
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// attributePlan is what separates the columns that are there from those that are wanted.
type attributePlan struct {
	of         RecordType
	retype     []retyping      // the column is set aside with what it holds, and a new one made
	add        []crm.Attribute // columns to make
	constrain  []crm.Attribute // enumerations to replace: no value of a row may lie outside
	widen      []crm.Attribute // enumerations to replace that only gain values
	validate   []crm.Attribute // enumerations whose constraint is not known to hold for every row
	dropIndex  []crm.Attribute // no longer wanted, or left invalid by a build that was interrupted
	buildIndex []crm.Attribute
	record     []crm.Attribute // rows to write
	undeclare  []string        // attributes that no manifest names any more
}

// retyping gives an attribute another type.
type retyping struct {
	to   crm.Attribute
	from crm.ValueType
}

func (p attributePlan) empty() bool {
	return len(p.retype)+len(p.add)+len(p.constrain)+len(p.widen)+len(p.validate)+len(p.dropIndex)+len(p.buildIndex)+
		len(p.record)+len(p.undeclare) == 0
}

func planAttributes(wanted []crm.Attribute, present []column) attributePlan {
	known := map[string]column{}
	for _, c := range present {
		known[c.Name] = c
	}
	var p attributePlan
	for _, a := range wanted {
		c, ok := known[a.Name]
		delete(known, a.Name)
		switch {
		case !ok || c.SQLType == "":
			p.planNew(a)
			continue
		case c.Type != a.Type:
			p.retype = append(p.retype, retyping{to: a, from: c.Type})
			p.planNew(a)
			continue
		}
		p.planEnum(a, c)
		p.planIndex(a, c)
		if !c.Declared || c.Indexed != a.Indexed || c.Personal != a.Personal || c.Role != a.Role || !sameEnum(c.Enum, a.Enum) {
			p.record = append(p.record, a)
		}
	}
	for _, c := range present {
		if _, left := known[c.Name]; left && c.Declared {
			p.undeclare = append(p.undeclare, c.Name)
		}
	}
	slices.SortFunc(p.add, func(a, b crm.Attribute) int { return strings.Compare(a.Name, b.Name) })
	return p
}

func (p *attributePlan) planNew(a crm.Attribute) {
	p.add = append(p.add, a)
	p.record = append(p.record, a)
	if a.Enum != nil {
		p.widen = append(p.widen, a) // an empty column has no value outside
		p.validate = append(p.validate, a)
	}
	if a.Indexed {
		p.buildIndex = append(p.buildIndex, a)
	}
}

func (p *attributePlan) planEnum(a crm.Attribute, c column) {
	switch {
	case sameEnum(a.Enum, c.Enum) && (a.Enum != nil) == c.Check:
		if c.Check && !c.Validated {
			p.validate = append(p.validate, a)
		}
		return
	case a.Enum == nil || c.Check && c.Enum != nil && subset(c.Enum, a.Enum):
		p.widen = append(p.widen, a)
	default:
		p.constrain = append(p.constrain, a)
	}
	if a.Enum != nil {
		p.validate = append(p.validate, a)
	}
}

func (p *attributePlan) planIndex(a crm.Attribute, c column) {
	if c.Index == "invalid" || c.Index != "" && !a.Indexed {
		p.dropIndex = append(p.dropIndex, a)
	}
	if a.Indexed && c.Index != "valid" {
		p.buildIndex = append(p.buildIndex, a)
	}
}

// sameEnum compares enumerations as sets; the order is the author's.
func sameEnum(a, b []string) bool {
	return (a == nil) == (b == nil) && subset(a, b) && subset(b, a)
}

func subset(a, b []string) bool {
	for _, value := range a {
		if !slices.Contains(b, value) {
			return false
		}
	}
	return true
}
