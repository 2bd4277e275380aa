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

// compiler walks a checked tree and writes SQL. Text of the source never enters the statement: a literal, an event's
// name and a property's name are arguments, and a column comes from the schema.
//
// SQL's logic has three values, the language's has two. The rule that joins them: a compiled condition is true where
// the expression is, and false or null where it is not. And and or keep that rule as they are; a negation is pushed
// down to the leaves, where "is not true" ends it, so that no null is ever negated.
type compiler struct {
	issues
	environment
	tree      *tree
	sql       string // the predicate, in the end
	arguments []string
	filled    []filled // which arguments subjects give
	uses      *uses
	cost      int
	event     *crm.EventType // of the where around; nil outside
	grouping  ast.Expr       // the aggregate that is compiled over groups of events, and not for one contact
	decisive  []int64        // whole numbers of the comparison that is compiled, with age or anniversary
}

// MaxCost is the most that an expression may cost: some two dozen selections. What needs more is better several segments, joined
// by in_segment.
const MaxCost = 1000

// The cost of an expression is about what its parts cost PostgreSQL for one contact, in comparisons of a column.
const (
	costOfComparison = 1
	costOfSearch     = 2
	costOfCalendar   = 5
	costOfLookUp     = 10 // of a row by a key
	costOfSelection  = 40 // of events or messages
)

func (c *compiler) spend(cost int) { c.cost += cost }

// argument adds an argument and returns its placeholder.
func (c *compiler) argument(text, sqlType string) string {
	c.arguments = append(c.arguments, text)
	return fmt.Sprintf("$%d::%s", len(c.arguments), sqlType)
}

// refuse adds an issue about a node for which there is no rule.
func (c *compiler) refuse(e ast.Expr) string {
	c.add(c.tree.at(e), "this is not part of the language")
	return "null"
}

// checkCost refuses an expression that would cost every evaluation too much.
func (c *compiler) checkCost() {
	if c.cost > MaxCost {
		c.add(position{1, 1}, "the expression costs %d, and at most %d is allowed (events and messages cost %d each time): "+
			"split it into several segments and join them by in_segment", c.cost, MaxCost, costOfSelection)
	}
}

// predicate compiles a condition, or its negation.
func (c *compiler) predicate(e ast.Expr, negated bool) string {
	if e.Kind() != ast.CallKind {
		return c.leaf(e, negated)
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.LogicalNot:
		return c.predicate(call.Args()[0], !negated)
	case operators.LogicalAnd:
		return c.join(call, " and ", " or ", negated)
	case operators.LogicalOr:
		return c.join(call, " or ", " and ", negated)
	}
	return c.leaf(e, negated)
}

// join compiles and or or; by De Morgan's laws a negated one is the other of the negations. Conditions over the same events
// are asked of their groups at once.
func (c *compiler) join(call ast.CallExpr, word, negatedWord string, negated bool) string {
	if negated {
		word = negatedWord
	}
	merged := c.merge(call.Args(), negated)
	parts := make([]string, 0, len(call.Args()))
	for i, arg := range call.Args() {
		switch groups, isMerged := merged[i]; {
		case !isMerged:
			parts = append(parts, c.predicate(arg, negated))
		case len(groups) > 0:
			parts = append(parts, c.groupedTogether(groups, word, negated))
		}
	}
	return "(" + strings.Join(parts, word) + ")"
}

// negateNullable negates SQL that may be null.
func negateNullable(sql string, negated bool) string {
	if negated {
		return "((" + sql + ") is not true)"
	}
	return "(" + sql + ")"
}

// negateDefinite negates SQL that is never null.
func negateDefinite(sql string, negated bool) string {
	if negated {
		return "(not " + sql + ")"
	}
	return sql
}

// leaf compiles a condition without parts that are conditions.
func (c *compiler) leaf(e ast.Expr, negated bool) string {
	switch e.Kind() {
	case ast.LiteralKind:
		if _, isBoolean := e.AsLiteral().(types.Bool); isBoolean {
			return negateDefinite(c.value(e), negated)
		}
	case ast.SelectKind:
		c.spend(costOfComparison)
		if e.AsSelect().IsTestOnly() {
			return c.present(e, negated)
		}
		return negateNullable(c.value(e), negated)
	case ast.CallKind:
		return c.asked(e, e.AsCall(), negated)
	}
	return c.refuse(e)
}

