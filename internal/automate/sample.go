package automate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// Sample is what a rule is tried with: something that happened to somebody, and what happens to them later.
type Sample struct {
	At      time.Time
	Subject expr.Facts // of what the rule begins with
	// Conversation is that in which it stands; what is not told of it is as in one that has just begun.
	Conversation expr.Facts
	Contact      *expr.Person // nil: nobody is known
	Later        []SampleEvent
	Zone         *time.Location // of the contact
	Seed         string         // what draws begin with
}

// SampleEvent is what happens after the rule has begun.
type SampleEvent struct {
	Event string
	At    time.Time
	Facts expr.Facts
}

// sampleFile is a sample as people write it.
type sampleFile struct {
	Event        string          `json:"event"`
	At           *time.Time      `json:"at"`
	Fields       json.RawMessage `json:"fields"`
	Conversation json.RawMessage `json:"conversation"`
	Contact      *sampleContact  `json:"contact"`
	Later        []sampleLater   `json:"later"`
	Seed         string          `json:"seed"`
}

type sampleContact struct {
	Attributes  json.RawMessage `json:"attributes"`
	Locale      string          `json:"locale"`
	TimeZone    string          `json:"timeZone"`
	CreatedAt   *time.Time      `json:"createdAt"`
	Tags        []string        `json:"tags"`
	Segments    []string        `json:"segments"`
	Consents    []string        `json:"consents"`
	Identifiers []string        `json:"identifiers"`
	Events      []sampleLater   `json:"events"`
	Messages    []sampleMessage `json:"messages"`
}

type sampleLater struct {
	Event  string          `json:"event"`
	At     *time.Time      `json:"at"`
	After  Duration        `json:"after"`  // the rule began
	Before Duration        `json:"before"` // the rule began
	Fields json.RawMessage `json:"fields"`
}

type sampleMessage struct {
	What     string    `json:"what"`
	Campaign string    `json:"campaign"`
	At       time.Time `json:"at"`
}

// ReadSample reads a JSON document about something that happened:
//
//	{"event": "purchase", "at": "2027-03-28T10:00:00Z", "fields": {"amount": 49.5},
//	 "contact": {"attributes": {"plan": "club"}, "tags": ["vip"], "timeZone": "Europe/Madrid", "consents": ["newsletter"],
//	             "events": [{"event": "purchase", "before": "30d", "fields": {"amount": 10}}]},
//	 "later": [{"event": "review", "after": "3d", "fields": {"stars": 5}}]}
//
// Without "at", it happens now. Without "contact", nobody is known. zone is the tenant's. The error names the field and the mend.
func ReadSample(p *Plan, data []byte, now time.Time, zone *time.Location) (Sample, error) {
	schema := p.schema
	var file sampleFile
	if err := strictly(data, &file); err != nil {
		return Sample{}, err
	}
	s := Sample{At: now, Zone: zone, Seed: file.Seed}
	if file.At != nil {
		s.At = *file.At
	}
	s.At = bounded(s.At)
	if file.Event != "" && file.Event != p.Event.Name {
		return Sample{}, fmt.Errorf("event: the rule begins with %s, and not with %q", p.Rule.On, file.Event)
	}
	var err error
	if s.Subject, err = readFacts(p.Event, file.Fields); err != nil {
		return Sample{}, fmt.Errorf("fields: %w", err)
	}
	if s.Conversation, err = p.readConversation(file.Conversation); err != nil {
		return Sample{}, fmt.Errorf("conversation: %w", err)
	}
	if file.Contact != nil {
		if err := s.readContact(schema, file.Contact); err != nil {
			return Sample{}, fmt.Errorf("contact: %w", err)
		}
		if p.Event.Declared {
			s.Contact.Events = append(s.Contact.Events, expr.Occurrence{Name: p.Event.Name, At: s.At, Facts: s.Subject})
		}
	}
	for i, l := range file.Later {
		event, err := s.readLater(schema, l)
		if err != nil {
			return Sample{}, fmt.Errorf("later[%d]: %w", i, err)
		}
		if !event.At.After(s.At) {
			return Sample{}, fmt.Errorf("later[%d]: it happens before the rule begins: give it another after, or write it to contact.events", i)
		}
		s.Later = append(s.Later, event)
		if _, declared := schema.Event(event.Event); declared && s.Contact != nil {
			s.Contact.Events = append(s.Contact.Events, expr.Occurrence{Name: event.Event, At: event.At, Facts: event.Facts})
		}
	}
	slices.SortStableFunc(s.Later, func(a, b SampleEvent) int { return a.At.Compare(b.At) })
	return s, nil
}

