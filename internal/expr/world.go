package expr

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// World is what is known when a condition is asked without the database.
type World struct {
	Now      time.Time        // what now is
	Subjects map[string]Facts // by their names
	Contact  *Person          // nil: not known, and conditions that ask a contact have no answer
}

// Person is what is known of a contact in memory.
type Person struct {
	// Facts are attributes, and what every contact has: locale, time_zone, tags and created_at.
	Facts Facts
	// Zone is where the contact's days begin: that of time_zone, or else the tenant's; nil: UTC.
	Zone        *time.Location
	Purposes    []string // to which they have consented
	Identifiers []string // types of which they have one
	Segments    []string // of which they are members
	Events      []Occurrence
	Messages    []Occurrence
}

// Occurrence is an event, or what was done with a message: received, opened or clicked. Of two of one moment the first in a list is the
// earlier.
type Occurrence struct {
	Name     string // of the event; of a message, what was done
	At       time.Time
	Facts    Facts  // of an event
	Campaign string // of a message
}

// Holds evaluates a condition that is about its one subject alone, without the database. It says what the predicate would. The error tells
// that the condition is not alone.
func (c *Condition) Holds(facts Facts) (bool, error) {
	if !c.Alone() {
		return false, errors.New("the expression asks more than its subject: the database has to answer it")
	}
	return c.HoldsIn(World{Subjects: c.about(facts)})
}

// HoldsIn evaluates a condition in a world. It says what the predicate would, at that time. The error tells that the condition asks a contact,
// and the world has none.
func (c *Condition) HoldsIn(w World) (bool, error) {
	if c.asks.contact && w.Contact == nil {
		return false, errors.New("the expression asks a contact: the database has to answer it")
	}
	return holds(c.evaluate(&frame{World: w})), nil
}

// frame is where an expression is evaluated.
type frame struct {
	World
	event Facts // of a where
}

// evaluator gives the value of an expression.
type evaluator func(f *frame) ref.Val

// evaluator writes a checked expression as functions. Predicate and they mean the same: the tests' oracle compares them.
func (c *compiler) evaluator(e ast.Expr) evaluator {
	if v, isConstant := c.constant(e); isConstant {
		return func(*frame) ref.Val { return v }
	}
	switch e.Kind() {
	case ast.IdentKind: // now: all others are no values
		return func(f *frame) ref.Val { return Instant(f.Now).value }
	case ast.SelectKind:
		value := c.fieldEvaluator(e)
		if e.AsSelect().IsTestOnly() {
			return func(f *frame) ref.Val { return types.Bool(isKnown(value(f))) }
		}
		return value
	case ast.CallKind:
		return c.callEvaluator(e, e.AsCall())
	}
	return func(*frame) ref.Val { return unknown{} }
}

// constant is the value of a literal, or of a list of them.
func (c *compiler) constant(e ast.Expr) (ref.Val, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		return e.AsLiteral(), true
	case ast.ListKind:
		list := make([]ref.Val, 0, e.AsList().Size())
		for _, item := range e.AsList().Elements() {
			v, _ := c.constant(item)
			list = append(list, v)
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list), true
	case ast.CallKind:
		name := e.AsCall().FunctionName()
		if name == decimalFunction {
			fact, _ := readNumber(text(e.AsCall().Args()[0])) // resolve has read it before
			return fact.value, true
		}
		if at, isInstant := c.instant(e); isInstant {
			return moment{at, name == "date"}, true
		}
	}
	return nil, false
}

// fieldEvaluator gives a field of a subject, of the contact or of the event of a where.
func (c *compiler) fieldEvaluator(e ast.Expr) evaluator {
	chain := chainOf(e)
	name := strings.Join(chain[1:], ".")
	field, isSubject := c.fieldAt(e)
	isList := isSubject && field.List || chain[0] == "contact" && name == "tags"
	value := func(facts Facts) ref.Val {
		switch fact, known := facts[name]; {
		case known:
			return fact.value
		case isList:
			return types.NewStringList(types.DefaultTypeAdapter, nil)
		}
		return unknown{}
	}
	switch {
	case c.owns(e):
		return func(f *frame) ref.Val { return value(f.Subjects[chain[0]]) }
	case chain[0] == "contact":
		return func(f *frame) ref.Val { return value(f.Contact.Facts) }
	}
	return func(f *frame) ref.Val { return value(f.event) }
}

