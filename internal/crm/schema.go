// Package crm holds the words of the domain: what a contact, an identifier and an event are, whatever stores or
// carries them. It imports nothing of the project.
package crm

import "regexp"

// ValueType is the type of an attribute or a property, as manifests write it.
type ValueType string

// The types, with the PostgreSQL type that a column of theirs has.
const (
	String    ValueType = "String"    // text
	Integer   ValueType = "Integer"   // bigint
	Decimal   ValueType = "Decimal"   // numeric
	Boolean   ValueType = "Boolean"   // boolean
	Date      ValueType = "Date"      // date
	Timestamp ValueType = "Timestamp" // timestamptz
)

// SQLType is the PostgreSQL type of a column of this type, and "" for an unknown one.
func (t ValueType) SQLType() string {
	switch t {
	case String:
		return "text"
	case Integer:
		return "bigint"
	case Decimal:
		return "numeric"
	case Boolean:
		return "boolean"
	case Date:
		return "date"
	case Timestamp:
		return "timestamptz"
	}
	return ""
}

// Attribute is a typed column that a tenant gave its contacts.
type Attribute struct {
	Name     string
	Type     ValueType
	Enum     []string // the only values of a String; nil allows any
	Indexed  bool
	Personal bool
	Role     Role
}

// Role is what an attribute tells of a person, for finding those who may be one.
type Role string

// The roles. An attribute without one tells nothing of who somebody is.
const (
	NameRole     Role = "Name"     // a name, or a part of it
	PlaceRole    Role = "Place"    // where they live
	BirthdayRole Role = "Birthday" // a Date
)

// Column is the name of the attribute's column. The prefix keeps it apart from the columns that every contact has.
func (a Attribute) Column() string { return "attr_" + a.Name }

// Property is a typed value that an event carries.
type Property struct {
	Name string    `json:"name"`
	Type ValueType `json:"type"`
}

// EventType is an event that a tenant takes.
type EventType struct {
	Name       string
	Properties []Property
}

// Schema is what expressions, imports and templates are checked against.
type Schema struct {
	Attributes []Attribute // of a contact, by name
	Events     []EventType // by name
	// Purposes are those of consent that policies know. Where there is none, expressions may name any; imports and templates do not ask.
	Purposes []string
}

// Attribute finds an attribute by name.
func (s Schema) Attribute(name string) (Attribute, bool) {
	for _, a := range s.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

// Event finds an event type by name.
func (s Schema) Event(name string) (EventType, bool) {
	for _, e := range s.Events {
		if e.Name == name {
			return e, true
		}
	}
	return EventType{}, false
}

// Property finds a property by name.
func (e EventType) Property(name string) (Property, bool) {
	for _, p := range e.Properties {
		if p.Name == name {
			return p, true
		}
	}
	return Property{}, false
}

// The types of identifiers that every tenant has. An id of another system has the type that ExternalIdentifier makes.
const (
	EmailIdentifier = "email"
	PhoneIdentifier = "phone"
)

// ExternalIdentifier is the type of the identifiers that a source gives its records.
func ExternalIdentifier(source string) string { return "external:" + source }

var purpose = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// IsPurpose tells whether a text can name a purpose of consent.
func IsPurpose(s string) bool { return purpose.MatchString(s) }

// FieldPattern is what the names of attributes and properties match.
var FieldPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
