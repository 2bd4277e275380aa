package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The bounds of an event. One that is dated ahead, such as a booking, counts when its time has come.
const (
	maxEventID    = 255 // bytes
	maxProperties = 16 << 10
	maxAhead      = 2 * 366 * 24 * time.Hour
)

var earliestEvent = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// DefaultSource is the source of what comes without one.
const DefaultSource = "api"

// Value is a JSON value of an attribute or a property: a text, a number or a boolean.
type Value struct{ raw json.RawMessage }

// UnmarshalJSON keeps the value as it was written: a decimal does not pass through a float.
func (v *Value) UnmarshalJSON(raw []byte) error {
	v.raw = bytes.Clone(raw)
	return nil
}

// MarshalJSON writes the value as it was read.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.raw == nil {
		return []byte("null"), nil
	}
	return v.raw, nil
}

func (v Value) isNull() bool { return v.raw == nil || string(v.raw) == "null" }

// text is the value as a CSV file would hold it, provided that its JSON type suits.
func (v Value) text(t crm.ValueType) (string, error) {
	switch {
	case v.raw[0] == '"':
		if t == crm.Integer || t == crm.Boolean {
			return "", fmt.Errorf("is a text where the type is %s: write it without quotes", t)
		}
		var s string
		if err := json.Unmarshal(v.raw, &s); err != nil {
			return "", errors.New("is no JSON text")
		}
		if strings.IndexByte(s, 0) >= 0 {
			return "", errors.New("contains a NUL character")
		}
		return s, nil
	case v.raw[0] == '{' || v.raw[0] == '[':
		return "", errors.New("is an object or a list: write a single value")
	case t == crm.String || t == crm.Date || t == crm.Timestamp:
		return "", fmt.Errorf("is no text where the type is %s: write it in quotes", t)
	}
	return string(v.raw), nil
}

// Who names the person of an event: exactly one of the id that a source gave them, an e-mail address, a telephone
// number, or our public id.
type Who struct {
	ExternalID string `json:"external_id,omitempty" doc:"The source's id of the person."`
	Source     string `json:"source,omitempty" doc:"The source of external_id. Default: the event's source."`
	Email      string `json:"email,omitempty" doc:"An address, such as ana@example.com."`
	Phone      string `json:"phone,omitempty" doc:"In international form, such as +34600111222."`
	ID         string `json:"id,omitempty" doc:"The contact's public id."`
}

// EventItem is an event as it comes in.
type EventItem struct {
	ID         string           `json:"id" doc:"The source's id of the event. An event is taken once for each source and id." example:"order-17"`
	Source     string           `json:"source,omitempty" doc:"Where the event comes from, such as shop. Default: api."`
	Name       string           `json:"name" doc:"The name of an EventType." example:"purchase"`
	OccurredAt time.Time        `json:"occurred_at" doc:"When it happened (RFC 3339)."`
	Contact    Who              `json:"contact" doc:"Whose event it is: exactly one of external_id, email, phone and id."`
	Properties map[string]Value `json:"properties,omitempty" doc:"What the EventType declares."`
}

// EventChecks are what events are checked against.
type EventChecks struct {
	Schema    crm.Schema
	Suspended []string // names of event types that take no events for the moment
	Now       time.Time
}

