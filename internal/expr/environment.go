package expr

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The names that only we give. None can be written in a source: CEL has no identifier with an @.
const (
	decimalFunction = "@decimal" // wraps a literal, because CEL has no exact decimals
	eventsVariable  = "@events:" // and the name: a list of the events of one type
)

// The names of the language's types inside cel-go.
const (
	contactType = "contact"
	eventPrefix = "event:" // and the event's name
)

// celTypes are the types of values as the checker sees them. Every one admits null, because every attribute does.
// Decimal and Date are opaque: CEL knows neither, and its double is not exact.
var celTypes = map[crm.ValueType]*types.Type{
	crm.String:    types.NewNullableType(types.StringType),
	crm.Integer:   types.NewNullableType(types.IntType),
	crm.Decimal:   types.NewOpaqueType("Decimal"),
	crm.Boolean:   types.NewNullableType(types.BoolType),
	crm.Date:      types.NewOpaqueType("Date"),
	crm.Timestamp: types.TimestampType,
}

// valueTypes in a fixed order, so that declarations always come out the same.
var valueTypes = []crm.ValueType{crm.String, crm.Integer, crm.Decimal, crm.Boolean, crm.Date, crm.Timestamp}

// valueType is the way back: "" for null and for what is no single value (a contact, a list).
func valueType(t *types.Type) crm.ValueType {
	if t == nil {
		return ""
	}
	switch t.Kind() {
	case types.StringKind:
		return crm.String
	case types.IntKind:
		return crm.Integer
	case types.BoolKind:
		return crm.Boolean
	case types.TimestampKind:
		return crm.Timestamp
	case types.OpaqueKind:
		if v := crm.ValueType(t.TypeName()); v == crm.Decimal || v == crm.Date {
			return v
		}
	}
	return ""
}

// contactFields are the fields that every contact has beside its attributes, with their columns.
var contactFields = map[string]struct {
	column string
	typ    *types.Type
}{
	"locale":     {"locale", celTypes[crm.String]},
	"time_zone":  {"time_zone", celTypes[crm.String]},
	"tags":       {"tags", types.NewListType(types.StringType)},
	"created_at": {"created_at", celTypes[crm.Timestamp]},
}

