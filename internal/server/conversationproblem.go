package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// collisionBody is a problem that tells what has happened meanwhile.
type collisionBody struct {
	huma.ErrorModel
	Reason  string        `json:"reason" doc:"Claimed: another agent is answering. Answered, Written: somebody wrote since it was read. Closed, Solved: it is over. Others: see detail."`
	Holder  string        `json:"holder,omitempty" doc:"Who is answering."`
	Until   *time.Time    `json:"until,omitempty" doc:"How long that counts, unless they renew it."`
	Version int64         `json:"version,omitempty" doc:"The version that the conversation has now."`
	New     []messageBody `json:"new,omitempty" doc:"What was written since the version that was read, the oldest first."`
}

// collides describes that an operation may answer so.
func collides(api huma.API, o huma.Operation) huma.Operation {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[collisionBody](), true, "CollisionBody")
	o.Responses = map[string]*huma.Response{strconv.Itoa(http.StatusConflict): {
		Description: "It cannot be done as things stand: reason says why, and new what has come meanwhile.",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
	}}
	return o
}

// collision tells why something could not be done to a conversation and, where somebody wrote meanwhile, what they wrote.
func collision(ctx context.Context, id string, seen int64, err error) error {
	body := refused(err)
	if body == nil {
		return conversationError(ctx, err)
	}
	if now, err := lookAtConversation(ctx, id); err == nil {
		body.Version = now.Version
		for _, m := range now.Thread {
			if m.Version > seen {
				body.New = append(body.New, m)
			}
		}
	}
	return body
}

// refused is a refusal as a problem; nil for other errors.
func refused(err error) *collisionBody {
	var no *service.Refusal
	if !errors.As(err, &no) {
		return nil
	}
	status := http.StatusConflict
	switch no.Reason {
	case service.ReasonUnknown, service.ReasonPast, service.ReasonTooLong: // whoever asked for that is wrong, however things stand
		status = http.StatusUnprocessableEntity
	}
	return &collisionBody{
		ErrorModel: huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: sentence(no)},
		Reason:     string(no.Reason), Holder: no.Holder, Until: momentOf(no.Until),
	}
}

const detailNoConversation = "There is no such conversation or ticket. GET /v1/conversations lists those that wait."

// conversationError tells why something could not be done to a conversation or a ticket.
func conversationError(ctx context.Context, err error) error {
	if body := refused(err); body != nil {
		return body
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(missingOfConversation(err))
	case errors.Is(err, store.ErrPostingDecided):
		return huma.Error409Conflict("There is nothing to settle: the answer is under way, or has left.")
	case errors.Is(err, store.ErrBadCursor):
		return huma.Error422UnprocessableEntity("after: is not the next of a page")
	case errors.Is(err, store.ErrTooLong):
		return huma.Error504GatewayTimeout("It took too long and was given up: ask for fewer. Nothing was changed.")
	}
	return apiError(ctx, err)
}

func missingOfConversation(err error) string {
	var missing *store.MissingError
	if !errors.As(err, &missing) {
		return detailNoConversation
	}
	switch missing.What {
	case "queue":
		return fmt.Sprintf("There is no queue %q in force: GET /v1/queues lists those that there are.", missing.Name)
	case "contact":
		return fmt.Sprintf("There is no contact %q.", missing.Name)
	case "message":
		return "The conversation has no such message of ours."
	}
	return detailMissing(err)
}
