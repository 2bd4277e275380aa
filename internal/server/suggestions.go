package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/identity"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type suggestionsInput struct {
	MinScore float64 `query:"min_score" minimum:"0" maximum:"1" default:"0.5" doc:"The least score. None below 0.5 are kept."`
	Limit    int     `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	After    string  `query:"after" maxLength:"40" doc:"next of the page before."`
}

type suggestionsOutput struct {
	Body struct {
		Suggestions []suggestionBody `json:"suggestions" doc:"The likeliest first."`
		Next        string           `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

type suggestionBody struct {
	Score    float64            `json:"score" doc:"How likely the two are one person, from 0 to 1."`
	Reasons  []suggestionReason `json:"reasons" doc:"What speaks for it and against it, what weighs most first."`
	FoundAt  time.Time          `json:"found_at" doc:"When they were first suggested."`
	Contacts []suggestedContact `json:"contacts" minItems:"2" maxItems:"2" doc:"The two, who came in first at the top."`
}

type suggestionReason struct {
	Signal string  `json:"signal" doc:"What was compared: name, email, phone, handle, mastodon, bluesky, called, place, birthday, language, source."`
	Level  string  `json:"level" doc:"How it compares."`
	Bits   float64 `json:"bits" doc:"By how much: one more doubles the odds, one less halves them."`
}

type suggestedContact struct {
	ID        string    `json:"id" doc:"The contact's public id." format:"uuid"`
	CreatedAt time.Time `json:"created_at" doc:"When the contact came in."`
	Sources   []string  `json:"sources" doc:"Who tells of the contact by ids of their own."`
	// What only a token sees that may read contacts.
	Attributes  map[string]string   `json:"attributes,omitempty" doc:"Those that have a role. Only for tokens with contacts:read."`
	Identifiers []contactIdentifier `json:"identifiers,omitempty" doc:"But for other systems' ids. Only for tokens with contacts:read."`
}

type distinctInput struct {
	Body struct {
		IDs    []string `json:"ids" minItems:"2" maxItems:"2" doc:"Public ids of two contacts, or of records of theirs."`
		By     string   `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded beside the token's name." example:"ana"`
		Reason string   `json:"reason,omitempty" maxLength:"500" doc:"Why; recorded."`
	}
}

func (s *Server) registerSuggestions(api huma.API) {
	write := requires(scopeContactsWrite)
	conflicts := []int{http.StatusNotFound, http.StatusConflict}
	register(api, huma.Operation{
		OperationID: "list-suggestions", Method: http.MethodGet, Path: "/v1/suggestions", Tags: []string{"Contacts"},
		Summary: "List contacts who may be one person", Security: requires(scopeContactsRead, scopeContactsWrite),
		Errors: []int{http.StatusUnprocessableEntity},
		Description: "Contacts that are new or changed are compared with those who share something with them. Nothing is merged until somebody " +
			"decides; what was decided is not suggested again.",
	}, listSuggestions)
	register(api, huma.Operation{
		OperationID: "accept-suggestion", Method: http.MethodPost, Path: "/v1/suggestions:accept", Tags: []string{"Contacts"},
		Summary: "Make one person of two contacts that are suggested", Security: write, Errors: conflicts,
		Description: "As /v1/contacts:merge, but 409 where they are not suggested any more: somebody has decided meanwhile, or what is known of them " +
			"has changed.",
	}, decideSuggestion((*store.DB).AcceptSuggestion))
	register(api, huma.Operation{
		OperationID: "reject-suggestion", Method: http.MethodPost, Path: "/v1/suggestions:reject", Tags: []string{"Contacts"},
		Summary: "Decide that two contacts that are suggested are two people", Security: write, Errors: conflicts,
		Description: "As /v1/contacts:distinct, but 409 where they are not suggested any more.",
	}, decideSuggestion((*store.DB).RejectSuggestion))
	register(api, huma.Operation{
		OperationID: "distinguish-contacts", Method: http.MethodPost, Path: "/v1/contacts:distinct", Tags: []string{"Contacts"},
		Summary: "Decide that two contacts are two people", Security: write, Errors: conflicts,
		Description: "No import merges them, and they are not suggested as one, until somebody merges them.",
	}, decideSuggestion((*store.DB).Distinguish))
}

