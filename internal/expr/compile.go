package expr

import (
	"fmt"
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
	schema    crm.Schema
	tree      *tree
	arguments []string
	uses      *uses
	event     *crm.EventType // of the where around; nil outside
}

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
	case operators.Equals:
		return c.equality(call, negated)
	case operators.NotEquals:
		return c.equality(call, !negated)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return c.order(call, negated)
	}
	return c.leaf(e, negated)
}

// join compiles and or or; by De Morgan's laws a negated one is the other of the negations.
func (c *compiler) join(call ast.CallExpr, word, negatedWord string, negated bool) string {
	if negated {
		word = negatedWord
	}
	parts := make([]string, 0, len(call.Args()))
	for _, arg := range call.Args() {
		parts = append(parts, c.predicate(arg, negated))
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
		if e.AsSelect().IsTestOnly() {
			return c.present(e, negated)
		}
		return negateNullable(c.value(e), negated)
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case "consented":
			return negateDefinite(c.consented(call), negated)
		case operators.In:
			return negateNullable(c.in(call), negated)
		case "startsWith", "endsWith", "contains":
			return negateNullable(c.search(call), negated)
		}
	}
	return c.refuse(e)
}

// present compiles has(contact.plan), has(contact.tags) and has(e.amount).
func (c *compiler) present(e ast.Expr, negated bool) string {
	if c.isTags(e) {
		c.uses.field("tags")
		return negateDefinite("(cardinality(c.tags) > 0)", negated)
	}
	return c.nullTest(e, !negated)
}

// nullTest compiles whether a value is null. It is the only question about a date inside an event.
func (c *compiler) nullTest(e ast.Expr, negated bool) string {
	value, isProperty := "", false
	if e.Kind() == ast.SelectKind {
		value, isProperty = c.property(e.AsSelect())
	}
	if !isProperty {
		value = c.value(e)
	}
	if negated {
		return "(" + value + " is not null)"
	}
	return "(" + value + " is null)"
}

func (c *compiler) consented(call ast.CallExpr) string {
	purpose := text(call.Args()[0])
	c.uses.purposes.add(purpose)
	return "exists (select from consent k where k.contact_id = c.id and k.purpose = " + c.argument(purpose, "text") + " and k.granted)"
}

// in compiles membership of a list of literals, which travels as one array, or of the contact's tags.
func (c *compiler) in(call ast.CallExpr) string {
	needle, list := call.Args()[0], call.Args()[1]
	if isNull(needle) {
		c.add(c.tree.at(needle), "null is in no list: ask by == null or has")
		return "null"
	}
	if list.Kind() == ast.SelectKind && c.isTags(list) {
		c.uses.field("tags")
		if needle.Kind() == ast.LiteralKind {
			c.uses.tags.add(text(needle))
			return "c.tags @> array[" + c.value(needle) + "]"
		}
		return c.value(needle) + " = any(c.tags)"
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

// search compiles startsWith, endsWith and contains. They compare characters, without patterns.
func (c *compiler) search(call ast.CallExpr) string {
	where, what := c.value(call.Target()), c.value(call.Args()[0])
	switch call.FunctionName() {
	case "startsWith":
		return "starts_with(" + where + ", " + what + ")"
	case "endsWith":
		// The text is taken twice, because what has to be cut off depends on its length.
		return "right(" + where + ", length(" + what + ")) = " + c.value(call.Args()[0])
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
	if sql, isCount := c.countTest(call, operators.Equals, negated); isCount {
		return sql
	}
	c.checkEnum(left, right)
	c.checkEnum(right, left)
	return negateNullable(c.operand(left)+" = "+c.operand(right), negated)
}

// signs are the operators that order, in SQL.
var signs = map[string]string{
	operators.Equals: "=", operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">", operators.GreaterEquals: ">=",
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
	if sql, isCount := c.countTest(call, call.FunctionName(), negated); isCount {
		return sql
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
	c.noteAge(left, right)
	c.noteAge(right, left)
	return negateNullable(leftSQL+" "+signs[call.FunctionName()]+" "+rightSQL, negated)
}

// operand compiles a side of a comparison: a value, or a condition as a value that is never null.
func (c *compiler) operand(e ast.Expr) string {
	isCondition := c.tree.typeOf(e) == crm.Boolean && e.Kind() != ast.LiteralKind && (e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly())
	if isCondition {
		return "(" + c.predicate(e, false) + " is true)"
	}
	return c.value(e)
}

// checkEnum tells when an attribute is compared with a text that it never has.
func (c *compiler) checkEnum(e, other ast.Expr) {
	if e.Kind() != ast.SelectKind || other.Kind() != ast.LiteralKind || c.ofEvent(e.AsSelect()) {
		return
	}
	name := e.AsSelect().FieldName()
	attribute, _ := c.schema.Attribute(name)
	value, isText := other.AsLiteral().(types.String)
	if !isText || len(attribute.Enum) == 0 {
		return
	}
	for _, allowed := range attribute.Enum {
		if allowed == string(value) {
			return
		}
	}
	c.unknown(c.tree.at(other), fmt.Sprintf("contact.%s is never %q", name, string(value)), string(value), attribute.Enum)
}
