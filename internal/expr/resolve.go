package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// resolver goes through the parsed tree before the checker: it knows what authors mistype, and says what they
// probably meant; it validates literals; it keeps expressions from singling people out; and it rewrites what CEL has
// no words for (decimal literals, and events("name") as the list of that type's events).
type resolver struct {
	issues
	environment
	tree      *tree
	factory   ast.ExprFactory
	event     *crm.EventType // of the where around; nil outside
	eventName string         // the author's name for that event
}

// resolve rewrites the tree in place, or says what is wrong with its names and literals.
func resolve(env environment, t *tree) error {
	r := &resolver{environment: env, tree: t, factory: ast.NewExprFactory()}
	if env.want != nil {
		r.visit(t.root(), false)
		return r.err()
	}
	r.condition(t.root())
	return r.err()
}

// condition resolves an expression where a condition is asked for. A selection of events or messages is one there: is there any?
func (r *resolver) condition(e ast.Expr) {
	r.visit(e, false)
	if _, isSelection := selectionOf(e); isSelection {
		selection := r.factory.NewUnspecifiedExpr(r.tree.newID(e))
		selection.SetKindCase(e)
		e.SetKindCase(r.factory.NewCall(e.ID(), anyFunction, selection))
	}
}

// visit resolves an expression. presence says that only null is asked for, which even a personal attribute may be.
func (r *resolver) visit(e ast.Expr, presence bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		r.literal(e)
	case ast.IdentKind:
		r.ident(e)
	case ast.SelectKind:
		r.field(e, presence)
	case ast.CallKind:
		r.call(e)
	case ast.ListKind:
		r.listOf(e)
	case ast.ComprehensionKind:
		r.where(e)
	default:
		r.add(r.tree.at(e), "maps and messages are not part of the language")
	}
}

func (r *resolver) literal(e ast.Expr) {
	switch value := e.AsLiteral().(type) {
	case types.Double:
		offset, _ := r.tree.ast.SourceInfo().GetOffsetRange(e.ID())
		text, err := parseDecimal(string(r.tree.text[offset.Start:]), float64(value))
		if err != nil {
			r.add(r.tree.at(e), "%s", err)
			return
		}
		r.wrapDecimal(e, text)
	case types.String:
		switch err := checkText(string(value)); {
		case err != nil:
			r.add(r.tree.at(e), "%s", err)
		case namesPerson(string(value)):
			r.add(r.tree.at(e), "an address or a number of a person must not stand in an expression: describe people by attributes, tags, consent and events")
		}
	case types.Bool, types.Int, types.Null:
	default:
		r.add(r.tree.at(e), "this kind of literal is not part of the language: write a text, a number, true, false or null")
	}
}

// wrapDecimal replaces a number by a call that holds its text.
func (r *resolver) wrapDecimal(e ast.Expr, text string) {
	literal := r.factory.NewLiteral(r.tree.newID(e), types.String(text))
	e.SetKindCase(r.factory.NewCall(e.ID(), decimalFunction, literal))
}

func (r *resolver) ident(e ast.Expr) {
	name := e.AsIdent()
	switch {
	case r.alone() != nil && (name == "contact" || name == "now"):
		r.addNotAlone(e, name)
	case name == "now":
	case name == "contact" || r.event != nil && name == r.eventName || r.isSubject(name):
		r.add(r.tree.at(e), "%s is not a value: name one of its fields, such as %s.%s", name, name, r.exampleField(name))
	default:
		for _, s := range r.subjects {
			if _, found := s.field([]string{name}); found {
				r.suggest(r.tree.at(e), fmt.Sprintf("unknown name %q", name), s.Name+"."+name)
				return
			}
		}
		if _, found := r.schema.Attribute(name); found || contactFields[name].column != "" && r.alone() == nil {
			r.suggest(r.tree.at(e), fmt.Sprintf("unknown name %q", name), "contact."+name)
			return
		}
		r.unknown(r.tree.at(e), fmt.Sprintf("unknown name %q", name), name, r.names())
	}
}

// addNotAlone refuses what is asked of somebody, or of the clock, where only the subject is there.
func (r *resolver) addNotAlone(e ast.Expr, name string) {
	r.add(r.tree.at(e), "%s is not part of this expression: it is about the %s alone, whoever the contact and whenever it is", name, r.alone().Name)
}

func (r *resolver) isSubject(name string) bool {
	_, isSubject := r.subject(name)
	return isSubject
}

func (r *resolver) names() []string {
	names := []string{"contact", "now"}
	if r.alone() != nil {
		names = nil
	}
	for _, s := range r.subjects {
		names = append(names, s.Name)
	}
	if r.event != nil {
		names = append(names, r.eventName)
	}
	return names
}

func (r *resolver) exampleField(owner string) string {
	s, isSubject := r.subject(owner)
	switch {
	case owner == "contact":
		return "tags"
	case isSubject && len(s.Fields) > 0:
		return s.Fields[0].Name
	case r.event != nil && len(r.event.Properties) > 0:
		return r.event.Properties[0].Name
	}
	return "amount"
}

// field resolves contact.<attribute> and, inside a where, <event>.<property>.
func (r *resolver) field(e ast.Expr, presence bool) {
	access := e.AsSelect()
	field := access.FieldName()
	if s, isSubject := r.owner(e); isSubject {
		r.subjectField(e, s, presence || access.IsTestOnly())
		return
	}
	if access.Operand().Kind() != ast.IdentKind {
		r.visit(access.Operand(), false)
		r.add(r.tree.at(e), "%s", r.nothingElse())
		return
	}
	switch owner := access.Operand().AsIdent(); {
	case r.event != nil && owner == r.eventName:
		r.property(e, field, presence || access.IsTestOnly())
	case owner == "contact" && r.alone() == nil:
		r.attribute(e, field, presence || access.IsTestOnly())
	case owner == "now" && r.alone() == nil:
		r.add(r.tree.at(e), "%s", r.nothingElse())
	default:
		r.ident(access.Operand())
	}
}