// Event checks an item. The error names what is wrong and how to mend it.
func (c EventChecks) Event(item EventItem) (store.Event, error) {
	e := store.Event{Source: item.Source, ClientID: item.ID, Name: item.Name, OccurredAt: item.OccurredAt}
	if e.Source == "" {
		e.Source = DefaultSource
	}
	switch {
	case item.ID == "" || len(item.ID) > maxEventID || strings.IndexByte(item.ID, 0) >= 0:
		return e, fmt.Errorf("id: must have 1 to %d bytes and no NUL", maxEventID)
	case !crm.IsSource(e.Source):
		return e, errSource
	case item.OccurredAt.Before(earliestEvent):
		return e, errors.New("occurred_at: lies before 1970")
	case item.OccurredAt.After(c.Now.Add(maxAhead)):
		return e, errors.New("occurred_at: lies more than two years ahead")
	}
	declared, ok := c.Schema.Event(item.Name)
	if !ok {
		return e, fmt.Errorf("name: there is no EventType %q%s", clip(item.Name), crm.DidYouMean(item.Name, eventNames(c.Schema)))
	}
	if slices.Contains(c.Suspended, item.Name) {
		return e, fmt.Errorf("name: the EventType %q is suspended", item.Name)
	}
	if err := setWho(&e, item.Contact); err != nil {
		return e, fmt.Errorf("contact.%w", err)
	}
	properties, err := checkProperties(declared, item.Properties)
	if err != nil {
		return e, fmt.Errorf("properties.%w", err)
	}
	e.Properties = properties
	return e, nil
}

var errSource = errors.New("source: must be lower-case letters, digits, dots, hyphens and underscores, such as shop")

func eventNames(s crm.Schema) []string {
	names := make([]string, len(s.Events))
	for i, e := range s.Events {
		names[i] = e.Name
	}
	return names
}

func setWho(e *store.Event, w Who) (err error) {
	given := 0
	for _, s := range []string{w.ExternalID, w.Email, w.Phone, w.ID} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("external_id, email, phone, id: give exactly one of them")
	case w.Source != "" && w.ExternalID == "":
		return errors.New("source: belongs to external_id only")
	case w.ExternalID != "":
		source := w.Source
		if source == "" {
			source = e.Source
		}
		if !crm.IsSource(source) {
			return errSource
		}
		e.IdentifierType = crm.ExternalIdentifier(source)
		e.IdentifierValue, err = crm.NormalizeExternalID(w.ExternalID)
		return named("external_id", err)
	case w.Email != "":
		e.IdentifierType = crm.EmailIdentifier
		e.IdentifierValue, err = crm.NormalizeEmail(w.Email)
		return named("email", err)
	case w.Phone != "":
		e.IdentifierType = crm.PhoneIdentifier
		e.IdentifierValue, err = crm.NormalizePhone(w.Phone)
		return named("phone", err)
	}
	id, err := uuid.Parse(w.ID)
	if err != nil {
		return errors.New("id: is no public id of a contact (a UUID)")
	}
	e.ContactPublicID = id.String()
	return nil
}

func named(field string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// checkProperties checks properties against their types and returns them as a JSON object, dates and times in their
// canonical form and numbers as they were written.
func checkProperties(declared crm.EventType, properties map[string]Value) ([]byte, error) {
	checked := make(map[string]json.RawMessage, len(properties))
	size := 0
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		value := properties[name]
		p, ok := declared.Property(name)
		if !ok {
			return nil, fmt.Errorf("%s: the EventType %q has no such property%s", clip(name), declared.Name, crm.DidYouMean(name, propertyNames(declared)))
		}
		if value.isNull() {
			continue
		}
		text, err := value.text(p.Type)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		canonical, err := p.Type.Canonical(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		checked[name] = value.raw
		if value.raw[0] == '"' { // written anew: the database takes fewer escapes than JSON has
			if checked[name], err = json.Marshal(canonical); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		if size += len(name) + len(text); size > maxProperties {
			return nil, fmt.Errorf("%s: the properties take more than %d KiB", name, maxProperties>>10)
		}
	}
	return json.Marshal(checked)
}

func propertyNames(e crm.EventType) []string {
	names := make([]string, len(e.Properties))
	for i, p := range e.Properties {
		names[i] = p.Name
	}
	return names
}

// clip shortens a text that a stranger chose, for a message about it.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// Schema describes the value for the API: its type is the attribute's or the property's.
func (Value) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "A text, a number, a boolean or null, as the declared type asks for. A Decimal may be a number or a text."}
}
