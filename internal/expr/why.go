package expr

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Part is a part of a condition that decided, as its author might have written it, with what was seen of the values that it asks.
type Part struct {
	Source string      `json:"source"`
	Holds  bool        `json:"holds"`
	Values []PartValue `json:"values,omitempty"`
}

// PartValue is what was seen of a field or a function. Of a personal one it is only whether it is known.
type PartValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// String tells whether the part holds, and why: contact.plan == "club" does not hold: contact.plan is "free".
func (p Part) String() string {
	text := p.Source + " does not hold"
	if p.Holds {
		text = p.Source + " holds"
	}
	seen := make([]string, 0, len(p.Values))
	for _, v := range p.Values {
		seen = append(seen, v.Name+" is "+v.Value)
	}
	if len(seen) > 0 {
		text += ": " + strings.Join(seen, ", ")
	}
	return text
}

// Why tells whether a condition holds in a world, and the smallest parts of it that made it so. The error is that of HoldsIn.
func (c *Condition) Why(w World) (holdsHere bool, parts []Part, err error) {
	if c.asks.contact && w.Contact == nil {
		return false, nil, errors.New("the expression asks a contact: the database has to answer it")
	}
	e := explainer{compiler: c.compiler, frame: &frame{World: w}}
	holdsHere = e.decide(c.compiler.tree.root())
	return holdsHere, e.parts, nil
}

// explainer goes down into the parts of a condition that decided.
type explainer struct {
	*compiler
	frame *frame
	parts []Part
}

func (x *explainer) value(e ast.Expr) ref.Val { return x.evaluator(e)(x.frame) }

// decide tells whether a condition holds and notes the parts of it that made it so.
func (x *explainer) decide(e ast.Expr) bool {
	holdsHere := holds(x.value(e))
	if e.Kind() == ast.CallKind {
		switch call := e.AsCall(); call.FunctionName() {
		case operators.LogicalNot:
			x.decide(call.Args()[0])
			return holdsHere
		case operators.LogicalAnd, operators.LogicalOr:
			for _, arg := range call.Args() {
				if holds(x.value(arg)) == holdsHere {
					x.decide(arg)
				}
			}
			return holdsHere
		}
	}
	part := Part{Source: x.written(e), Holds: holdsHere}
	x.look(e, &part)
	if !slices.ContainsFunc(x.parts, func(p Part) bool { return p.Source == part.Source }) {
		x.parts = append(x.parts, part)
	}
	return holdsHere
}

// look notes the values that a part asks.
func (x *explainer) look(e ast.Expr, part *Part) {
	note := func(of ast.Expr, value string) {
		name := x.written(of)
		if name != part.Source && !slices.ContainsFunc(part.Values, func(v PartValue) bool { return v.Name == name }) {
			part.Values = append(part.Values, PartValue{name, value})
		}
	}
	_, isClock := clockOffset(e)
	switch {
	case e.Kind() == ast.SelectKind:
		access := e
		if e.AsSelect().IsTestOnly() {
			return
		}
		note(access, x.seen(access))
		return
	case isClock || isAggregate(e) || e.Kind() == ast.CallKind && slices.Contains([]string{"age", "anniversary"}, e.AsCall().FunctionName()):
		note(e, display(x.value(e)))
		return
	case e.Kind() == ast.ComprehensionKind || e.Kind() == ast.CallKind && e.AsCall().FunctionName() == anyFunction:
		return
	}
	for _, child := range children(e) {
		x.look(child, part)
	}
}

// seen is the value of a field, or only whether it is known where it tells who somebody is.
func (x *explainer) seen(e ast.Expr) string {
	v := x.value(e)
	if !x.isPersonal(e) || !isKnown(v) {
		return display(v)
	}
	return "known"
}

func (x *explainer) isPersonal(e ast.Expr) bool {
	chain := chainOf(e)
	name := chain[len(chain)-1]
	field, _ := x.fieldAt(e)
	attribute, _ := x.schema.Attribute(name)
	return Identifies(name) || field.Personal || field.Free || chain[0] == "contact" && attribute.Personal
}

// display is a value as people read it.
func display(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return strconv.Quote(shortened(string(v)))
	case unknown:
		return "not known"
	}
	if !isKnown(v) {
		return "empty"
	}
	if list := items(v); len(list) > 0 {
		texts := make([]string, 0, len(list))
		for _, item := range list {
			texts = append(texts, display(item))
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	return written(v)
}

// shortened keeps what is displayed readable.
func shortened(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// written is an expression as its author might have written it.
func (x *explainer) written(e ast.Expr) string {
	switch e.Kind() {
	case ast.LiteralKind:
		return literalText(e.AsLiteral())
	case ast.IdentKind:
		if name, isEvents := strings.CutPrefix(e.AsIdent(), eventsVariable); isEvents {
			return "events(" + strconv.Quote(name) + ")"
		}
		return e.AsIdent()
	case ast.SelectKind:
		chain := strings.Join(chainOf(e), ".")
		if e.AsSelect().IsTestOnly() {
			return "has(" + chain + ")"
		}
		return chain
	case ast.ListKind:
		return "[" + x.list(e.AsList().Elements()) + "]"
	case ast.ComprehensionKind:
		events, name, condition := whereParts(e)
		return x.written(events) + ".where(" + name + ", " + x.written(condition) + ")"
	}
	return x.writtenCall(e.AsCall())
}

func literalText(v ref.Val) string {
	switch v {
	case types.NullValue:
		return "null"
	case types.True:
		return "true"
	case types.False:
		return "false"
	}
	if text, isText := v.(types.String); isText {
		return strconv.Quote(string(text))
	}
	return written(v)
}

func (x *explainer) list(items []ast.Expr) string {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		texts = append(texts, x.written(item))
	}
	return strings.Join(texts, ", ")
}

func (x *explainer) writtenCall(call ast.CallExpr) string {
	name := call.FunctionName()
	sign, isOperator := operators.FindReverse(name)
	switch {
	case name == decimalFunction:
		return text(call.Args()[0])
	case name == anyFunction:
		return x.written(call.Args()[0])
	case name == operators.LogicalNot:
		return "!" + x.operandText(call.Args()[0])
	case isOperator && sign != "":
		parts := make([]string, 0, len(call.Args()))
		for _, arg := range call.Args() {
			parts = append(parts, x.operandText(arg))
		}
		return strings.Join(parts, " "+sign+" ")
	case call.IsMemberFunction():
		return x.written(call.Target()) + "." + aggregateName(call) + "(" + x.list(call.Args()) + ")"
	}
	return name + "(" + x.list(call.Args()) + ")"
}

// operandText puts what has an operator of its own into parentheses.
func (x *explainer) operandText(e ast.Expr) string {
	text := x.written(e)
	if e.Kind() != ast.CallKind {
		return text
	}
	if sign, isOperator := operators.FindReverse(e.AsCall().FunctionName()); isOperator && sign != "" && e.AsCall().FunctionName() != operators.LogicalNot {
		return "(" + text + ")"
	}
	return text
}
