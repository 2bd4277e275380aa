package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/store"
)

type mergeInput struct {
	Body struct {
		IDs    []string `json:"ids" minItems:"2" maxItems:"2" doc:"Public ids of two contacts, or of records of theirs."`
		By     string   `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded beside the token's name." example:"ana"`
		Reason string   `json:"reason,omitempty" maxLength:"500" doc:"Why; recorded."`
	}
}

type unmergeInput struct {
	Body struct {
		IDs    []string `json:"ids" minItems:"1" maxItems:"100" doc:"Public ids of records to take out of their contact. They are one contact, together."`
		By     string   `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded beside the token's name." example:"ana"`
		Reason string   `json:"reason,omitempty" maxLength:"500" doc:"Why; recorded."`
	}
}

type mergedOutput struct {
	Body struct {
		Contacts []string `json:"contacts" doc:"Public ids of those concerned, as they are now."`
		Changed  bool     `json:"changed" doc:"False where they were so before."`
	}
}

type historyOutput struct{ Body historyBody }

type historyBody struct {
	ID      string          `json:"id" doc:"The contact's public id."`
	Records []recordBody    `json:"records" doc:"What the contact was made of, the first that came in at the top. A contact with one record was never merged, or is apart again."`
	Changes []contactChange `json:"changes" doc:"When records came to the contact and left it, the oldest first."`
}

type recordBody struct {
	ID          string           `json:"id" doc:"The record's public id: that of the contact that it was, or would be."`
	Source      string           `json:"source" doc:"Who told of it."`
	CreatedAt   time.Time        `json:"created_at" doc:"When it came in."`
	Identifiers []recordEvidence `json:"identifiers" doc:"What was ever said of what it is known by, the oldest first."`
}

type recordEvidence struct {
	Type      string     `json:"type" doc:"The identifier's type."`
	Value     string     `json:"value" doc:"In its normal form."`
	Verified  bool       `json:"verified" doc:"Whoever said so has verified it."`
	Evidence  string     `json:"evidence" doc:"stated by a source, confirmed by the holder, or decided by a person."`
	Source    string     `json:"source" doc:"Who said so."`
	At        time.Time  `json:"at" doc:"When."`
	RevokedAt *time.Time `json:"revoked_at,omitempty" doc:"When it was taken back."`
}

type contactChange struct {
	At     time.Time `json:"at" doc:"When."`
	Record string    `json:"record" doc:"The public id of the record that moved."`
	From   string    `json:"from" doc:"The contact that it belonged to."`
	To     string    `json:"to" doc:"The contact that it belongs to since."`
	Types  []string  `json:"types,omitempty" doc:"Types of the verified identifiers that it shares with others of that contact."`
	By     string    `json:"by,omitempty" doc:"Who decided so; absent where what sources say did."`
	Token  string    `json:"token,omitempty" doc:"The token that they came with."`
	Reason string    `json:"reason,omitempty" doc:"Why."`
}

func (s *Server) registerContactIdentity(api huma.API) {
	write := requires(scopeContactsWrite)
	register(api, huma.Operation{
		OperationID: "merge-contacts", Method: http.MethodPost, Path: "/v1/contacts:merge", Tags: []string{"Contacts"},
		Summary: "Make one person of two contacts", Security: write, Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "The one that came in first keeps its id; the other's id leads to it from then on. Of each attribute the value of the source that ranks " +
			"highest counts, else the newest; of each consent the strictest. No import parts what a person has merged.",
	}, mergeContacts)
	register(api, huma.Operation{
		OperationID: "unmerge-contacts", Method: http.MethodPost, Path: "/v1/contacts:unmerge", Tags: []string{"Contacts"},
		Summary: "Take records out of a contact", Security: write, Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "What was merged comes apart as it was, whether a person or an import merged it, and no import merges it again. " +
			"A no that was said meanwhile holds for both.",
	}, unmergeContacts)
	register(api, huma.Operation{
		OperationID: "contact-history", Method: http.MethodGet, Path: "/v1/contacts/{id}/history", Tags: []string{"Contacts"},
		Summary: "Tell how a contact came to be who it is", Security: requires(scopeContactsRead), Errors: []int{http.StatusNotFound},
	}, contactHistory)
}

func mergeContacts(ctx context.Context, in *mergeInput) (*mergedOutput, error) {
	d := store.Decider{Token: tokenName(ctx), By: in.Body.By, Reason: in.Body.Reason}
	return mergedAnswer(ctx)(tenantOf(ctx).db.Merge(ctx, in.Body.IDs[0], in.Body.IDs[1], d))
}

func unmergeContacts(ctx context.Context, in *unmergeInput) (*mergedOutput, error) {
	d := store.Decider{Token: tokenName(ctx), By: in.Body.By, Reason: in.Body.Reason}
	return mergedAnswer(ctx)(tenantOf(ctx).db.Unmerge(ctx, in.Body.IDs, d))
}

// mergedAnswer is the answer to a decision about contacts.
func mergedAnswer(ctx context.Context) func(store.Merged, error) (*mergedOutput, error) {
	return func(merged store.Merged, err error) (*mergedOutput, error) {
		var parted *store.PartedError
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, huma.Error404NotFound("ids: one of them is no contact's and no record's.")
		case errors.Is(err, store.ErrNothingLeft):
			return nil, huma.Error409Conflict("The contact has no other records: there is nothing to part. GET /v1/contacts/{id}/history lists its records.")
		case errors.Is(err, store.ErrNotTogether):
			return nil, huma.Error409Conflict("The records are not of one contact: name those of one.")
		case errors.As(err, &parted):
			return nil, huma.Error409Conflict("Somebody has decided that the records " + parted.A + " and " + parted.B +
				" are two people. To change that, merge these two, and then the contacts.")
		case err != nil:
			return nil, apiError(ctx, err)
		}
		out := &mergedOutput{}
		out.Body.Contacts, out.Body.Changed = merged.Contacts, merged.Changed
		return out, nil
	}
}

func contactHistory(ctx context.Context, in *contactInput) (*historyOutput, error) {
	h, err := tenantOf(ctx).db.LoadHistory(ctx, in.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("No contact has this id.")
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	body := historyBody{ID: h.Contact, Records: make([]recordBody, len(h.Records)), Changes: make([]contactChange, len(h.Changes))}
	for i, r := range h.Records {
		body.Records[i] = recordBody{ID: r.PublicID, Source: r.Source, CreatedAt: r.CreatedAt, Identifiers: make([]recordEvidence, len(r.Known))}
		for j, k := range r.Known {
			body.Records[i].Identifiers[j] = recordEvidence{
				Type: k.Type, Value: k.Value, Verified: k.Verified, Evidence: string(k.Evidence), Source: k.Source, At: k.At, RevokedAt: k.RevokedAt,
			}
		}
	}
	for i, c := range h.Changes {
		body.Changes[i] = contactChange(c)
	}
	return &historyOutput{Body: body}, nil
}
