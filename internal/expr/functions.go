package expr

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The functions of the language by the names that authors write. events stands here for its name: resolve turns it
// into a variable before the checker sees it; has and where are macros.
var (
	globalFunctions = []string{
		"age", "ago", "ahead", "anniversary", "clicked", "consented", "date", "events", "has", "has_identifier", "in_segment", "opened", "received",
		"timestamp",
	}
	messageFunctions   = []string{"clicked", "opened", "received"}
	selectionFunctions = []string{"avg", "before", "count", "distinct", "first", "last", "max", "min", "sum", "where", "within"}
	stringFunctions    = []string{
		"contains", "containsIgnoreCase", "endsWith", "endsWithIgnoreCase", "equalsIgnoreCase", "lowerAscii", "startsWith", "startsWithIgnoreCase",
	}
	tagFunctions = []string{"hasAll", "hasAny", "hasOnly"}
)

// behindDot are all functions that stand behind a dot.
var behindDot = slices.Concat(selectionFunctions, stringFunctions, tagFunctions)

// Vocabulary lists all operators and functions of the language, by the names that authors write.
func Vocabulary() []string {
	signs := []string{"&&", "||", "!", "==", "!=", "<", "<=", ">", ">=", "in", "now", "null"}
	return slices.Sorted(slices.Values(slices.Concat(globalFunctions, behindDot, signs)))
}

// declaring collects declarations by the names of their functions.
type declaring map[string][]decls.FunctionOpt

func (d declaring) global(name string, result *types.Type, args ...*types.Type) {
	d[name] = append(d[name], decls.Overload(fmt.Sprintf("global_%s_%d", name, len(args)), args, result))
}

func (d declaring) member(name string, result, target *types.Type, args ...*types.Type) {
	args = append([]*types.Type{target}, args...)
	d[name] = append(d[name], decls.MemberOverload(fmt.Sprintf("member_%s_%d", name, len(args)), args, result))
}

// functions declares every operator and function that the checker accepts. It starts from nothing, not from CEL's
// standard library: so == can be declared for decimals, and what is not declared does not exist.
func functions() ([]*decls.FunctionDecl, error) {
	d := declaring{operators.In: membership()}
	for operator, operands := range map[string]int{operators.LogicalAnd: 2, operators.LogicalOr: 2, operators.LogicalNot: 1} {
		d[operator] = connective(operator, operands)
	}
	for _, operator := range []string{operators.Equals, operators.NotEquals} {
		d[operator] = comparison(operator, false)
	}
	for _, operator := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		d[operator] = comparison(operator, true)
	}
	d.values()
	d.selections()
	all := make([]*decls.FunctionDecl, 0, len(d))
	for _, name := range slices.Sorted(maps.Keys(d)) {
		f, err := decls.NewFunction(name, d[name]...)
		if err != nil {
			return nil, fmt.Errorf("declare %s: %w", name, err)
		}
		all = append(all, f)
	}
	return all, nil
}

// values declares what asks a contact, a text or a list.
func (d declaring) values() {
	text, integer, instant := celTypes[crm.String], celTypes[crm.Integer], celTypes[crm.Timestamp]
	for _, name := range []string{"consented", "in_segment", "has_identifier"} {
		d.global(name, types.BoolType, text)
	}
	d.global("age", integer, text)
	d.global("anniversary", integer, text)
	d.global("ago", instant, text)
	d.global("ahead", instant, text)
	d.global("date", celTypes[crm.Date], text)
	d.global("timestamp", instant, text)
	d.global(decimalFunction, celTypes[crm.Decimal], text)
	for _, name := range stringFunctions {
		if name == "lowerAscii" {
			d.member(name, text, text)
			continue
		}
		d.member(name, types.BoolType, text, text)
	}
	tags := types.NewListType(types.StringType)
	for _, name := range tagFunctions {
		d.member(name, types.BoolType, tags, tags)
	}
}

// selections declares what selects events and messages, and what is made of them.
func (d declaring) selections() {
	text, integer, decimal, instant := celTypes[crm.String], celTypes[crm.Integer], celTypes[crm.Decimal], celTypes[crm.Timestamp]
	element := types.NewTypeParamType("A")
	list, messages := types.NewListType(element), types.NewListType(types.NewObjectType(messageType))
	for _, name := range messageFunctions {
		d.global(name, messages)
		d.global(name, messages, text)
	}
	d.global(anyFunction, types.BoolType, list)
	d.member("within", list, list, text)
	d.member("before", list, list, text)
	d.member("count", integer, list)
	d.member("distinct", integer, list, text)
	for _, name := range []string{"avg", "max", "min", "sum"} {
		d.member(name, decimal, list, text)
	}
	for _, name := range []string{"first", "last"} {
		d.member(name, instant, list)
		for _, t := range valueTypes {
			d.member(ofProperty(name, t), celTypes[t], list, text)
		}
	}
	// What CEL's filter, and so our where, is made of. Authors cannot use either: resolve refuses them.
	d.global(operators.Conditional, element, celTypes[crm.Boolean], element, element)
	d.global(operators.Add, list, list, list)
}

// ofProperty is our name of first or last for the property of an event: the checker cannot know its type from its name.
func ofProperty(function string, t crm.ValueType) string {
	return propertyOf + function + ":" + string(t)
}

// connective takes conditions. Boolean attributes may be null, which counts as false.
func connective(operator string, operands int) []decls.FunctionOpt {
	args := slices.Repeat([]*types.Type{celTypes[crm.Boolean]}, operands)
	return []decls.FunctionOpt{decls.Overload("conditions_"+operator, args, types.BoolType)}
}

// comparison takes two values of a type, the two kinds of numbers and, where it orders, a date and an instant.
// Booleans have no order.
func comparison(operator string, orders bool) (overloads []decls.FunctionOpt) {
	declare := func(left, right crm.ValueType) {
		id := fmt.Sprintf("%s_%s_%s", left, operator, right)
		overloads = append(overloads, decls.Overload(id, []*types.Type{celTypes[left], celTypes[right]}, types.BoolType))
	}
	for _, t := range valueTypes {
		if t != crm.Boolean || !orders {
			declare(t, t)
		}
	}
	declare(crm.Integer, crm.Decimal)
	declare(crm.Decimal, crm.Integer)
	if orders {
		declare(crm.Date, crm.Timestamp)
		declare(crm.Timestamp, crm.Date)
	}
	return overloads
}

// membership takes a value and a list of its type or of the other kind of number.
func membership() (overloads []decls.FunctionOpt) {
	declare := func(value, element crm.ValueType) {
		id := fmt.Sprintf("in_%s_%s", value, element)
		overloads = append(overloads, decls.Overload(id, []*types.Type{celTypes[value], types.NewListType(celTypes[element])}, types.BoolType))
	}
	for _, t := range valueTypes {
		declare(t, t)
	}
	declare(crm.Integer, crm.Decimal)
	declare(crm.Decimal, crm.Integer)
	return overloads
}
