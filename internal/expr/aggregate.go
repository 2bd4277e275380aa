package expr

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/debug"
	"github.com/google/cel-go/common/operators"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// An aggregate over the events of each contact can be looked up for every contact, or computed for all contacts at once by
// grouping events. The first is quick for a few and slow for a million, the second the other way round. A condition that asks
// one aggregate, and nothing else of the contact, is compiled so that the planner has the choice:
//
//	exists (select from (select e.contact_id from event e where … group by e.contact_id having <condition>) q where q.contact_id = c.id)
//
// For everyone it becomes a join with the groups; for one contact, c.id goes down into the groups and finds that one's events by
// their index. What compares an aggregate with the contact's own fields, or two aggregates, is looked up.

// aggregates are the functions that make one value of a selection.
var aggregates = []string{"avg", "count", "distinct", "first", "last", "max", "min", "sum"}

// isAggregate tells whether an expression is one value made of a selection.
func isAggregate(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && e.AsCall().IsMemberFunction() && slices.Contains(aggregates, aggregateName(e.AsCall()))
}

// aggregateName is the author's name of a function.
func aggregateName(call ast.CallExpr) string {
	name, isOurs := strings.CutPrefix(call.FunctionName(), propertyOf)
	if isOurs {
		name, _, _ = strings.Cut(name, ":")
	}
	return name
}

// group is a condition over one aggregate.
type group struct {
	condition ast.Expr
	aggregate ast.Expr
	selection selection
	ofNothing bool // whether the condition holds for who has no events
}

// group recognises a condition that can be decided by grouping events.
func (c *compiler) group(e ast.Expr) (group, bool) {
	if c.event != nil {
		return group{}, false
	}
	g := group{condition: e}
	for _, operand := range operands(e) {
		for isLowered(operand) {
			operand = operand.AsCall().Target()
		}
		switch {
		case isAggregate(operand) && g.aggregate == nil:
			g.aggregate = operand
		case !isConstant(operand):
			return group{}, false
		}
	}
	if g.aggregate == nil {
		return group{}, false
	}
	var found bool
	g.selection, found = c.selected(g.aggregate.AsCall().Target())
	if !found || slices.ContainsFunc(g.selection.conditions, asksContact) {
		return group{}, false
	}
	var known bool
	g.ofNothing, known = c.holdsForNothing(e, g.aggregate)
	return g, known
}

// operands are the values that a condition compares: itself, when it is a value.
func operands(e ast.Expr) []ast.Expr {
	if isAggregate(e) {
		return []ast.Expr{e}
	}
	call := e.AsCall()
	if call.IsMemberFunction() {
		return append([]ast.Expr{call.Target()}, call.Args()...)
	}
	return call.Args()
}

func isLowered(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "lowerAscii"
}

// isConstant tells whether a value is the same for all contacts: a literal, a list, the clock.
func isConstant(e ast.Expr) bool {
	switch e.Kind() {
	case ast.LiteralKind, ast.ListKind, ast.IdentKind:
		return true
	case ast.CallKind:
		return slices.Contains([]string{decimalFunction, "ago", "ahead", "date", "timestamp"}, e.AsCall().FunctionName())
	}
	return false
}

// asksContact tells whether a condition on an event asks its contact too.
func asksContact(e ast.Expr) bool {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent() == "contact"
	case ast.CallKind:
		if slices.Contains([]string{"age", "anniversary", "consented", "has_identifier", "in_segment"}, e.AsCall().FunctionName()) {
			return true
		}
	}
	return slices.ContainsFunc(children(e), asksContact)
}

// holdsForNothing tells whether a condition holds for who has none of the events: of nothing, numbers of events and sums are 0,
// and everything else is null. It is not known when 0 is compared with what is no literal.
func (c *compiler) holdsForNothing(e, aggregate ast.Expr) (holds, known bool) {
	call := e.AsCall()
	isZero := slices.Contains([]string{"count", "distinct", "sum"}, aggregateName(aggregate.AsCall()))
	args := operands(e)
	if len(args) != 2 {
		return false, !isZero
	}
	operator, other := call.FunctionName(), args[1]
	if args[1] == aggregate {
		operator, other = mirrored[operator], args[0]
	}
	if isNull(other) {
		return isZero == (operator == operators.NotEquals), true
	}
	if !isZero {
		return operator == operators.NotEquals, true
	}
	if other.Kind() == ast.ListKind {
		items := other.AsList().Elements()
		return slices.ContainsFunc(items, func(item ast.Expr) bool {
			sign, isNumber := c.sign(item)
			return isNumber && sign == 0
		}), operator == operators.In
	}
	sign, isNumber := c.sign(other)
	switch operator {
	case operators.Equals:
		return sign == 0, isNumber
	case operators.NotEquals:
		return sign != 0, isNumber
	case operators.Less:
		return sign > 0, isNumber
	case operators.LessEquals:
		return sign >= 0, isNumber
	case operators.Greater:
		return sign < 0, isNumber
	case operators.GreaterEquals:
		return sign <= 0, isNumber
	}
	return false, false
}

// sign is that of a literal number.
func (c *compiler) sign(e ast.Expr) (sign int, isNumber bool) {
	value, typ, isLiteral := c.literal(e)
	if !isLiteral || typ != crm.Integer && typ != crm.Decimal {
		return 0, false
	}
	number, isNumber := new(big.Rat).SetString(value)
	if !isNumber {
		return 0, false
	}
	return number.Sign(), true
}

