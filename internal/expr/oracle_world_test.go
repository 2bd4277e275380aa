package expr_test

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// holdMembers are those who belong, asked without the database.
func holdMembers(rt *rapid.T, schema crm.Schema, people []row, sources []string) (all [][]int64) {
	var known []*expr.Person
	for _, p := range people {
		known = append(known, remembered(p.person, schema))
	}
	for _, source := range sources {
		condition, err := expr.CompileAmong(schema, nil, source)
		if err != nil {
			rt.Fatalf("compile %s: %v", source, err)
		}
		var ids []int64
		for i, p := range people {
			holds, err := condition.HoldsIn(expr.World{Now: clock, Contact: known[i]})
			if err != nil {
				rt.Fatalf("%s: %v", source, err)
			}
			if holds {
				ids = append(ids, p.id)
			}
		}
		all = append(all, ids)
	}
	return all
}

// remembered is a person of the oracle as expr has people in memory.
func remembered(p *person, schema crm.Schema) *expr.Person {
	known := &expr.Person{
		Facts: expr.Facts{"tags": expr.Texts(p.tags), "created_at": expr.Instant(p.created.Time)}, Zone: p.zone(),
		Identifiers: slices.Collect(maps.Keys(p.identifiers)), Segments: slices.Collect(maps.Keys(p.segments)),
	}
	for name, v := range map[string]ref.Val{"locale": p.locale, "time_zone": p.timeZone} {
		if text, isText := v.(types.String); isText {
			known.Facts[name] = expr.Text(string(text))
		}
	}
	for _, a := range schema.Attributes {
		if fact, isKnown := rememberedValue(p.attributes[a.Name]); isKnown {
			known.Facts[a.Name] = fact
		}
	}
	for purpose, granted := range p.consents {
		if granted {
			known.Purposes = append(known.Purposes, purpose)
		}
	}
	for _, o := range p.events {
		properties, err := json.Marshal(o.properties)
		if err != nil {
			panic(err)
		}
		event, _ := schema.Event(o.name)
		known.Events = append(known.Events, expr.Occurrence{Name: o.name, At: o.at, Facts: expr.ReadEvent(event, properties)})
	}
	for _, o := range p.messages {
		known.Messages = append(known.Messages, expr.Occurrence{Name: o.what, At: o.at, Campaign: o.name})
	}
	return known
}

func rememberedValue(v ref.Val) (fact expr.Fact, known bool) {
	switch v := v.(type) {
	case types.String:
		return expr.Text(string(v)), true
	case types.Int:
		return expr.Integer(int64(v)), true
	case types.Bool:
		return expr.Boolean(bool(v)), true
	case decimal:
		return expr.ReadFact(crm.Decimal, v.FloatString(30))
	case calendarDate:
		return expr.Day(v.Time), true
	case instant:
		return expr.Instant(v.In(time.UTC)), true
	}
	return expr.Fact{}, false
}