var suggestionPlace = regexp.MustCompile(`^([0-9]{1,4})-([1-9][0-9]{0,17})$`)

func listSuggestions(ctx context.Context, in *suggestionsInput) (*suggestionsOutput, error) {
	page := store.SuggestionPage{LeastScore: in.MinScore, Limit: in.Limit + 1}
	if in.After != "" {
		place := suggestionPlace.FindStringSubmatch(in.After)
		if place == nil {
			return nil, huma.Error422UnprocessableEntity("after: is not the next of a page")
		}
		thousandths, _ := strconv.Atoi(place[1])
		page.AfterScore = float64(thousandths) / 1000
		page.AfterID, _ = strconv.ParseInt(place[2], 10, 64)
	}
	list, err := tenantOf(ctx).db.LoadSuggestions(ctx, page)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &suggestionsOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		last := list[in.Limit-1]
		out.Body.Next = fmt.Sprintf("%d-%d", int(math.Round(last.Score*1000)), last.ID)
	}
	open := tokenHas(ctx, scopeContactsRead)
	out.Body.Suggestions = make([]suggestionBody, len(list))
	for i, found := range list {
		out.Body.Suggestions[i] = suggestionBody{
			Score: found.Score, Reasons: suggestionReasons(found.Reasons), FoundAt: found.FoundAt,
			Contacts: []suggestedContact{tellSuggested(found.A, open), tellSuggested(found.B, open)},
		}
	}
	return out, nil
}

func suggestionReasons(reasons []identity.Reason) []suggestionReason {
	list := make([]suggestionReason, len(reasons))
	for i, r := range reasons {
		list[i] = suggestionReason(r)
	}
	return list
}

// tellSuggested tells of one of two, and what is known of them where the caller may read it.
func tellSuggested(c store.SuggestedContact, open bool) suggestedContact {
	told := suggestedContact{ID: c.PublicID, CreatedAt: c.CreatedAt, Sources: c.Sources}
	if !open {
		return told
	}
	told.Attributes, told.Identifiers = c.Attributes, make([]contactIdentifier, len(c.Identifiers))
	for i, known := range c.Identifiers {
		told.Identifiers[i] = contactIdentifier(known)
	}
	return told
}

func decideSuggestion(
	decide func(db *store.DB, ctx context.Context, a, b string, d store.Decider) (store.Merged, error),
) func(context.Context, *distinctInput) (*mergedOutput, error) {
	return func(ctx context.Context, in *distinctInput) (*mergedOutput, error) {
		d := store.Decider{Token: tokenName(ctx), By: in.Body.By, Reason: in.Body.Reason}
		merged, err := decide(tenantOf(ctx).db, ctx, in.Body.IDs[0], in.Body.IDs[1], d)
		var decided *store.DecidedError
		if errors.As(err, &decided) {
			return nil, huma.Error409Conflict(tellDecided(decided))
		}
		return mergedAnswer(ctx)(merged, err)
	}
}

// tellDecided says why two contacts cannot be decided of so.
func tellDecided(d *store.DecidedError) string {
	who := ""
	if d.By != "" {
		who = fmt.Sprintf(" %s decided so on %s.", d.By, d.At.UTC().Format(time.DateOnly))
	}
	switch {
	case d.Contact != "":
		return "The two are one contact already: " + d.Contact + "." + who + " POST /v1/contacts:unmerge takes them apart."
	case d.Parted:
		return "Somebody has decided that the two are two people." + who + " POST /v1/contacts:merge changes that."
	}
	return "The two are not suggested any more, because what is known of them has changed. GET /v1/suggestions lists who is; " +
		"POST /v1/contacts:merge and :distinct decide of any two."
}