// nothingElse tells what has fields.
func (r *resolver) nothingElse() string {
	var subjects []string
	for _, s := range r.subjects {
		subjects = append(subjects, "the "+s.Name)
	}
	switch n := len(subjects); n {
	case 0:
		return "only a contact and the event of a where have fields"
	case 1:
		return "only a contact, the event of a where and " + subjects[0] + " have fields"
	default:
		return "only a contact, the event of a where, " + strings.Join(subjects[:n-1], ", ") + " and " + subjects[n-1] + " have fields"
	}
}

func (r *resolver) fieldNames() []string {
	var names []string
	for name := range contactFields {
		names = append(names, name)
	}
	for _, a := range r.schema.Attributes {
		names = append(names, a.Name)
	}
	return names
}

func propertyNames(event crm.EventType, accept func(crm.Property) bool) []string {
	var names []string
	for _, p := range event.Properties {
		if accept == nil || accept(p) {
			names = append(names, p.Name)
		}
	}
	return names
}

// refused are operators of CEL that the language does without, with what to say about them.
var refused = map[string]string{
	operators.Add:         "arithmetic is not part of the language: compute the value beforehand",
	operators.Subtract:    "arithmetic is not part of the language: compute the value beforehand",
	operators.Multiply:    "arithmetic is not part of the language: compute the value beforehand",
	operators.Divide:      "arithmetic is not part of the language: compute the value beforehand",
	operators.Modulo:      "arithmetic is not part of the language: compute the value beforehand",
	operators.Negate:      "arithmetic is not part of the language: only a number can have a sign",
	operators.Conditional: "? : is not part of the language: write (a && b) || (!a && c)",
	operators.Index:       "indexes are not part of the language",
	operators.OptIndex:    "indexes are not part of the language",
	operators.OptSelect:   "optional fields are not part of the language: every attribute may be null",
	"matches":             "regular expressions are not part of the language: use startsWith, endsWith or contains",
}

// binary are the operators that compare two values or join two conditions.
var binary = []string{
	operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.In,
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
}

func (r *resolver) call(e ast.Expr) {
	call := e.AsCall()
	name := call.FunctionName()
	if message, found := refused[name]; found {
		r.add(r.tree.at(e), "%s", message)
		return
	}
	switch {
	case call.IsMemberFunction():
		r.method(e, call)
	case slices.Contains(binary, name):
		r.operator(call)
	case slices.Contains(globalFunctions, name):
		r.function(e, call)
	default:
		message := fmt.Sprintf("unknown function %q", name)
		if slices.Contains(behindDot, name) {
			message = fmt.Sprintf("%s stands behind a dot: write %s", name, methodExamples[name])
			r.add(r.tree.at(e), "%s", message)
			return
		}
		r.unknown(r.tree.at(e), message, name, r.functionNames())
	}
}

// operator resolves both sides. Beside null in == or !=, a personal attribute is allowed.
func (r *resolver) operator(call ast.CallExpr) {
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
		for _, arg := range call.Args() {
			r.condition(arg)
		}
	case operators.Equals, operators.NotEquals:
		for i, arg := range call.Args() {
			r.visit(arg, isNull(call.Args()[1-i]))
			r.whole(arg, isNull(call.Args()[1-i]))
		}
	default:
		for _, arg := range call.Args() {
			r.visit(arg, false)
			r.whole(arg, false)
		}
	}
}

func isNull(e ast.Expr) bool {
	return e.Kind() == ast.LiteralKind && e.AsLiteral().Type() == types.NullType
}

// listOf resolves the items of a list. Beside a decimal, whole numbers become decimals too, so that a list has one type.
func (r *resolver) listOf(e ast.Expr) {
	items := e.AsList().Elements()
	if len(items) > maxListItems {
		r.add(r.tree.at(e), "the list has %d items; at most %d are allowed", len(items), maxListItems)
		return
	}
	decimals := false
	for _, item := range items {
		r.visit(item, false)
		decimals = decimals || item.Kind() == ast.CallKind && item.AsCall().FunctionName() == decimalFunction
	}
	for _, item := range items {
		if value, isInteger := wholeNumber(item); decimals && isInteger {
			r.wrapDecimal(item, fmt.Sprint(value))
		}
	}
}

func wholeNumber(e ast.Expr) (int64, bool) {
	if e.Kind() != ast.LiteralKind {
		return 0, false
	}
	value, isInteger := e.AsLiteral().(types.Int)
	return int64(value), isInteger
}

// where resolves the events and then the condition, in which the author's name stands for one of them.
func (r *resolver) where(e ast.Expr) {
	events, name, condition := whereParts(e)
	r.visit(events, false)
	event, found := r.eventType(events)
	switch {
	case !found:
		r.addUnlessFound(r.tree.at(e), "where is for events: write %s", methodExamples["where"])
		return
	case slices.Contains([]string{"contact", "now"}, name) || r.isSubject(name):
		r.add(r.tree.at(e), "where needs another name for the event than %s, such as e", name)
		return
	}
	r.event, r.eventName = &event, name
	r.condition(condition)
	r.event, r.eventName = nil, ""
}

// addUnlessFound adds an issue unless there is one already that probably caused it.
func (r *resolver) addUnlessFound(at position, format string, args ...any) {
	if len(r.list) == 0 {
		r.add(at, format, args...)
	}
}