// asked compiles a call that is a condition.
func (c *compiler) asked(e ast.Expr, call ast.CallExpr, negated bool) string {
	switch call.FunctionName() {
	case "consented":
		return negateDefinite(c.consented(call), negated)
	case "in_segment":
		return negateDefinite(c.inSegment(call), negated)
	case "has_identifier":
		return negateDefinite(c.hasIdentifier(call), negated)
	case anyFunction:
		return negateDefinite(c.exists(call.Args()[0]), negated)
	case "hasAny", "hasAll", "hasOnly":
		return negateDefinite(c.lists(e, call), negated)
	}
	if g, isGrouped := c.group(e); isGrouped {
		return c.grouped(g, negated)
	}
	return c.compared(e, negated)
}

// present compiles has(contact.plan), has(contact.tags) and has(e.amount).
func (c *compiler) present(e ast.Expr, negated bool) string {
	if c.isList(e) {
		return negateDefinite("(cardinality("+c.list(e, nil)+") > 0)", negated)
	}
	return c.nullTest(e, !negated)
}

// nullTest compiles whether a value is null.
func (c *compiler) nullTest(e ast.Expr, negated bool) string {
	value := c.value(e)
	if negated {
		return "(" + value + " is not null)"
	}
	return "(" + value + " is null)"
}

func (c *compiler) consented(call ast.CallExpr) string {
	purpose := text(call.Args()[0])
	c.uses.purposes.add(purpose)
	c.spend(costOfLookUp)
	return "exists (select from consent k where k.contact_id = c.id and k.purpose = " + c.argument(purpose, "text") + " and k.granted)"
}

// inSegment compiles membership of another segment as it stands in the table: the segment's definition is not repeated.
func (c *compiler) inSegment(call ast.CallExpr) string {
	name := text(call.Args()[0])
	c.uses.segments.add(name)
	c.spend(costOfLookUp)
	return "exists (select from segment_member m where m.contact_id = c.id and m.segment_id = (select g.id from segment g where g.name = " +
		c.argument(name, "text") + "))"
}

func (c *compiler) hasIdentifier(call ast.CallExpr) string {
	name := text(call.Args()[0])
	c.uses.identifiers.add(name)
	c.spend(costOfLookUp)
	return "exists (select from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = c.id and i.type = " +
		c.argument(name, "text") + ")"
}

// lists compiles hasAny, hasAll and hasOnly: the array is never null.
func (c *compiler) lists(e ast.Expr, call ast.CallExpr) string {
	target, list := call.Target(), call.Args()[0]
	if target.Kind() != ast.SelectKind || !c.isList(target) || list.Kind() != ast.ListKind {
		c.add(c.tree.at(e), "%s is for contact.tags and takes a list of texts: write %s", call.FunctionName(), methodExamples[call.FunctionName()])
		return "null"
	}
	c.spend(costOfSearch)
	var names []string
	for _, item := range list.AsList().Elements() {
		if item.Kind() != ast.LiteralKind || isNull(item) {
			c.add(c.tree.at(item), "%s takes tags in quotes: write %s", call.FunctionName(), methodExamples[call.FunctionName()])
			continue
		}
		names = append(names, text(item))
		c.checkEnum(target, item)
	}
	sign, asked := map[string]string{"hasAny": "&&", "hasAll": "@>", "hasOnly": "<@"}[call.FunctionName()], names
	if call.FunctionName() == "hasOnly" {
		asked = nil // any other counts
	}
	return "(" + c.list(target, asked) + " " + sign + " " + c.argument(arrayText(names), "text[]") + ")"
}

// list compiles contact.tags, or a list of a subject. Of tags, it notes which are looked for; none: any.
func (c *compiler) list(e ast.Expr, tags []string) string {
	if !c.isTags(e) {
		return c.subjectField(e)
	}
	c.uses.field("tags")
	c.uses.anyTag = c.uses.anyTag || tags == nil
	for _, tag := range tags {
		c.uses.tags.add(tag)
	}
	return "c.tags"
}

// isOrder tells whether an operator orders.
func isOrder(operator string) bool {
	return slices.Contains([]string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals}, operator)
}