// grouped compiles a condition over one aggregate. Where it holds for nothing, the groups are those for which it does not.
func (c *compiler) grouped(g group, negated bool) string {
	if any, isAny := c.anyTest(g); isAny {
		return negateDefinite("exists (select "+c.from(g.selection, ofContact)+")", any == negated)
	}
	from := c.from(g.selection, "e.contact_id is not null")
	c.grouping = g.aggregate
	having := c.compared(g.condition, g.ofNothing)
	c.grouping = nil
	return negateDefinite(existsGroup(from, having), negated != g.ofNothing)
}

// merge finds among conditions that are joined those over one aggregate each of the same selection, of which two or more ask
// for a group, or two or more for none. For the place of the first of them it gives all, and nothing for those of the others.
func (c *compiler) merge(conditions []ast.Expr, negated bool) map[int][]group {
	found := map[string][]int{}
	groups := make([]group, len(conditions))
	for i, e := range conditions {
		if e.Kind() != ast.CallKind || !slices.Contains(comparing, e.AsCall().FunctionName()) {
			continue
		}
		g, isGrouped := c.group(e)
		if !isGrouped {
			continue
		}
		if _, isAny := c.anyTest(g); isAny {
			continue
		}
		groups[i] = g
		key := fmt.Sprint(negated != g.ofNothing, debug.ToDebugString(g.aggregate.AsCall().Target()))
		found[key] = append(found[key], i)
	}
	merged := map[int][]group{}
	for _, places := range found {
		if len(places) < 2 {
			continue
		}
		for _, i := range places {
			merged[i] = nil
			merged[places[0]] = append(merged[places[0]], groups[i])
		}
	}
	return merged
}

// comparing are the operators whose conditions can be merged.
var comparing = []string{
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.In,
}

// groupedTogether compiles conditions over the same selection that are joined by and or or. There is one group for a contact, or
// none: that there is one that … and one that … is that there is one that … and …; that there is none that … and none that …
// is that there is none that … or ….
func (c *compiler) groupedTogether(groups []group, word string, negated bool) string {
	from := c.from(groups[0].selection, "e.contact_id is not null")
	missing := negated != groups[0].ofNothing
	if missing {
		word = map[string]string{" and ": " or ", " or ": " and "}[word]
	}
	having := make([]string, 0, len(groups))
	for _, g := range groups {
		c.grouping = g.aggregate
		having = append(having, c.compared(g.condition, g.ofNothing))
		c.grouping = nil
	}
	return negateDefinite(existsGroup(from, strings.Join(having, word)), missing)
}

// existsGroup compiles that there is a group of the contact for which a condition holds.
func existsGroup(from, having string) string {
	return "exists (select from (select e.contact_id " + from + " group by e.contact_id having " + having + ") q where q.contact_id = c.id)"
}

// anyTest recognises that a number of events is only asked to be none, or any.
func (c *compiler) anyTest(g group) (any, isAny bool) {
	call := g.condition.AsCall()
	if aggregateName(g.aggregate.AsCall()) != "count" || len(call.Args()) != 2 {
		return false, false
	}
	operator, other := call.FunctionName(), call.Args()[1]
	if other == g.aggregate {
		operator, other = mirrored[operator], call.Args()[0]
	}
	n, isNumber := wholeNumber(other)
	if !isNumber {
		return false, false
	}
	switch {
	case operator == operators.Greater && n == 0, operator == operators.GreaterEquals && n == 1, operator == operators.NotEquals && n == 0:
		return true, true
	case operator == operators.Less && n == 1, operator == operators.LessEquals && n == 0, operator == operators.Equals && n == 0:
		return false, true
	}
	return false, false
}

// aggregate compiles one value of a selection: within a group, or looked up for the contact.
func (c *compiler) aggregate(e ast.Expr) string {
	call := e.AsCall()
	s, found := c.selected(call.Target())
	if !found {
		return c.refuse(call.Target())
	}
	grouped := c.grouping == e
	if !grouped {
		from := c.from(s, ofContact)
		return "(select " + c.aggregated(call, s) + " " + from + ")"
	}
	return c.aggregated(call, s)
}

// decimalsOfAverage is how many digits behind its point an average has.
const decimalsOfAverage = "6"

// aggregated is the function of SQL that makes the value. A missing property does not take part. An average is rounded once, from
// its exact value: PostgreSQL alone would round it somewhere behind the sixteenth digit.
func (c *compiler) aggregated(call ast.CallExpr, s selection) string {
	name := aggregateName(call)
	property := func() string { return "" }
	if len(call.Args()) > 0 {
		p, found := s.event.Property(text(call.Args()[0]))
		if !found {
			return c.refuse(call.Args()[0])
		}
		property = func() string { return c.propertyOf(p) }
	}
	switch name {
	case "count":
		return "count(*)"
	case "distinct":
		return "count(distinct " + property() + ")"
	case "sum":
		return "coalesce(sum(" + property() + "), 0)"
	case "avg":
		return "round(round(sum(" + property() + "), 100) / count(" + property() + "), " + decimalsOfAverage + ")"
	case "first", "last":
		return ends(name, property(), s)
	}
	return name + "(" + property() + ")"
}

// ends compiles when the first or the last of a selection happened, or what a property of it was. Of two events of one moment
// the one that was taken first is the earlier.
func ends(name, property string, s selection) string {
	if property == "" {
		return map[string]string{"first": "min", "last": "max"}[name] + "(" + s.at() + ")"
	}
	order := s.at() + ", e.id"
	if name == "last" {
		order = s.at() + " desc, e.id desc"
	}
	return "(array_agg(" + property + " order by " + order + "))[1]"
}
