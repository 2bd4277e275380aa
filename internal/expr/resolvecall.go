package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// methodExamples show each function that stands behind a dot.
var methodExamples = map[string]string{
	"within":     `events("purchase").within("90d")`,
	"before":     `events("purchase").before("7d")`,
	"where":      `events("purchase").where(e, e.amount > 50.0)`,
	"count":      `events("purchase").count()`,
	"sum":        `events("purchase").sum("amount")`,
	"min":        `events("purchase").min("amount")`,
	"max":        `events("purchase").max("amount")`,
	"startsWith": `contact.city.startsWith("San ")`,
	"endsWith":   `contact.company.endsWith("GmbH")`,
	"contains":   `contact.job_title.contains("engineer")`,
	"lowerAscii": `contact.city.lowerAscii() == "madrid"`,
}

// functionExamples show each function that stands alone.
var functionExamples = map[string]string{
	"has":       `has(contact.plan)`,
	"events":    `events("purchase")`,
	"consented": `consented("newsletter")`,
	"ago":       `ago("30d")`,
	"ahead":     `ahead("30d")`,
	"date":      `date("2026-03-21")`,
	"timestamp": `timestamp("2026-03-21T09:00:00Z")`,
}

// function resolves a call that stands alone. Each takes one text, written out: the statement is made from it.
func (r *resolver) function(e ast.Expr, call ast.CallExpr) {
	name := call.FunctionName()
	text, isText := onlyText(call)
	if !isText {
		r.add(r.tree.at(e), "%s takes one text in quotes: write %s", name, functionExamples[name])
		return
	}
	at := r.tree.at(call.Args()[0])
	var err error
	switch name {
	case "events":
		r.events(e, at, text)
	case "consented":
		if !crm.IsPurpose(text) {
			r.add(at, "%q is not a purpose of consent: it has at most 40 lower-case letters, digits, - and _ and begins with a letter", text)
		}
	case "ago", "ahead":
		_, err = parseDuration(text)
	case "date":
		_, err = parseDate(text)
	case "timestamp":
		_, err = parseTimestamp(text)
	}
	if err != nil {
		r.add(at, "%s", err)
	}
}

func onlyText(call ast.CallExpr) (string, bool) {
	if len(call.Args()) != 1 || call.Args()[0].Kind() != ast.LiteralKind {
		return "", false
	}
	text, isText := call.Args()[0].AsLiteral().(types.String)
	return string(text), isText
}

// events replaces events("name") by the variable that holds them, so that the checker knows their properties.
func (r *resolver) events(e ast.Expr, at position, name string) {
	if r.event != nil {
		r.add(r.tree.at(e), "a where cannot ask for other events: join two conditions by && instead")
		return
	}
	if _, found := r.schema.Event(name); !found {
		var names []string
		for _, event := range r.schema.Events {
			names = append(names, event.Name)
		}
		r.unknown(at, fmt.Sprintf("there is no event type %q", name), name, names)
		return
	}
	e.SetKindCase(r.factory.NewIdent(e.ID(), eventsVariable+name))
}

// method resolves a call that stands behind a dot.
func (r *resolver) method(e ast.Expr, call ast.CallExpr) {
	name, target := call.FunctionName(), call.Target()
	if slices.Contains(stringFunctions, name) {
		r.visit(target, false)
		for _, arg := range call.Args() {
			r.visit(arg, false)
		}
		return
	}
	if !slices.Contains(eventFunctions, name) {
		r.visit(target, false)
		valid := slices.Concat(eventFunctions, stringFunctions)
		if _, isEvents := eventsOf(target); isEvents {
			valid = eventFunctions
		}
		r.unknown(r.tree.at(e), fmt.Sprintf("unknown function %q", name), name, valid)
		return
	}
	before := len(r.list)
	r.visit(target, false)
	if len(r.list) > before {
		return
	}
	if _, isEvents := eventsOf(target); !isEvents {
		r.add(r.tree.at(e), "%s is for events: write %s", name, methodExamples[name])
		return
	}
	r.eventMethod(e, call)
}

// eventMethod resolves the argument of a function of events.
func (r *resolver) eventMethod(e ast.Expr, call ast.CallExpr) {
	name := call.FunctionName()
	text, isText := onlyText(call)
	switch {
	case name == "count" && len(call.Args()) == 0:
		return
	case name == "count":
		r.add(r.tree.at(e), "count takes nothing: write %s", methodExamples[name])
		return
	case name == "where":
		r.add(r.tree.at(e), "where takes a name for the event and a condition: write %s", methodExamples[name])
		return
	case !isText:
		r.add(r.tree.at(e), "%s takes one text in quotes: write %s", name, methodExamples[name])
		return
	}
	at := r.tree.at(call.Args()[0])
	switch name {
	case "within", "before":
		if _, err := parseDuration(text); err != nil {
			r.add(at, "%s", err)
		}
	case "sum", "min", "max":
		r.numericProperty(at, call.Target(), text)
	}
}

// numericProperty checks the property that a sum is over.
func (r *resolver) numericProperty(at position, events ast.Expr, name string) {
	event, _ := r.eventType(events)
	isNumber := func(p crm.Property) bool { return p.Type == crm.Integer || p.Type == crm.Decimal }
	property, found := event.Property(name)
	switch {
	case !found:
		r.unknown(at, fmt.Sprintf("event %q has no property %q", event.Name, name), name, propertyNames(event, isNumber))
	case !isNumber(property):
		r.unknown(at, fmt.Sprintf("property %q of event %q is a %s, not a number", name, event.Name, property.Type), "", propertyNames(event, isNumber))
	}
}

// eventsOf follows a chain of functions of events to the events that it starts from.
func eventsOf(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return strings.CutPrefix(e.AsIdent(), eventsVariable)
	case ast.ComprehensionKind:
		events, _, _ := whereParts(e)
		return eventsOf(events)
	case ast.CallKind:
		if call := e.AsCall(); call.IsMemberFunction() && (call.FunctionName() == "within" || call.FunctionName() == "before") {
			return eventsOf(call.Target())
		}
	}
	return "", false
}
