package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/server/intake"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type accountsInput struct {
	Name   string `query:"name" maxLength:"200" doc:"How the name begins, in whatever case."`
	Domain string `query:"domain" maxLength:"253" doc:"One of its domains." example:"acme.example"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	After  string `query:"after" maxLength:"40" doc:"next of the page before."`
}

type accountsOutput struct {
	Body struct {
		Accounts []accountBody `json:"accounts" doc:"As they came in."`
		Next     string        `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

type accountInput struct {
	ID string `path:"id" doc:"The account's public id." format:"uuid"`
}

type accountOutput struct{ Body accountBody }

type accountBody struct {
	ID          string                  `json:"id" doc:"The account's public id." format:"uuid"`
	Name        string                  `json:"name,omitempty" doc:"What it is called."`
	Attributes  map[string]intake.Value `json:"attributes" doc:"What is known of those that the RecordType account declares."`
	Identifiers []accountIdentifier     `json:"identifiers" doc:"What it is known by."`
	Contacts    *int64                  `json:"contacts,omitempty" doc:"How many contacts belong to it; absent in lists."`
	CreatedAt   time.Time               `json:"created_at" doc:"When it came in."`
	UpdatedAt   time.Time               `json:"updated_at" doc:"When its own data last changed."`
}

type accountIdentifier struct {
	Type   string `json:"type" doc:"domain, or external:<source>."`
	Value  string `json:"value" doc:"In its normal form."`
	Source string `json:"source" doc:"Who said so."`
}

