package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// previewChoice says whose message of a campaign is meant, and as whom it is read.
type previewChoice struct {
	Contact string `json:"contact,omitempty" format:"uuid" doc:"The public id of the contact whose values it shows. Default: typical values of nobody."`
	Variant string `json:"variant,omitempty" maxLength:"63" doc:"The variant's name. Default: the first."`
	Locale  string `json:"locale,omitempty" maxLength:"35" doc:"The language. Default: the contact's, or the template's default."`
}

type previewInput struct {
	Campaign string `path:"campaign" maxLength:"253" doc:"The name of the Campaign."`
	Body     previewChoice
}

type previewOutput struct {
	Body struct {
		Variant string `json:"variant" doc:"Whose message it is."`
		Locale  string `json:"locale" doc:"Of the content that was used."`
		Subject string `json:"subject" doc:"In one line."`
		HTML    string `json:"html,omitempty" doc:"Absent where the content has none."`
		Text    string `json:"text" doc:"For readers that show no HTML."`
		Message []byte `json:"message" doc:"The whole message (RFC 5322), in base64. Nothing in it is tracked, and its link for unsubscribing unsubscribes nobody."`
	}
}

// registerPreviews adds what an author looks at before a campaign is sent.
func (s *Server) registerPreviews(api huma.API) {
	failures := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	register(api, huma.Operation{
		OperationID: "preview-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{campaign}/preview", Tags: []string{"Campaigns"},
		Summary: "Write a campaign's message without sending it", Security: requires(scopePreviewsRead), Errors: failures,
		Description: "Whose message it is stands in the body, where no log records it.",
	}, previewCampaign)
	register(api, huma.Operation{
		OperationID: "test-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{campaign}/tests", Tags: []string{"Campaigns"},
		Summary: "Send a campaign's message to up to ten addresses, as a test", Security: requires(scopeTestsSend),
		Errors: append(failures, http.StatusTooManyRequests),
		Description: "It goes to the addresses of the request and to no contact. It is marked as a test, stands in no ledger and is not tracked. " +
			"To show a contact's values the token needs the scope previews:read, too.",
	}, testCampaign)
}

func previewCampaign(ctx context.Context, in *previewInput) (*previewOutput, error) {
	job, recipient, err := gatherPreview(ctx, in.Campaign, in.Body)
	if err != nil {
		return nil, err
	}
	written, err := compose.NewPreview(job, compose.PreviewRequest{
		Variant: in.Body.Variant, Locale: in.Body.Locale, Recipient: recipient, Now: time.Now(),
	})
	if err != nil {
		return nil, previewError(err)
	}
	out := &previewOutput{}
	b := &out.Body
	b.Variant, b.Locale, b.Subject, b.HTML, b.Text, b.Message = written.Variant, written.Locale, written.Subject, written.HTML, written.Text, written.Message
	return out, nil
}

// gatherPreview reads the campaign and the person.
func gatherPreview(ctx context.Context, campaign string, choice previewChoice) (store.SendJob, render.Recipient, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	db := tenantOf(ctx).db
	job, err := db.LoadPreview(ctx, campaign)
	if errors.Is(err, store.ErrNotFound) {
		return job, render.Recipient{}, huma.Error404NotFound(
			"There is no campaign of that name in force, or its channel or template is not: look at `kubectl get campaigns,messagechannels,messagetemplates`.")
	}
	if err != nil {
		return job, render.Recipient{}, apiError(ctx, err)
	}
	if job.Channel.Type != store.EmailType {
		return job, render.Recipient{}, huma.Error422UnprocessableEntity("The campaign's channel sends no mail: there is no message to show.")
	}
	recipient := render.SampleRecipient(job.Attributes)
	if choice.Contact == "" {
		return job, recipient, nil
	}
	contact, err := db.PreviewRecipient(ctx, choice.Contact, job.Attributes)
	if errors.Is(err, store.ErrNotFound) {
		return job, recipient, huma.Error404NotFound("There is no contact of that id.")
	}
	if err != nil {
		return job, recipient, apiError(ctx, err)
	}
	address := contact.Address
	if address == "" {
		address = recipient.Address
	}
	return job, render.Recipient{
		Address: address, Locale: contact.Locale, TimeZone: contact.TimeZone, Tags: contact.Tags, Values: contact.Attributes,
	}, nil
}

// previewError tells why a message cannot be written; it holds source of the template at most.
func previewError(err error) error {
	var variant *compose.ErrVariant
	if errors.As(err, &variant) {
		return huma.Error404NotFound(variant.Error())
	}
	return huma.Error422UnprocessableEntity("The message cannot be written: " + err.Error())
}