// eventName is what names of event types match: enough for DNS-like and underscored names, and nothing else.
var eventName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,62}$`)

// checkSchema refuses a schema whose names could not be columns or would hide a field that every contact has.
func checkSchema(schema crm.Schema) error {
	for _, a := range schema.Attributes {
		if !crm.FieldPattern.MatchString(a.Name) || celTypes[a.Type] == nil {
			return fmt.Errorf("attribute %q of type %q cannot be a column", a.Name, a.Type)
		}
		if _, taken := contactFields[a.Name]; taken {
			return fmt.Errorf("attribute %q hides a field that every contact has", a.Name)
		}
	}
	for _, e := range schema.Events {
		if !eventName.MatchString(e.Name) {
			return fmt.Errorf("event type %q has a name that no event can have", e.Name)
		}
		for _, p := range e.Properties {
			if !crm.FieldPattern.MatchString(p.Name) || celTypes[p.Type] == nil {
				return fmt.Errorf("property %q of event %q has an unusable name or type %q", p.Name, e.Name, p.Type)
			}
		}
	}
	return nil
}

// provider tells the checker which fields a contact and each event have.
type provider struct {
	schema crm.Schema
}

var _ types.Provider = provider{}

// FindStructType knows a contact and the schema's events.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, isEvent := p.event(name); name != contactType && !isEvent {
		return nil, false
	}
	return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
}

// FindStructFieldType is the type of an attribute, of a field that every contact has, or of an event's property.
func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if event, isEvent := p.event(name); isEvent {
		property, found := event.Property(field)
		return &types.FieldType{Type: celTypes[property.Type]}, found
	}
	if f, found := contactFields[field]; found {
		return &types.FieldType{Type: f.typ}, true
	}
	attribute, found := p.schema.Attribute(field)
	return &types.FieldType{Type: celTypes[attribute.Type]}, found
}

func (p provider) event(name string) (crm.EventType, bool) {
	event, isEvent := strings.CutPrefix(name, eventPrefix)
	if !isEvent {
		return crm.EventType{}, false
	}
	return p.schema.Event(event)
}

// EnumValue knows none: the language has no enums of protocol buffers.
func (provider) EnumValue(name string) ref.Val { return types.NewErr("no enum %s", name) }

// FindIdent knows none: variables are declared.
func (provider) FindIdent(string) (ref.Val, bool) { return nil, false }

// FindStructFieldNames is for constructing messages, which the language does not.
func (provider) FindStructFieldNames(string) ([]string, bool) { return nil, false }

// NewValue refuses: the language constructs no messages.
func (provider) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("no message %s", name)
}

// variables declares contact, now and one list of events for each event type.
func variables(schema crm.Schema) []*decls.VariableDecl {
	list := []*decls.VariableDecl{
		decls.NewVariable("contact", types.NewObjectType(contactType)),
		decls.NewVariable("now", types.TimestampType),
	}
	for _, e := range schema.Events {
		list = append(list, decls.NewVariable(eventsVariable+e.Name, types.NewListType(types.NewObjectType(eventPrefix+e.Name))))
	}
	return list
}

// The functions of the language by the names that authors write. events stands here for its name: resolve turns it
// into a variable before the checker sees it; has and where are macros.
var (
	globalFunctions = []string{"ago", "ahead", "consented", "date", "events", "has", "timestamp"}
	eventFunctions  = []string{"before", "count", "max", "min", "sum", "where", "within"}
	stringFunctions = []string{"contains", "endsWith", "lowerAscii", "startsWith"}
)

// functions declares every operator and function that the checker accepts. It starts from nothing, not from CEL's
// standard library: so == can be declared for decimals, and what is not declared does not exist.
func functions() ([]*decls.FunctionDecl, error) {
	declarations := map[string][]decls.FunctionOpt{operators.In: membership()}
	for operator, operands := range map[string]int{operators.LogicalAnd: 2, operators.LogicalOr: 2, operators.LogicalNot: 1} {
		declarations[operator] = connective(operator, operands)
	}
	for _, operator := range []string{operators.Equals, operators.NotEquals} {
		declarations[operator] = comparison(operator, false)
	}
	for _, operator := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		declarations[operator] = comparison(operator, true)
	}
	var (
		text, integer, decimal = celTypes[crm.String], celTypes[crm.Integer], celTypes[crm.Decimal]
		boolean, date, instant = celTypes[crm.Boolean], celTypes[crm.Date], celTypes[crm.Timestamp]
		element                = types.NewTypeParamType("A")
		list                   = types.NewListType(element)
	)
	global := func(name string, result *types.Type, args ...*types.Type) {
		declarations[name] = []decls.FunctionOpt{decls.Overload("global_"+name, args, result)}
	}
	member := func(name string, result, target *types.Type, args ...*types.Type) {
		args = append([]*types.Type{target}, args...)
		declarations[name] = []decls.FunctionOpt{decls.MemberOverload("member_"+name, args, result)}
	}
	global("consented", types.BoolType, text)
	global("ago", instant, text)
	global("ahead", instant, text)
	global("date", date, text)
	global("timestamp", instant, text)
	global(decimalFunction, decimal, text)
	member("startsWith", types.BoolType, text, text)
	member("endsWith", types.BoolType, text, text)
	member("contains", types.BoolType, text, text)
	member("lowerAscii", text, text)
	member("within", list, list, text)
	member("before", list, list, text)
	member("count", integer, list)
	member("sum", decimal, list, text)
	member("min", decimal, list, text)
	member("max", decimal, list, text)
	// What CEL's filter, and so our where, is made of. Authors cannot use either: resolve refuses them.
	global(operators.Conditional, element, boolean, element, element)
	global(operators.Add, list, list, list)

	all := make([]*decls.FunctionDecl, 0, len(declarations))
	for _, name := range slices.Sorted(maps.Keys(declarations)) {
		f, err := decls.NewFunction(name, declarations[name]...)
		if err != nil {
			return nil, fmt.Errorf("declare %s: %w", name, err)
		}
		all = append(all, f)
	}
	return all, nil
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
