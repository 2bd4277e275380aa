package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/server/intake"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// sampledOccurrences bounds how much of what a contact did is told with a sample.
const sampledOccurrences = 1000

type contactSampleOutput struct{ Body contactSampleBody }

// contactSampleBody is a contact as conditions see them.
type contactSampleBody struct {
	ID          string                  `json:"id" doc:"The contact's public id." format:"uuid"`
	Locale      string                  `json:"locale,omitempty" doc:"A BCP 47 language tag."`
	TimeZone    string                  `json:"time_zone,omitempty" doc:"A zone of the IANA database."`
	CreatedAt   time.Time               `json:"created_at" doc:"When the contact came in."`
	Tags        []string                `json:"tags" doc:"In the order in which they came."`
	Attributes  map[string]intake.Value `json:"attributes" doc:"What is known of those that the RecordType contact declares."`
	Segments    []string                `json:"segments" doc:"Names of the segments that the contact is in."`
	Consents    []string                `json:"consents" doc:"Purposes to which the contact has consented."`
	Identifiers []string                `json:"identifiers" doc:"Types of which the contact has one, without their values."`
	Events      []sampledEvent          `json:"events" doc:"The newest 1000 of declared types, the newest first."`
	Messages    []sampledMessage        `json:"messages" doc:"What was done with messages of campaigns, the newest 1000 first."`
}

type sampledEvent struct {
	Event  string       `json:"event" doc:"The EventType's name."`
	At     time.Time    `json:"at" doc:"When it happened."`
	Fields intake.Value `json:"fields" doc:"Its properties."`
}

type sampledMessage struct {
	What     string    `json:"what" enum:"received,opened,clicked" doc:"What was done with it."`
	Campaign string    `json:"campaign" doc:"The Campaign's name; of a rule: rule/<rule>/<step>."`
	At       time.Time `json:"at" doc:"When, the first time."`
}

func (s *Server) registerContactSample(api huma.API) {
	register(api, huma.Operation{
		OperationID: "contact-sample", Method: http.MethodGet, Path: "/v1/contacts/{id}/sample", Tags: []string{"Contacts"},
		Summary: "Tell what conditions of segments and rules see of a contact", Security: requires(scopeContactsRead), Errors: []int{http.StatusNotFound},
		Description: "tertulia rule test --as tries a rule with it. It has no address and no other value by which somebody is known.",
	}, contactSample)
}

func contactSample(ctx context.Context, in *contactInput) (*contactSampleOutput, error) {
	db := tenantOf(ctx).db
	schema, err := db.LoadSchema(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	c, err := db.LoadContact(ctx, in.ID, schema.Attributes)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("No contact has this id.")
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	history, err := db.LoadContactHistory(ctx, c.ID, sampledOccurrences)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	body := contactSampleBody{
		ID: c.PublicID, Locale: c.Locale, TimeZone: c.TimeZone, CreatedAt: c.CreatedAt, Tags: c.Tags, Segments: c.Segments,
		Attributes: map[string]intake.Value{}, Consents: []string{}, Identifiers: []string{}, Events: []sampledEvent{}, Messages: []sampledMessage{},
	}
	for name, value := range c.Attributes {
		body.Attributes[name] = valueOf(value)
	}
	for _, d := range c.Consents {
		if d.Granted {
			body.Consents = append(body.Consents, d.Purpose)
		}
	}
	for _, i := range c.Identifiers {
		if !slices.Contains(body.Identifiers, i.Type) {
			body.Identifiers = append(body.Identifiers, i.Type)
		}
	}
	for _, e := range history.Events {
		body.Events = append(body.Events, sampledEvent{Event: e.Name, At: e.At, Fields: valueOf(e.Properties)})
	}
	for _, m := range history.Messages {
		body.Messages = append(body.Messages, sampledMessage(m))
	}
	return &contactSampleOutput{Body: body}, nil
}