// readConversation reads in which conversation it happened; nil where that is not told.
func (p *Plan) readConversation(object []byte) (expr.Facts, error) {
	switch {
	case len(object) == 0:
		return nil, nil
	case !p.Event.Case.Conversation || p.Event.Subject.Name == ConversationVariable:
		return nil, fmt.Errorf("of %s it is not told: remove it", p.Rule.On)
	}
	return expr.ReadSubject(conversationSubject, object)
}

// strictly reads JSON whose fields are all known.
func strictly(data []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.More() {
		return errors.New("behind the document stands more: write one document")
	}
	return nil
}

func readFacts(e Event, object []byte) (expr.Facts, error) {
	if len(object) == 0 {
		return expr.Facts{}, nil
	}
	if e.Subject.Name == "" {
		return nil, fmt.Errorf("of %s nothing is told: remove them", orSchedule(e.Name))
	}
	return expr.ReadSubject(e.Subject, object)
}

func orSchedule(name string) string {
	if name == "" {
		return "a schedule or a date"
	}
	return name
}

// readContact reads who it is.
func (s *Sample) readContact(schema crm.Schema, c *sampleContact) error {
	attributes := expr.Subject{Name: "contact"}
	for _, a := range schema.Attributes {
		attributes.Fields = append(attributes.Fields, expr.Field{Name: a.Name, Type: a.Type})
	}
	facts := expr.Facts{}
	if len(c.Attributes) > 0 {
		var err error
		if facts, err = expr.ReadSubject(attributes, c.Attributes); err != nil {
			return err
		}
	}
	if c.Locale != "" {
		facts["locale"] = expr.Text(c.Locale)
	}
	if c.TimeZone != "" {
		zone, err := crm.ParseZone(c.TimeZone)
		if err != nil {
			return err
		}
		s.Zone, facts["time_zone"] = zone, expr.Text(c.TimeZone)
	}
	created := s.At
	if c.CreatedAt != nil {
		created = *c.CreatedAt
	}
	facts["created_at"], facts["tags"] = expr.Instant(created), expr.Texts(c.Tags)
	s.Contact = &expr.Person{Facts: facts, Zone: s.Zone, Purposes: c.Consents, Identifiers: c.Identifiers, Segments: c.Segments}
	for i, l := range c.Events {
		event, err := s.readLater(schema, l)
		if err != nil {
			return fmt.Errorf("events[%d]: %w", i, err)
		}
		s.Contact.Events = append(s.Contact.Events, expr.Occurrence{Name: event.Event, At: event.At, Facts: event.Facts})
	}
	for i, m := range c.Messages {
		if !slices.Contains([]string{"received", "opened", "clicked"}, m.What) {
			return fmt.Errorf("messages[%d]: what is received, opened or clicked", i)
		}
		s.Contact.Messages = append(s.Contact.Messages, expr.Occurrence{Name: m.What, At: m.At, Campaign: m.Campaign})
	}
	return nil
}

func (s *Sample) readLater(schema crm.Schema, l sampleLater) (SampleEvent, error) {
	event, found := FindEvent(schema, l.Event)
	if !found {
		return SampleEvent{}, fmt.Errorf("there is no event %q%s", l.Event, crm.DidYouMean(l.Event, eventNames(schema)))
	}
	facts, err := readFacts(event, l.Fields)
	if err != nil {
		return SampleEvent{}, err
	}
	at := s.At.Add(time.Duration(l.After) - time.Duration(l.Before))
	if l.At != nil {
		at = *l.At
	}
	return SampleEvent{Event: l.Event, At: bounded(at), Facts: facts}, nil
}

// copied is a contact whose facts and tags may be changed.
func copied(p *expr.Person) *expr.Person {
	if p == nil {
		return nil
	}
	another := *p
	another.Facts = maps.Clone(p.Facts)
	return &another
}
