package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type subscribeInput struct {
	Body struct {
		Email    string   `json:"email" maxLength:"320" doc:"The address that was typed into the form." example:"ana@example.com"`
		Purposes []string `json:"purposes" minItems:"1" maxItems:"20" doc:"What its holder wants to receive, as a ConsentPolicy names it." example:"[\"newsletter\"]"`
		Locale   string   `json:"locale,omitempty" maxLength:"35" doc:"The language of the form, a BCP 47 tag. Who is new is written to in it." example:"es"`
		TimeZone string   `json:"time_zone,omitempty" maxLength:"64" doc:"A zone of the IANA database." example:"Europe/Madrid"`
		Source   string   `json:"source,omitempty" doc:"Which form it was, such as shop. Default: form." example:"shop"`
	}
}

func (s *Server) registerSubscriptions(api huma.API) {
	register(api, huma.Operation{
		OperationID: "subscribe", Method: http.MethodPost, Path: "/v1/subscriptions", Tags: []string{"Consent"}, DefaultStatus: http.StatusAccepted,
		Summary: "Tell that somebody wants to receive something, for a site's form", Security: requires(scopeSubscriptionsWrite), MaxBodyBytes: 8 << 10,
		Description: "Where the purpose has a double opt-in, a mail asks the holder of the address to confirm, at most once a day. " +
			"The answer is the same whether or not the address is known, and what it has decided. A request may be repeated.",
		Errors: []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests},
	}, subscribe)
}

func subscribe(ctx context.Context, in *subscribeInput) (*struct{}, error) {
	request := store.ConsentRequest{Purposes: in.Body.Purposes, Source: in.Body.Source}
	var err error
	if request.Address, err = crm.NormalizeEmail(in.Body.Email); err != nil {
		return nil, huma.Error422UnprocessableEntity("email: " + err.Error())
	}
	if request.Source == "" {
		request.Source = "form"
	}
	if !crm.IsSource(request.Source) {
		return nil, huma.Error422UnprocessableEntity("source: must be lower-case letters, digits, dots, hyphens and underscores, such as shop")
	}
	if in.Body.Locale != "" {
		if request.Locale, err = crm.NormalizeLocale(in.Body.Locale); err != nil {
			return nil, huma.Error422UnprocessableEntity("locale: " + err.Error())
		}
	}
	if request.TimeZone = in.Body.TimeZone; request.TimeZone != "" {
		if _, err := crm.ParseZone(request.TimeZone); err != nil {
			return nil, huma.Error422UnprocessableEntity("time_zone: must be a zone of the IANA database, such as Europe/Madrid")
		}
	}
	err = tenantOf(ctx).db.RequestConsent(ctx, request)
	var unknown *store.UnknownPurposeError
	switch {
	case errors.As(err, &unknown):
		return nil, huma.Error422UnprocessableEntity("purposes: no ConsentPolicy lets people subscribe to it" + crm.DidYouMean(unknown.Purpose, unknown.Known))
	case errors.Is(err, store.ErrTooManyRequests):
		return nil, huma.ErrorWithHeaders(huma.NewError(http.StatusTooManyRequests, "More requests wait than are taken: try again later."),
			http.Header{"Retry-After": {"60"}})
	case err != nil:
		return nil, apiError(ctx, err)
	}
	return nil, nil
}
