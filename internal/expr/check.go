package expr

import (
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/containers"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// declared holds the functions: they are the same for every schema.
var declared = sync.OnceValues(functions)

// check has cel-go check the types of a resolved tree.
func (t *tree) check(names environment) error {
	env, err := checker.NewEnv(containers.DefaultContainer, provider{names})
	if err != nil {
		return fmt.Errorf("build the checker: %w", err)
	}
	language, err := declared()
	if err != nil {
		return err
	}
	if err := env.AddFunctions(language...); err != nil {
		return fmt.Errorf("declare functions: %w", err)
	}
	if err := env.AddIdents(names.variables()...); err != nil {
		return fmt.Errorf("declare variables: %w", err)
	}
	checked, failed := checker.Check(t.ast, t.source, env)
	t.ast = checked
	var found issues
	for _, e := range failed.GetErrors() {
		t.explain(&found, e)
	}
	if len(found.list) > 0 {
		return found.err()
	}
	if names.want != nil {
		t.checkWanted(&found, *names.want)
	} else if t.typeOf(t.root()) != crm.Boolean {
		found.add(t.at(t.root()), "the expression is %s, not a condition: compare it with something", t.describe(t.root()))
	}
	return found.err()
}

// typeOf is the type of a checked expression; "" for null and for what is no single value.
func (t *tree) typeOf(e ast.Expr) crm.ValueType { return valueType(t.ast.GetType(e.ID())) }

// explain says in the author's words what the checker found.
func (t *tree) explain(found *issues, e *common.Error) {
	node := t.find(e.ExprID)
	if node != nil && strings.HasPrefix(e.Message, "expected type 'bool'") {
		found.add(t.at(node), "this is %s, not a condition: compare it with something", t.describe(node))
		return
	}
	if node == nil || node.Kind() != ast.CallKind {
		found.add(position{max(e.Location.Line(), 1), e.Location.Column() + 1}, "%s", e.Message)
		return
	}
	at, call := t.at(node), node.AsCall()
	switch call.FunctionName() {
	case operators.LogicalNot:
		found.add(t.at(call.Args()[0]), "this is %s, not a condition: compare it with something", t.describe(call.Args()[0]))
	case operators.Conditional: // of a where: the only place that makes one
		found.add(t.at(call.Args()[0]), "the condition of where is %s: compare it with something", t.describe(call.Args()[0]))
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		left, right := call.Args()[0], call.Args()[1]
		found.add(at, "cannot compare %s with %s%s", t.describe(left), t.describe(right), t.hint(left, right))
	case operators.In:
		left, right := call.Args()[0], call.Args()[1]
		found.add(at, "in cannot look for %s in %s", t.describe(left), t.describe(right))
	default:
		found.add(at, "%s does not fit %s: write %s", call.FunctionName(), t.describeOperands(call), methodExamples[call.FunctionName()])
	}
}

// find looks for the node with an id; nil when it is part of what a macro made.
func (t *tree) find(id int64) ast.Expr {
	var found ast.Expr
	ast.PreOrderVisit(t.root(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() == id {
			found = e
		}
	}))
	return found
}

// describe names an expression with its type, such as contact.plan (String).
func (t *tree) describe(e ast.Expr) string {
	typ := t.typeName(e)
	if chain := chainOf(e); len(chain) > 1 && !e.AsSelect().IsTestOnly() {
		return fmt.Sprintf("%s (%s)", strings.Join(chain, "."), typ)
	}
	switch typ[0] {
	case 'I':
		return "an " + typ
	case 'e', 'm', 'n':
		return typ
	}
	return "a " + typ
}

func (t *tree) typeName(e ast.Expr) string {
	return typeName(t.ast.GetType(e.ID()))
}

func typeName(typ *types.Type) string {
	if v := valueType(typ); v != "" {
		return string(v)
	}
	switch {
	case typ == nil:
		return "value of another kind"
	case typ.Kind() == types.NullTypeKind:
		return "null"
	case typ.Kind() == types.ListKind && typ.Parameters()[0].Kind() == types.StructKind:
		if typ.Parameters()[0].TypeName() == messageType {
			return "messages"
		}
		return "events"
	case typ.Kind() == types.ListKind && valueType(typ.Parameters()[0]) != "":
		return "list of " + typeName(typ.Parameters()[0])
	case typ.Kind() == types.ListKind:
		return "list of different types"
	}
	return "value of another kind"
}

func (t *tree) describeOperands(call ast.CallExpr) string {
	var operands []string
	if call.IsMemberFunction() {
		operands = append(operands, t.describe(call.Target()))
	}
	for _, arg := range call.Args() {
		operands = append(operands, t.describe(arg))
	}
	return strings.Join(operands, " and ")
}

// hint tells how to write the literal that was probably meant.
func (t *tree) hint(left, right ast.Expr) string {
	for _, pair := range [][2]ast.Expr{{left, right}, {right, left}} {
		value, other := pair[0], pair[1]
		isText := other.Kind() == ast.LiteralKind && t.typeOf(other) == crm.String
		switch typ := t.typeOf(value); {
		case t.typeName(value) == "events":
			return ": count them, or sum one of their properties"
		case t.typeName(value) == "messages":
			return ": count them"
		case isText && typ == crm.Date:
			return `: write a date as date("2026-03-21")`
		case isText && typ == crm.Timestamp:
			return `: write a timestamp as timestamp("2026-03-21T09:00:00Z")`
		case isText && (typ == crm.Integer || typ == crm.Decimal || typ == crm.Boolean):
			return ": write it without quotes"
		case typ == crm.Date && t.typeOf(other) == crm.Timestamp:
			return ": a date and an instant are only ordered, by < <= > >="
		}
	}
	return ""
}
