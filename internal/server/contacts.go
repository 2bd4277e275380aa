package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/server/intake"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type putContactsInput struct {
	Body struct {
		Source        string               `json:"source,omitempty" doc:"Whose ids external_id holds, such as shop. Default: api." example:"shop"`
		EmailVerified bool                 `json:"email_verified,omitempty" doc:"The source has verified the addresses: each identifies its person."`
		PhoneVerified bool                 `json:"phone_verified,omitempty" doc:"Likewise for telephone numbers."`
		Contacts      []intake.ContactItem `json:"contacts" minItems:"1" maxItems:"1000" doc:"Each is created, updated or left as it is."`
	}
}

type putContactsOutput struct {
	Body struct {
		Created   int          `json:"created" doc:"People who are new."`
		Updated   int          `json:"updated" doc:"People of whom something changed."`
		Unchanged int          `json:"unchanged" doc:"People of whom all was known."`
		Rejected  int          `json:"rejected" doc:"Items that could not be used."`
		Results   []itemResult `json:"results" doc:"One for each item, in their order."`
	}
}

type contactInput struct {
	ID string `path:"id" doc:"The contact's public id." format:"uuid"`
}

type contactOutput struct {
	Body contactBody
}

type contactBody struct {
	ID          string                     `json:"id" doc:"The contact's public id." format:"uuid"`
	AskedID     string                     `json:"asked_id,omitempty" doc:"The id that was asked for, where its contact was merged into this one." format:"uuid"`
	Locale      string                     `json:"locale,omitempty" doc:"A BCP 47 language tag."`
	TimeZone    string                     `json:"time_zone,omitempty" doc:"A zone of the IANA database."`
	Tags        []string                   `json:"tags" doc:"In the order in which they came."`
	Attributes  map[string]intake.Value    `json:"attributes" doc:"What is known of those that the RecordType contact declares."`
	Identifiers []contactIdentifier        `json:"identifiers" doc:"Everything that the contact is known by."`
	Consents    map[string]contactDecision `json:"consents" doc:"By purpose."`
	Accounts    []contactAccount           `json:"accounts,omitempty" doc:"Those that the contact belongs to, the primary one first."`
	Segments    []string                   `json:"segments" doc:"Names of the segments that the contact is in."`
	CreatedAt   time.Time                  `json:"created_at" doc:"When the contact came in."`
	UpdatedAt   time.Time                  `json:"updated_at" doc:"When the contact's own data last changed."`
}

type contactIdentifier struct {
	Type     string    `json:"type" doc:"email, phone, mastodon, bluesky, handle, or external:<source>."`
	Value    string    `json:"value" doc:"In its normal form."`
	Verified bool      `json:"verified" doc:"The identifier is this contact's and nobody else's."`
	Source   string    `json:"source" doc:"Who said so first."`
	LinkedAt time.Time `json:"linked_at" doc:"When they did."`
}

type contactDecision struct {
	Granted    bool      `json:"granted" doc:"The contact may be written to for this purpose."`
	ByContact  bool      `json:"by_contact" doc:"The contact decided themself: no import changes it."`
	Source     string    `json:"source" doc:"Who recorded it; unsubscribe is the link in a mail."`
	RecordedAt time.Time `json:"recorded_at" doc:"When it last changed."`
	// The proof.
	Method      string     `json:"method,omitempty" doc:"How it was given: double-opt-in, form, unsubscribe, preferences, or what an import said."`
	TextVersion string     `json:"text_version,omitempty" doc:"The version of the text that it answers."`
	GivenAt     *time.Time `json:"given_at,omitempty" doc:"When it was given."`
}

func (s *Server) registerContacts(api huma.API) {
	register(api, huma.Operation{
		OperationID: "put-contacts", Method: http.MethodPost, Path: "/v1/contacts:batch", Tags: []string{"Contacts"},
		Summary: "Create or update up to 1000 contacts", Security: requires(scopeContactsWrite), MaxBodyBytes: maxBatchBody,
		Description: "A record is found by its source and external_id. Records of two sources that have the same verified e-mail address or telephone " +
			"number are one contact. " +
			"What an item does not say stays as it is. Each item succeeds or is rejected by itself.",
	}, s.putContacts)
	register(api, huma.Operation{
		OperationID: "get-contact", Method: http.MethodGet, Path: "/v1/contacts/{id}", Tags: []string{"Contacts"},
		Summary: "Read a contact", Security: requires(scopeContactsRead), Errors: []int{http.StatusNotFound},
	}, s.getContact)
}

