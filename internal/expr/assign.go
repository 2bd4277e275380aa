package expr

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Value is a compiled expression that gives an attribute of a contact its value.
type Value struct {
	// SQL is the new value of the attribute's column, over alias c, a row of contact. Where the expression gives what the attribute cannot
	// hold, that is the old one; where what it asks is not known, null.
	SQL       string
	Arguments []string // of $1…$n in text form, as those of Compiled; Bind fills those of subjects

	filled   []filled
	asks     asks
	spoken   []string
	evaluate evaluator
}

// SpeaksOf tells whether the value depends on a subject.
func (v *Value) SpeaksOf(subject string) bool { return slices.Contains(v.spoken, subject) }

// CompileValue checks an expression that gives an attribute its value, and compiles it.
func CompileValue(schema crm.Schema, subjects []Subject, attribute, source string) (*Value, error) {
	wanted, found := schema.Attribute(attribute)
	if !found {
		return nil, fmt.Errorf("contact has no attribute %q", attribute)
	}
	c, err := compileSource(environment{schema: schema, subjects: subjects, want: &wanted}, source)
	if err != nil {
		return nil, err
	}
	root := c.tree.root()
	return &Value{
		SQL: c.sql, Arguments: c.arguments, filled: c.filled, asks: c.asking(root), spoken: c.spoken(root), evaluate: c.evaluator(root),
	}, nil
}

// Bind gives the arguments for subjects by their names: nil for what is not known of them.
func (v *Value) Bind(subjects map[string]Facts) []*string {
	return bind(v.Arguments, v.filled, subjects)
}

// In evaluates the expression in a world, whatever the attribute can hold. known is false where what it asks is not known.
func (v *Value) In(w World) (text string, known bool, err error) {
	if v.asks.contact && w.Contact == nil {
		return "", false, errors.New("the expression asks a contact: the database has to answer it")
	}
	value := v.evaluate(&frame{World: w})
	if value == types.NullValue || !isKnown(value) {
		return "", false, nil
	}
	return written(value), true, nil
}

// checkWanted tells what cannot be a value of an attribute.
func (t *tree) checkWanted(found *issues, wanted crm.Attribute) {
	root := t.root()
	got := t.typeOf(root)
	switch {
	case isNull(root) || got == wanted.Type || got == crm.Integer && wanted.Type == crm.Decimal:
	default:
		found.add(t.at(root), "contact.%s (%s) cannot be given %s", wanted.Name, wanted.Type, t.describe(root))
	}
	if root.Kind() != ast.LiteralKind || len(wanted.Enum) == 0 {
		return
	}
	if value := text(root); got == crm.String && !slices.Contains(wanted.Enum, value) {
		found.unknown(t.at(root), fmt.Sprintf("contact.%s is never %q", wanted.Name, value), value, wanted.Enum)
	}
}

// assigned compiles the value of an attribute. A statement for many must not fail for one of them: what does not fit leaves the old value.
func (c *compiler) assigned(root ast.Expr) string {
	wanted := *c.want
	if isNull(root) {
		return "null::" + wanted.Type.SQLType()
	}
	value, old := c.operand(root), `c."`+wanted.Column()+`"`
	fits := func(typ, condition string) string {
		return "(select case when v is null or " + condition + " then v::" + wanted.Type.SQLType() + " else " + old +
			" end from (select " + value + "::" + typ + ") x(v))"
	}
	switch {
	case wanted.Type == crm.Integer:
		return fits("numeric", "v = trunc(v) and v between -9223372036854775808 and 9223372036854775807")
	case wanted.Type == crm.String && len(wanted.Enum) > 0:
		return fits("text", "v = any("+c.argument(arrayText(wanted.Enum), "text[]")+")")
	}
	return "(" + value + ")::" + wanted.Type.SQLType()
}
