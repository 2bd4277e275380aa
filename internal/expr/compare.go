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

// compared compiles a condition that compares values: an operator, a search in a text, or a Boolean value by itself.
func (c *compiler) compared(e ast.Expr, negated bool) string {
	call := e.AsCall()
	before := c.decisive
	c.decisive = decisiveValues(call)
	defer func() { c.decisive = before }()
	c.spend(costOfComparison)
	switch name := call.FunctionName(); {
	case name == operators.Equals:
		return c.equality(call, negated)
	case name == operators.NotEquals:
		return c.equality(call, !negated)
	case isOrder(name):
		return c.order(call, negated)
	case name == operators.In:
		return negateNullable(c.in(call), negated)
	case slices.Contains(stringFunctions, name):
		return negateNullable(c.search(call), negated)
	case isAggregate(e):
		return negateNullable(c.value(e), negated)
	}
	return c.refuse(e)
}

// in compiles membership of a list of literals, which travels as one array, or of the contact's tags.
func (c *compiler) in(call ast.CallExpr) string {
	needle, list := call.Args()[0], call.Args()[1]
	if isNull(needle) {
		c.add(c.tree.at(needle), "null is in no list: ask by == null or has")
		return "null"
	}
	if _, isClock := clockOffset(needle); isClock {
		c.add(c.tree.at(needle), "the clock is in no list: compare it by < <= > >=")
		return "null"
	}
	if list.Kind() == ast.SelectKind && c.isList(list) {
		if needle.Kind() == ast.LiteralKind {
			c.checkEnum(list, needle)
			return c.list(list, []string{text(needle)}) + " @> array[" + c.value(needle) + "]"
		}
		return c.value(needle) + " = any(" + c.list(list, nil) + ")"
	}
	if list.Kind() != ast.ListKind {
		return c.refuse(list)
	}
	typ := c.tree.typeOf(needle)
	items := make([]string, 0, list.AsList().Size())
	for _, item := range list.AsList().Elements() {
		items = append(items, c.item(needle, item, &typ))
	}
	return c.value(needle) + " = any(" + c.argument(arrayText(items), typ.SQLType()+"[]") + ")"
}

// item is the text of a literal in a list. A decimal among them makes the list one of decimals.
func (c *compiler) item(needle, item ast.Expr, typ *crm.ValueType) string {
	value, itemType, isLiteral := c.literal(item)
	switch {
	case !isLiteral && isNull(item):
		c.add(c.tree.at(item), "a list cannot hold null: ask by == null or has")
	case !isLiteral:
		c.add(c.tree.at(item), "a list holds only literals: join conditions by || instead")
	case itemType == crm.Decimal && *typ == crm.Integer:
		*typ = crm.Decimal
	case itemType != *typ && (itemType != crm.Integer || *typ != crm.Decimal):
		c.add(c.tree.at(item), "%s cannot be in a list for %s", c.tree.describe(item), c.tree.describe(needle))
	default:
		c.checkEnum(needle, item)
	}
	return value
}

// search compiles startsWith, endsWith, contains and the like. They compare characters, without patterns; those that ignore
// case compare what is left of both sides when case is folded.
func (c *compiler) search(call ast.CallExpr) string {
	c.spend(costOfSearch)
	name, ignoresCase := strings.CutSuffix(call.FunctionName(), "IgnoreCase")
	value := func(e ast.Expr) string {
		if ignoresCase {
			return "fold_case(" + c.value(e) + ")"
		}
		return c.value(e)
	}
	where, what := value(call.Target()), value(call.Args()[0])
	switch name {
	case "equals":
		return where + " = " + what
	case "startsWith":
		return "starts_with(" + where + ", " + what + ")"
	case "endsWith":
		// The text is taken twice, because what has to be cut off depends on its length.
		return "right(" + where + ", length(" + what + ")) = " + value(call.Args()[0])
	}
	return "strpos(" + where + ", " + what + ") > 0"
}

// equality compiles ==, which is false where a side is null, and its negation !=, which is then true.
func (c *compiler) equality(call ast.CallExpr, negated bool) string {
	left, right := call.Args()[0], call.Args()[1]
	switch {
	case isNull(left) && isNull(right):
		c.add(c.tree.at(left), "compare null with an attribute")
		return "null"
	case isNull(left):
		return c.nullTest(right, negated)
	case isNull(right):
		return c.nullTest(left, negated)
	}
	c.checkEnum(left, right)
	c.checkEnum(right, left)
	c.noteClock(left, right)
	c.noteClock(right, left)
	return negateNullable(c.operand(left)+" = "+c.operand(right), negated)
}

// signs are the operators that order, in SQL.
var signs = map[string]string{
	operators.Equals: "=", operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">", operators.GreaterEquals: ">=",
}

// mirrored are the operators with their sides exchanged.
var mirrored = map[string]string{
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

// order compiles < <= > >=, which are false where a side is null. Texts are ordered by their Unicode characters,
// whatever the database's collation; a date is the midnight in UTC with which it begins.
func (c *compiler) order(call ast.CallExpr, negated bool) string {
	left, right := call.Args()[0], call.Args()[1]
	for _, side := range call.Args() {
		if isNull(side) {
			c.add(c.tree.at(side), "null has no order: ask by == null or has")
			return "null"
		}
	}
	leftType, rightType := c.tree.typeOf(left), c.tree.typeOf(right)
	leftSQL, rightSQL := c.operand(left), c.operand(right)
	switch {
	case leftType == crm.String:
		leftSQL += ` collate "C"`
	case leftType == crm.Date && rightType == crm.Timestamp:
		rightSQL = "(" + rightSQL + " at time zone 'UTC')"
	case leftType == crm.Timestamp && rightType == crm.Date:
		leftSQL = "(" + leftSQL + " at time zone 'UTC')"
	}
	c.noteClock(left, right)
	c.noteClock(right, left)
	return negateNullable(leftSQL+" "+signs[call.FunctionName()]+" "+rightSQL, negated)
}

// operand compiles a side of a comparison: a value, or a condition as a value that is never null.
func (c *compiler) operand(e ast.Expr) string {
	isValue := e.Kind() == ast.LiteralKind || e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly() || isAggregate(e)
	if c.tree.typeOf(e) == crm.Boolean && !isValue {
		return "(" + c.predicate(e, false) + " is true)"
	}
	return c.value(e)
}

// checkEnum tells when an attribute is compared with a text that it never has.
func (c *compiler) checkEnum(e, other ast.Expr) {
	if e.Kind() != ast.SelectKind || other.Kind() != ast.LiteralKind || c.ofEvent(e) {
		return
	}
	owner, name := "contact", e.AsSelect().FieldName()
	attribute, _ := c.schema.Attribute(name)
	enum := attribute.Enum
	if c.owns(e) {
		field, _ := c.fieldAt(e)
		chain := chainOf(e)
		owner, enum = strings.Join(chain[:len(chain)-1], "."), field.Enum
	}
	value, isText := other.AsLiteral().(types.String)
	if !isText || len(enum) == 0 || slices.Contains(enum, string(value)) {
		return
	}
	c.unknown(c.tree.at(other), fmt.Sprintf("%s.%s is never %q", owner, name, string(value)), string(value), enum)
}
