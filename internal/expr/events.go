package expr

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// selection is what a chain such as events("purchase").within("90d").where(e, e.amount > 50.0) selects.
type selection struct {
	event      crm.EventType
	within     time.Duration // events of the last …; 0 for all
	before     time.Duration // events at least … old; 0 for all that have happened
	conditions []ast.Expr
}

// selected follows a chain from its end to events("name"). Of several windows the narrowest counts.
func (c *compiler) selected(e ast.Expr) (selection, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name, isEvents := strings.CutPrefix(e.AsIdent(), eventsVariable)
		event, found := c.schema.Event(name)
		return selection{event: event}, isEvents && found
	case ast.ComprehensionKind:
		events, _, condition := whereParts(e)
		s, found := c.selected(events)
		s.conditions = append(s.conditions, condition)
		return s, found
	case ast.CallKind:
		call := e.AsCall()
		if !call.IsMemberFunction() {
			return selection{}, false
		}
		s, found := c.selected(call.Target())
		d, err := parseDuration(text(call.Args()[0]))
		switch call.FunctionName() {
		case "within":
			if s.within == 0 || d < s.within {
				s.within = d
			}
		case "before":
			s.before = max(s.before, d)
		default:
			found = false
		}
		return s, found && err == nil
	}
	return selection{}, false
}

// from compiles the events of a contact that a chain selects, as what follows "select … ". An event that is dated
// ahead does not count until it happens.
func (c *compiler) from(events ast.Expr) string {
	s, found := c.selected(events)
	if !found {
		return c.refuse(events)
	}
	c.uses.event(s.event.Name, s.within, s.before)
	sql := "from event e where e.contact_id = c.id and e.name = " + c.argument(s.event.Name, "text")
	if s.within > 0 {
		sql += " and e.occurred_at > " + statementTime + " - " + c.argument(intervalText(s.within), "interval")
	}
	sql += " and e.occurred_at <= " + statementTime
	if s.before > 0 {
		sql += " - " + c.argument(intervalText(s.before), "interval")
	}
	c.event = &s.event
	for _, condition := range s.conditions {
		sql += " and " + c.predicate(condition, false)
	}
	c.event = nil
	return sql
}

// countTest compiles a comparison of a count with a whole number, or its negation. It reads no more events than decide
// it: one for "any" and "none", which become exists and not exists, and one more than the number for the rest.
func (c *compiler) countTest(call ast.CallExpr, operator string, negated bool) (sql string, isCount bool) {
	events, number := call.Args()[0], call.Args()[1]
	if isCountCall(number) {
		events, number = number, events
		operator = mirrored[operator]
	}
	n, isNumber := wholeNumber(number)
	if !isCountCall(events) || !isNumber {
		return "", false
	}
	events = events.AsCall().Target()
	switch {
	case operator == operators.Greater && n == 0, operator == operators.GreaterEquals && n == 1:
		return negateDefinite(c.exists(events), negated), true
	case operator == operators.Less && n == 1, operator == operators.LessEquals && n == 0, operator == operators.Equals && n == 0:
		return negateDefinite(c.exists(events), !negated), true
	}
	enough := ""
	if n < math.MaxInt64 {
		enough = strconv.FormatInt(max(n, 0)+1, 10)
	}
	count := c.count(events, enough)
	return negateDefinite("("+count+" "+signs[operator]+" "+c.value(number)+")", negated), true
}

func (c *compiler) exists(events ast.Expr) string { return "exists (select " + c.from(events) + ")" }

// mirrored are the operators with their sides exchanged.
var mirrored = map[string]string{
	operators.Equals: operators.Equals,
	operators.Less:   operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

func isCountCall(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && e.AsCall().IsMemberFunction() && e.AsCall().FunctionName() == "count"
}

// count compiles the number of events, counting no further than enough unless that is empty.
func (c *compiler) count(events ast.Expr, enough string) string {
	from := c.from(events)
	if enough == "" {
		return "(select count(*) " + from + ")"
	}
	return "(select count(*) from (select " + from + " limit " + c.argument(enough, "bigint") + ") q)"
}

// aggregate compiles sum, min and max of a numeric property. A missing value does not take part; of nothing the sum
// is 0, and least and greatest are null.
func (c *compiler) aggregate(call ast.CallExpr) string {
	s, found := c.selected(call.Target())
	if !found {
		return c.refuse(call.Target())
	}
	name := text(call.Args()[0])
	property, found := s.event.Property(name)
	if !found || property.Type != crm.Integer && property.Type != crm.Decimal {
		return c.refuse(call.Args()[0])
	}
	sql := "select " + call.FunctionName() + "(jsonb_decimal(e.properties, " + c.argument(name, "text") + ")) " + c.from(call.Target())
	if call.FunctionName() == "sum" {
		return "coalesce((" + sql + "), 0)"
	}
	return "(" + sql + ")"
}
