package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// base is what a chain such as events("purchase").within("90d") starts from: an event type's name, or what was done with messages.
type base struct {
	event, message string
}

// selectionOf follows a chain of functions that narrow a selection down to where it starts from.
func selectionOf(e ast.Expr) (base, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name, isEvents := strings.CutPrefix(e.AsIdent(), eventsVariable)
		return base{event: name}, isEvents
	case ast.ComprehensionKind:
		events, _, _ := whereParts(e)
		return selectionOf(events)
	case ast.CallKind:
		call := e.AsCall()
		switch name := call.FunctionName(); {
		case !call.IsMemberFunction():
			return base{message: name}, slices.Contains(messageFunctions, name)
		case name == "within" || name == "before":
			return selectionOf(call.Target())
		}
	}
	return base{}, false
}

// eventType is the type of the events that a chain selects.
func (r *resolver) eventType(e ast.Expr) (crm.EventType, bool) {
	b, found := selectionOf(e)
	if !found || b.event == "" {
		return crm.EventType{}, false
	}
	return r.schema.Event(b.event)
}

// selectionMethod resolves the argument of a function of a selection.
func (r *resolver) selectionMethod(e ast.Expr, call ast.CallExpr, b base) {
	name := call.FunctionName()
	text, isText := onlyText(call)
	switch {
	case len(call.Args()) == 0 && (name == "count" || name == "first" || name == "last"):
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
	if name == "within" || name == "before" {
		if _, err := parseDuration(text); err != nil {
			r.add(at, "%s", err)
		}
		return
	}
	if b.event == "" {
		r.add(r.tree.at(e), "a message has no properties: of %s there are count(), first() and last()", b.message)
		return
	}
	r.aggregated(e, call, text)
}

// aggregated checks the property that a sum is over, and gives first and last the name that tells its type.
func (r *resolver) aggregated(e ast.Expr, call ast.CallExpr, name string) {
	at := r.tree.at(call.Args()[0])
	event, _ := r.eventType(call.Target())
	var accept func(crm.Property) bool
	isNumber := func(p crm.Property) bool { return p.Type == crm.Integer || p.Type == crm.Decimal }
	function := call.FunctionName()
	isEnd := function == "first" || function == "last"
	if !isEnd && function != "distinct" {
		accept = isNumber
	}
	property, found := event.Property(name)
	switch {
	case !found:
		r.unknown(at, fmt.Sprintf("event %q has no property %q", event.Name, name), name, propertyNames(event, accept))
	case accept != nil && !accept(property):
		r.unknown(at, fmt.Sprintf("property %q of event %q is a %s, not a number", name, event.Name, property.Type), "", propertyNames(event, accept))
	case isEnd && slices.Contains(identifying, name):
		r.add(at, "%s(%q) singles out a person: describe people by what they did", function, name)
	case isEnd:
		e.SetKindCase(r.factory.NewMemberCall(e.ID(), ofProperty(function, property.Type), call.Target(), call.Args()...))
	}
}