func (s *Server) putContacts(ctx context.Context, in *putContactsInput) (*putContactsOutput, error) {
	t := tenantOf(ctx)
	source := in.Body.Source
	if source == "" {
		source = intake.DefaultSource
	}
	if !crm.IsSource(source) {
		return nil, huma.Error422UnprocessableEntity("source: must be lower-case letters, digits, dots, hyphens and underscores, such as shop")
	}
	schema, err := t.db.LoadSchema(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	items := intake.NewContactItems(schema.Attributes, in.Body.Contacts, in.Body.EmailVerified, in.Body.PhoneVerified)
	out := &putContactsOutput{}
	out.Body.Results = make([]itemResult, len(in.Body.Contacts))
	var rows []store.ContactRow
	var places []int // of the rows in the request
	for i, item := range in.Body.Contacts {
		out.Body.Results[i] = itemResult{Index: i, Status: "rejected"}
		row, err := items.Row(item)
		if err != nil {
			out.Body.Results[i].Error = err.Error()
			continue
		}
		row.Line = int64(i)
		rows, places = append(rows, row), append(places, i)
	}
	if err := writeContacts(ctx, t, source, items.Columns, rows, places, out.Body.Results); err != nil {
		return nil, apiError(ctx, err)
	}
	for _, r := range out.Body.Results {
		switch r.Status {
		case "created":
			out.Body.Created++
		case "updated":
			out.Body.Updated++
		case "unchanged":
			out.Body.Unchanged++
		default:
			out.Body.Rejected++
		}
	}
	s.metrics.countRows(t.id, out.Body.Created, out.Body.Updated, out.Body.Unchanged, out.Body.Rejected)
	return out, nil
}

var outcomeNames = map[store.RowOutcome]string{
	store.Created: "created", store.Updated: "updated", store.Unchanged: "unchanged", store.Rejected: "rejected",
}

func writeContacts(
	ctx context.Context, t *tenant, source string, columns store.ContactColumns, rows []store.ContactRow, places []int, results []itemResult,
) error {
	if len(rows) == 0 {
		return nil
	}
	written, err := t.db.PutContacts(ctx, source, columns, rows)
	if err != nil {
		return err
	}
	ids, err := t.db.PublicIDs(ctx, written.Contacts)
	if err != nil {
		return err
	}
	for i, at := range places {
		results[at].Status, results[at].ID, results[at].Error = outcomeNames[written.Outcomes[i]], ids[i], written.Reasons[i]
	}
	return nil
}

func (s *Server) getContact(ctx context.Context, in *contactInput) (*contactOutput, error) {
	t := tenantOf(ctx)
	schema, err := t.db.LoadSchema(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	c, err := t.db.LoadContact(ctx, in.ID, schema.Attributes)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("No contact has this id.")
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	body := contactBody{
		ID: c.PublicID, Locale: c.Locale, TimeZone: c.TimeZone, Tags: c.Tags, Segments: c.Segments, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		Attributes: map[string]intake.Value{}, Identifiers: []contactIdentifier{}, Consents: map[string]contactDecision{},
	}
	if !strings.EqualFold(in.ID, c.PublicID) {
		body.AskedID = strings.ToLower(in.ID)
	}
	for name, value := range c.Attributes {
		body.Attributes[name] = valueOf(value)
	}
	for _, i := range c.Identifiers {
		body.Identifiers = append(body.Identifiers, contactIdentifier(i))
	}
	memberships, err := t.db.LoadMemberships(ctx, c.ID)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	for _, m := range memberships {
		body.Accounts = append(body.Accounts, contactAccount{ID: m.Account, Name: m.AccountName, membershipBody: tellMembership(m)})
	}
	for _, d := range c.Consents {
		body.Consents[d.Purpose] = contactDecision{
			Granted: d.Granted, ByContact: d.ByContact, Source: d.Source, RecordedAt: d.RecordedAt,
			Method: d.Method, TextVersion: d.TextVersion, GivenAt: d.GivenAt,
		}
	}
	return &contactOutput{Body: body}, nil
}

func valueOf(raw json.RawMessage) intake.Value {
	var v intake.Value
	_ = v.UnmarshalJSON(raw) // it only keeps the text
	return v
}