type membersInput struct {
	ID    string `path:"id" doc:"The account's public id." format:"uuid"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	After string `query:"after" maxLength:"40" doc:"next of the page before."`
}

type membersOutput struct {
	Body struct {
		Contacts []memberBody `json:"contacts" doc:"Those who belong to the account."`
		Next     string       `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

type memberBody struct {
	ID string `json:"id" doc:"The contact's public id." format:"uuid"`
	membershipBody
}

type contactAccount struct {
	ID   string `json:"id" doc:"The account's public id." format:"uuid"`
	Name string `json:"name,omitempty" doc:"What it is called."`
	membershipBody
}

type membershipBody struct {
	Role    string   `json:"role,omitempty" doc:"What the contact is there."`
	Primary bool     `json:"primary" doc:"The account counts most of those that the contact belongs to."`
	Sources []string `json:"sources" doc:"Those that say so."`
	ByHand  bool     `json:"by_hand,omitempty" doc:"Somebody decided so."`
}

type memberInput struct {
	ID      string `path:"id" doc:"The account's public id." format:"uuid"`
	Contact string `path:"contact" doc:"The contact's public id, or that of one of its records." format:"uuid"`
	Body    struct {
		Role    string `json:"role,omitempty" maxLength:"100" doc:"What the contact is there." example:"purchaser"`
		Primary bool   `json:"primary,omitempty" doc:"The account counts most of those that the contact belongs to."`
		By      string `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded." example:"ana"`
	}
}

type noMemberInput struct {
	ID      string `path:"id" doc:"The account's public id." format:"uuid"`
	Contact string `path:"contact" doc:"The contact's public id, or that of one of its records." format:"uuid"`
	By      string `query:"by" required:"true" minLength:"1" maxLength:"100" doc:"Who decides; recorded." example:"ana"`
}

type nothing struct{}

const membershipPath = "/v1/accounts/{id}/contacts/{contact}"

func (s *Server) registerAccounts(api huma.API) {
	read, write := requires(scopeContactsRead), requires(scopeContactsWrite)
	missing := []int{http.StatusNotFound}
	register(api, huma.Operation{
		OperationID: "list-accounts", Method: http.MethodGet, Path: "/v1/accounts", Tags: []string{"Accounts"},
		Summary: "List accounts", Security: read, Errors: []int{http.StatusUnprocessableEntity},
	}, listAccounts)
	register(api, huma.Operation{
		OperationID: "get-account", Method: http.MethodGet, Path: "/v1/accounts/{id}", Tags: []string{"Accounts"},
		Summary: "Read an account", Security: read, Errors: missing,
	}, getAccount)
	register(api, huma.Operation{
		OperationID: "delete-account", Method: http.MethodDelete, Path: "/v1/accounts/{id}", Tags: []string{"Accounts"},
		Summary: "Erase an account", Security: write, Errors: missing, DefaultStatus: http.StatusNoContent,
		Description: "With all that was said of who belongs to it. Its contacts stay. A source that tells of it again makes a new one.",
	}, deleteAccount)
	register(api, huma.Operation{
		OperationID: "list-account-contacts", Method: http.MethodGet, Path: "/v1/accounts/{id}/contacts", Tags: []string{"Accounts"},
		Summary: "List the contacts of an account", Security: read, Errors: append(missing, http.StatusUnprocessableEntity),
	}, listMembers)
	register(api, huma.Operation{
		OperationID: "add-account-contact", Method: http.MethodPut, Path: membershipPath, Tags: []string{"Accounts"},
		Summary: "Decide that a contact belongs to an account", Security: write, Errors: missing, DefaultStatus: http.StatusNoContent,
		Description: "It holds whatever sources say, and through merges, until somebody decides otherwise.",
	}, addMember)
	register(api, huma.Operation{
		OperationID: "remove-account-contact", Method: http.MethodDelete, Path: membershipPath, Tags: []string{"Accounts"},
		Summary: "Decide that a contact does not belong to an account", Security: write, Errors: missing, DefaultStatus: http.StatusNoContent,
		Description: "It holds whatever sources say, and through merges, until somebody decides otherwise.",
	}, removeMember)
}

// placeAfter reads where a page begins.
func placeAfter(after string) (int64, error) {
	if after == "" {
		return 0, nil
	}
	place, err := strconv.ParseInt(after, 10, 64)
	if err != nil || place < 1 {
		return 0, huma.Error422UnprocessableEntity("after: is not the next of a page")
	}
	return place, nil
}

func listAccounts(ctx context.Context, in *accountsInput) (*accountsOutput, error) {
	after, err := placeAfter(in.After)
	if err != nil {
		return nil, err
	}
	page := store.AccountPage{After: after, Name: in.Name, Limit: in.Limit + 1}
	if in.Domain != "" {
		if page.Domain, err = intake.Domain(in.Domain); err != nil {
			return nil, huma.Error422UnprocessableEntity("domain: " + err.Error())
		}
	}
	t := tenantOf(ctx)
	attributes, err := t.db.LoadAccountAttributes(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	list, err := t.db.ListAccounts(ctx, page, attributes)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &accountsOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.Next = strconv.FormatInt(list[in.Limit-1].ID, 10)
	}
	out.Body.Accounts = make([]accountBody, len(list))
	for i, a := range list {
		out.Body.Accounts[i] = tellAccount(a)
	}
	return out, nil
}

func tellAccount(a store.Account) accountBody {
	body := accountBody{
		ID: a.PublicID, Name: a.Name, Attributes: map[string]intake.Value{}, Identifiers: make([]accountIdentifier, len(a.Identifiers)),
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
	for name, value := range a.Attributes {
		body.Attributes[name] = valueOf(value)
	}
	for i, known := range a.Identifiers {
		body.Identifiers[i] = accountIdentifier(known)
	}
	return body
}

func getAccount(ctx context.Context, in *accountInput) (*accountOutput, error) {
	t := tenantOf(ctx)
	attributes, err := t.db.LoadAccountAttributes(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	a, err := t.db.LoadAccount(ctx, in.ID, attributes)
	if err != nil {
		return nil, accountError(ctx, err)
	}
	out := &accountOutput{Body: tellAccount(a)}
	out.Body.Contacts = &a.Contacts
	return out, nil
}

// accountError is the answer to what is asked of an account.
func accountError(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return huma.Error404NotFound("No account has this id, or no contact where one is named.")
	}
	return apiError(ctx, err)
}

func deleteAccount(ctx context.Context, in *accountInput) (*nothing, error) {
	if err := tenantOf(ctx).db.DeleteAccount(ctx, in.ID); err != nil {
		return nil, accountError(ctx, err)
	}
	return nil, nil
}

func listMembers(ctx context.Context, in *membersInput) (*membersOutput, error) {
	after, err := placeAfter(in.After)
	if err != nil {
		return nil, err
	}
	list, err := tenantOf(ctx).db.LoadMembers(ctx, in.ID, after, in.Limit+1)
	if err != nil {
		return nil, accountError(ctx, err)
	}
	out := &membersOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.Next = strconv.FormatInt(list[in.Limit-1].ContactID, 10)
	}
	out.Body.Contacts = make([]memberBody, len(list))
	for i, m := range list {
		out.Body.Contacts[i] = memberBody{ID: m.Contact, membershipBody: tellMembership(m)}
	}
	return out, nil
}

func tellMembership(m store.Membership) membershipBody {
	return membershipBody{Role: m.Role, Primary: m.Primary, Sources: m.Sources, ByHand: m.ByHand}
}

func addMember(ctx context.Context, in *memberInput) (*nothing, error) {
	d := store.MembershipDecision{Account: in.ID, Contact: in.Contact, Member: true, Role: in.Body.Role, Primary: in.Body.Primary, By: in.Body.By}
	if err := tenantOf(ctx).db.DecideMembership(ctx, d); err != nil {
		return nil, accountError(ctx, err)
	}
	return nil, nil
}

func removeMember(ctx context.Context, in *noMemberInput) (*nothing, error) {
	d := store.MembershipDecision{Account: in.ID, Contact: in.Contact, By: in.By}
	if err := tenantOf(ctx).db.DecideMembership(ctx, d); err != nil {
		return nil, accountError(ctx, err)
	}
	return nil, nil
}