func (c *compiler) callEvaluator(e ast.Expr, call ast.CallExpr) evaluator {
	name := call.FunctionName()
	if isAggregate(e) {
		return c.aggregateEvaluator(call)
	}
	if offset, isClock := clockOffset(e); isClock {
		return func(f *frame) ref.Val { return Instant(f.Now.Add(offset)).value }
	}
	switch name {
	case anyFunction:
		selected := c.selector(call.Args()[0])
		return func(f *frame) ref.Val { return types.Bool(len(selected(f)) > 0) }
	case "consented":
		return member(text(call.Args()[0]), func(p *Person) []string { return p.Purposes })
	case "in_segment":
		return member(text(call.Args()[0]), func(p *Person) []string { return p.Segments })
	case "has_identifier":
		return member(text(call.Args()[0]), func(p *Person) []string { return p.Identifiers })
	case "age", "anniversary":
		return calendarEvaluator(name, text(call.Args()[0]))
	}
	operands := call.Args()
	if call.IsMemberFunction() {
		operands = append([]ast.Expr{call.Target()}, operands...)
	}
	args := make([]evaluator, 0, len(operands))
	for _, operand := range operands {
		args = append(args, c.evaluator(operand))
	}
	return calling(name, args)
}

// calling gives the value of an operator or a function. And and or ask no more than they need.
func calling(name string, args []evaluator) evaluator {
	switch name {
	case operators.LogicalAnd:
		return func(f *frame) ref.Val {
			return types.Bool(!slices.ContainsFunc(args, func(arg evaluator) bool { return !holds(arg(f)) }))
		}
	case operators.LogicalOr:
		return func(f *frame) ref.Val {
			return types.Bool(slices.ContainsFunc(args, func(arg evaluator) bool { return holds(arg(f)) }))
		}
	case operators.LogicalNot:
		return func(f *frame) ref.Val { return types.Bool(!holds(args[0](f))) }
	}
	meaning := meanings[name]
	return func(f *frame) ref.Val {
		var values [2]ref.Val // no function of values has more
		for i, arg := range args {
			values[i] = arg(f)
		}
		return meaning(values[:len(args)]...)
	}
}

// member gives whether a name is in a list of the contact's.
func member(name string, list func(*Person) []string) evaluator {
	return func(f *frame) ref.Val { return types.Bool(slices.Contains(list(f.Contact), name)) }
}

// calendarEvaluator gives age or anniversary, by the day that it is where the contact lives.
func calendarEvaluator(function, field string) evaluator {
	return func(f *frame) ref.Val {
		since, isKnown := f.Contact.day(f.Contact.Facts[field].value)
		today, _ := f.Contact.day(moment{f.Now, false})
		switch {
		case !isKnown:
			return unknown{}
		case function == "anniversary":
			return types.Int(daysToAnniversary(since, today))
		case today.Before(since):
			return unknown{}
		}
		years := today.Year() - since.Year()
		if today.Month() < since.Month() || today.Month() == since.Month() && today.Day() < since.Day() {
			years--
		}
		return types.Int(years)
	}
}

// day is the day of a value where the contact lives, as its midnight in UTC.
func (p *Person) day(v ref.Val) (time.Time, bool) {
	m, isMoment := v.(moment)
	if !isMoment || m.isDate {
		return m.Time, isMoment
	}
	zone := p.Zone
	if zone == nil {
		zone = time.UTC
	}
	year, month, day := m.In(zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC), true
}

// daysToAnniversary is 0 on it. time.Date makes the 1st of March of a 29th of February that a year has not.
func daysToAnniversary(since, today time.Time) int64 {
	coming := time.Date(today.Year(), since.Month(), since.Day(), 0, 0, 0, 0, time.UTC)
	if coming.Before(today) {
		coming = time.Date(today.Year()+1, since.Month(), since.Day(), 0, 0, 0, 0, time.UTC)
	}
	return (coming.Unix() - today.Unix()) / int64(day/time.Second)
}
