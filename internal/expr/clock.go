package expr

import (
	"time"

	"github.com/google/cel-go/common/ast"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// clockOffset recognises now, ago and ahead: how far from the present.
func clockOffset(e ast.Expr) (offset time.Duration, isClock bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return 0, e.AsIdent() == "now"
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case "ago":
			d, _ := parseDuration(text(call.Args()[0])) // resolve has read it before
			return -d, true
		case "ahead":
			d, _ := parseDuration(text(call.Args()[0]))
			return d, true
		}
	}
	return 0, false
}

// noteClock records what is compared with the clock: the answer changes when time passes it. A date inside an event is refused,
// because no index could find whose passes it.
func (c *compiler) noteClock(value, clock ast.Expr) {
	offset, isClock := clockOffset(clock)
	if !isClock {
		return
	}
	if at, isLiteral := c.instant(value); isLiteral {
		c.uses.instants[at.Add(-offset)] = struct{}{}
		return
	}
	switch value.Kind() {
	case ast.SelectKind:
		if c.owns(value) {
			return // nothing follows a subject: it is asked about once
		}
		if c.ofEvent(value) {
			c.add(c.tree.at(value), "a property of an event cannot be compared with the clock: use within and before for when the event happened")
			return
		}
		c.uses.ages[AgeUse{Field: value.AsSelect().FieldName(), Offset: offset}] = struct{}{}
	case ast.CallKind:
		call := value.AsCall()
		if !isAggregate(value) {
			return
		}
		if len(call.Args()) > 0 {
			c.add(c.tree.at(value), "a property of an event cannot be compared with the clock: first() and last() are when it happened")
			return
		}
		if s, found := c.selected(call.Target()); found && offset < 0 {
			c.uses.selection(s, -offset)
		}
	}
}

// instant is a literal date or timestamp as the moment that it stands for.
func (c *compiler) instant(e ast.Expr) (time.Time, bool) {
	value, typ, isLiteral := c.literal(e)
	layout := map[crm.ValueType]string{crm.Date: time.DateOnly, crm.Timestamp: time.RFC3339Nano}[typ]
	if !isLiteral || layout == "" {
		return time.Time{}, false
	}
	at, err := time.Parse(layout, value)
	return at, err == nil
}

// calendarCall compiles age and anniversary: by the day that it is where the contact lives.
func (c *compiler) calendarCall(call ast.CallExpr) string {
	name, function := text(call.Args()[0]), map[string]string{"age": "completed_years", "anniversary": "days_to_anniversary"}[call.FunctionName()]
	// The zone is written once for each use: SQL has no names for parts of an expression.
	zone := func() string { return "coalesce(c.time_zone, (select time_zone from tenant))" }
	day, typ := "c.created_at", crm.Timestamp
	if attribute, found := c.schema.Attribute(name); found {
		day, typ = `c."`+attribute.Column()+`"`, attribute.Type
	}
	if typ == crm.Timestamp {
		day = "local_day(" + day + ", " + zone() + ")"
	}
	c.uses.field(name)
	c.uses.field("time_zone")
	c.uses.steps(calendar{call.FunctionName(), name}, c.decisive)
	c.spend(costOfCalendar)
	return function + "(" + day + ", local_day(" + statementTime + ", " + zone() + "))"
}

// decisiveValues are the whole numbers that age or anniversary is compared with; nil where it is compared with something else.
func decisiveValues(call ast.CallExpr) []int64 {
	args := call.Args()
	if len(args) != 2 {
		return nil
	}
	for i, side := range args {
		if side.Kind() != ast.CallKind || side.AsCall().FunctionName() != "age" && side.AsCall().FunctionName() != "anniversary" {
			continue
		}
		if other := args[1-i]; other.Kind() == ast.ListKind {
			return wholeNumbers(other.AsList().Elements())
		}
		return wholeNumbers(args[1-i : 2-i])
	}
	return nil
}

func wholeNumbers(items []ast.Expr) []int64 {
	var values []int64
	for _, item := range items {
		value, isNumber := wholeNumber(item)
		if !isNumber {
			return nil
		}
		values = append(values, value)
	}
	return values
}
