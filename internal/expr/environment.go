package expr

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The names that only we give. None can be written in a source: CEL has no identifier with an @.
const (
	decimalFunction = "@decimal" // wraps a literal, because CEL has no exact decimals
	anyFunction     = "@any"     // wraps a selection that stands where a condition is asked for
	eventsVariable  = "@events:" // and the name: a list of the events of one type
	propertyOf      = "@"        // before first and last of a property, behind which its type follows
)

// The names of the language's types inside cel-go.
const (
	contactType = "contact"
	messageType = "message" // what was received, opened or clicked
	eventPrefix = "event:"  // and the event's name
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

// environment is what the names of an expression may stand for: what the tenant's schema declares, and subjects where there are any.
type environment struct {
	schema   crm.Schema
	subjects []Subject
	want     *crm.Attribute // which the expression gives a value; nil for a condition
}

func (env environment) check() error {
	if err := checkSchema(env.schema); err != nil {
		return err
	}
	return env.checkSubjects()
}

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

// provider tells the checker which fields a contact, each event and each subject have.
type provider struct {
	environment
}

var _ types.Provider = provider{}

// FindStructType knows a contact, a message, the schema's events, the subjects and their groups.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, isEvent := p.event(name); name != contactType && name != messageType && !isEvent && p.group(name) == nil {
		return nil, false
	}
	return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
}

// group lists the fields of a subject, or of one of its groups, by the name of its type; nil where it is none.
func (p provider) group(name string) []Field {
	chain, isSubject := strings.CutPrefix(name, subjectPrefix)
	if !isSubject {
		return nil
	}
	names := strings.Split(chain, ".")
	s, found := p.subject(names[0])
	if !found {
		return nil
	}
	if len(names) == 1 {
		return s.Fields
	}
	f, _ := s.field(names[1:])
	return f.Fields
}

// FindStructFieldType is the type of an attribute, of a field that every contact has, of an event's property or of a subject's field.
// A message has none.
func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name == messageType {
		return nil, false
	}
	if fields := p.group(name); fields != nil {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == field })
		if i < 0 {
			return nil, false
		}
		return &types.FieldType{Type: fields[i].celType(strings.TrimPrefix(name, subjectPrefix) + "." + field)}, true
	}
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

// variables declares contact, now, one list of events for each event type, and the subjects.
func (env environment) variables() []*decls.VariableDecl {
	list := []*decls.VariableDecl{
		decls.NewVariable("contact", types.NewObjectType(contactType)),
		decls.NewVariable("now", types.TimestampType),
	}
	for _, s := range env.subjects {
		list = append(list, decls.NewVariable(s.Name, types.NewObjectType(subjectPrefix+s.Name)))
	}
	for _, e := range env.schema.Events {
		list = append(list, decls.NewVariable(eventsVariable+e.Name, types.NewListType(types.NewObjectType(eventPrefix+e.Name))))
	}
	return list
}
