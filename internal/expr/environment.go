package expr

import (
	"fmt"
	"regexp"
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
	declarations := []func() (*decls.FunctionDecl, error){
		logic(operators.LogicalAnd, 2), logic(operators.LogicalOr, 2), logic(operators.LogicalNot, 1),
		comparison(operators.Equals, false), comparison(operators.NotEquals, false),
		comparison(operators.Less, true), comparison(operators.LessEquals, true),
		comparison(operators.Greater, true), comparison(operators.GreaterEquals, true),
		membership,
	}
	var (
		text, integer, decimal = celTypes[crm.String], celTypes[crm.Integer], celTypes[crm.Decimal]
		boolean, date, instant = celTypes[crm.Boolean], celTypes[crm.Date], celTypes[crm.Timestamp]
		element                = types.NewTypeParamType("A")
		list                   = types.NewListType(element)
	)
	for _, f := range []struct {
		name   string
		args   []*types.Type
		result *types.Type
		member bool
	}{
		{"consented", []*types.Type{text}, types.BoolType, false},
		{"ago", []*types.Type{text}, instant, false},
		{"ahead", []*types.Type{text}, instant, false},
		{"date", []*types.Type{text}, date, false},
		{"timestamp", []*types.Type{text}, instant, false},
		{decimalFunction, []*types.Type{text}, decimal, false},
		{"startsWith", []*types.Type{text, text}, types.BoolType, true},
		{"endsWith", []*types.Type{text, text}, types.BoolType, true},
		{"contains", []*types.Type{text, text}, types.BoolType, true},
		{"lowerAscii", []*types.Type{text}, text, true},
		{"within", []*types.Type{list, text}, list, true},
		{"before", []*types.Type{list, text}, list, true},
		{"count", []*types.Type{list}, integer, true},
		{"sum", []*types.Type{list, text}, decimal, true},
		{"min", []*types.Type{list, text}, decimal, true},
		{"max", []*types.Type{list, text}, decimal, true},
		// What CEL's filter, and so our where, is made of. Authors cannot use either: resolve refuses them.
		{operators.Conditional, []*types.Type{boolean, element, element}, element, false},
		{operators.Add, []*types.Type{list, list}, list, false},
	} {
		declarations = append(declarations, func() (*decls.FunctionDecl, error) {
			if f.member {
				return decls.NewFunction(f.name, decls.MemberOverload(f.name+"_member", f.args, f.result))
			}
			return decls.NewFunction(f.name, decls.Overload(f.name+"_global", f.args, f.result))
		})
	}
	list2 := make([]*decls.FunctionDecl, 0, len(declarations))
	for _, declare := range declarations {
		f, err := declare()
		if err != nil {
			return nil, fmt.Errorf("declare the language: %w", err)
		}
		list2 = append(list2, f)
	}
	return list2, nil
}

// logic declares a connective. Boolean attributes may be null, which counts as false.
func logic(operator string, operands int) func() (*decls.FunctionDecl, error) {
	args := []*types.Type{celTypes[crm.Boolean], celTypes[crm.Boolean]}[:operands]
	return func() (*decls.FunctionDecl, error) {
		return decls.NewFunction(operator, decls.Overload(operator, args, types.BoolType))
	}
}

// comparison declares an operator for two values of a type, for the two kinds of numbers and, where it orders, for a
// date with an instant. Booleans have no order.
func comparison(operator string, orders bool) func() (*decls.FunctionDecl, error) {
	return func() (*decls.FunctionDecl, error) {
		var overloads []decls.FunctionOpt
		declare := func(left, right crm.ValueType) {
			id := fmt.Sprintf("%s_%s_%s", operator, left, right)
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
		return decls.NewFunction(operator, overloads...)
	}
}

// membership declares in, for a value and a list of its type or of the other kind of number.
func membership() (*decls.FunctionDecl, error) {
	var overloads []decls.FunctionOpt
	declare := func(value, element crm.ValueType) {
		id := fmt.Sprintf("in_%s_%s", value, element)
		overloads = append(overloads, decls.Overload(id, []*types.Type{celTypes[value], types.NewListType(celTypes[element])}, types.BoolType))
	}
	for _, t := range valueTypes {
		declare(t, t)
	}
	declare(crm.Integer, crm.Decimal)
	declare(crm.Decimal, crm.Integer)
	return decls.NewFunction(operators.In, overloads...)
}
