package expr

import (
	"strconv"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// statementTime is the clock of the whole statement: the database's, so that no worker's clock matters.
const statementTime = "statement_timestamp()"

// value compiles an expression that is no condition. What it returns binds tighter than any comparison.
func (c *compiler) value(e ast.Expr) string {
	if value, typ, isLiteral := c.literal(e); isLiteral {
		return c.argument(value, typ.SQLType())
	}
	switch e.Kind() {
	case ast.IdentKind:
		if e.AsIdent() == "now" {
			return statementTime
		}
	case ast.SelectKind:
		return c.field(e)
	case ast.CallKind:
		return c.valueCall(e, e.AsCall())
	}
	return c.refuse(e)
}

func (c *compiler) valueCall(e ast.Expr, call ast.CallExpr) string {
	if isAggregate(e) {
		return c.aggregate(e)
	}
	switch call.FunctionName() {
	case "lowerAscii":
		return "lower(" + c.value(call.Target()) + ` collate "C")` // in "C" lower leaves all but A to Z alone
	case "ago":
		return "(" + statementTime + " - " + c.interval(call) + ")"
	case "ahead":
		return "(" + statementTime + " + " + c.interval(call) + ")"
	case "age", "anniversary":
		return c.calendarCall(call)
	}
	return c.refuse(e)
}

func (c *compiler) interval(call ast.CallExpr) string {
	d, _ := parseDuration(text(call.Args()[0])) // resolve has read it before
	return c.argument(intervalText(d), "interval")
}

// literal is the text of a literal as PostgreSQL reads it, with its type.
func (c *compiler) literal(e ast.Expr) (value string, typ crm.ValueType, isLiteral bool) {
	if e.Kind() == ast.CallKind {
		call := e.AsCall()
		switch call.FunctionName() {
		case decimalFunction:
			return text(call.Args()[0]), crm.Decimal, true
		case "date":
			value, err := parseDate(text(call.Args()[0]))
			return value, crm.Date, err == nil
		case "timestamp":
			value, err := parseTimestamp(text(call.Args()[0]))
			return value, crm.Timestamp, err == nil
		}
	}
	if e.Kind() != ast.LiteralKind {
		return "", "", false
	}
	switch value := e.AsLiteral().(type) {
	case types.String:
		return string(value), crm.String, true
	case types.Int:
		return strconv.FormatInt(int64(value), 10), crm.Integer, true
	case types.Bool:
		return strconv.FormatBool(bool(value)), crm.Boolean, true
	}
	return "", "", false
}

// text is the text of a literal that resolve has seen to be one.
func text(e ast.Expr) string {
	value, _ := e.AsLiteral().(types.String)
	return string(value)
}

// field compiles contact.<attribute> and, inside a where, <event>.<property>.
func (c *compiler) field(e ast.Expr) string {
	access := e.AsSelect()
	name := access.FieldName()
	if c.owns(e) {
		return c.subjectField(e)
	}
	if c.ofEvent(e) {
		property, found := c.event.Property(name)
		if !found {
			return c.refuse(e)
		}
		return c.propertyOf(property)
	}
	if f, found := contactFields[name]; found && name != "tags" {
		c.uses.field(name)
		return "c." + f.column
	}
	attribute, found := c.schema.Attribute(name)
	if !found || access.Operand().AsIdent() != "contact" || !crm.FieldPattern.MatchString(attribute.Name) {
		return c.refuse(e)
	}
	c.uses.field(name)
	return `c."` + attribute.Column() + `"`
}

// ofEvent tells whether a field is one of the event of the where around: beside a contact and subjects, the only thing with fields.
func (c *compiler) ofEvent(e ast.Expr) bool {
	return c.event != nil && e.AsSelect().Operand().AsIdent() != "contact" && !c.owns(e)
}

// subjectField compiles a field of a subject: an argument that Bind fills. An Integer of an event may have digits behind its point.
func (c *compiler) subjectField(e ast.Expr) string {
	field, found := c.fieldAt(e)
	if !found {
		return c.refuse(e)
	}
	sqlType := field.Type.SQLType()
	switch {
	case field.List:
		sqlType += "[]"
	case field.Type == crm.Integer:
		sqlType = crm.Decimal.SQLType()
	}
	chain := chainOf(e)
	c.filled = append(c.filled, filled{len(c.arguments), chain[0], strings.Join(chain[1:], "."), field.List})
	return c.argument("", sqlType)
}

// propertyFunctions read a property of an event. They make null of what is missing or of another type, so that no event can
// make a statement fail.
var propertyFunctions = map[crm.ValueType]string{
	crm.String: "jsonb_string", crm.Integer: "jsonb_decimal", crm.Decimal: "jsonb_decimal", crm.Boolean: "jsonb_boolean",
	crm.Date: "jsonb_date", crm.Timestamp: "jsonb_timestamp",
}

// propertyOf compiles a property of the event e.
func (c *compiler) propertyOf(p crm.Property) string {
	return propertyFunctions[p.Type] + "(e.properties, " + c.argument(p.Name, "text") + ")"
}

// isTags recognises contact.tags.
func (c *compiler) isTags(e ast.Expr) bool {
	return e.AsSelect().FieldName() == "tags" && !c.ofEvent(e) && !c.owns(e)
}

// isList recognises contact.tags and the lists of subjects.
func (c *compiler) isList(e ast.Expr) bool {
	if !c.owns(e) {
		return c.isTags(e)
	}
	field, _ := c.fieldAt(e)
	return field.List
}

// arrayText writes a list as PostgreSQL reads an array.
func arrayText(items []string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, 0, len(items))
	for _, item := range items {
		quoted = append(quoted, `"`+quote.Replace(item)+`"`)
	}
	return "{" + strings.Join(quoted, ",") + "}"
}
