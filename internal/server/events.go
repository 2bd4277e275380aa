package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/server/intake"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type putEventsInput struct {
	Body struct {
		Events []intake.EventItem `json:"events" minItems:"1" maxItems:"1000" doc:"Each is taken once."`
	}
}

type putEventsOutput struct {
	Body struct {
		Accepted  int          `json:"accepted" doc:"Events that are new."`
		Duplicate int          `json:"duplicate" doc:"Events that were taken before."`
		Rejected  int          `json:"rejected" doc:"Items that could not be used."`
		Results   []itemResult `json:"results" doc:"One for each item, in their order."`
	}
}

func (s *Server) registerEvents(api huma.API) {
	register(api, huma.Operation{
		OperationID: "put-events", Method: http.MethodPost, Path: "/v1/events:batch", Tags: []string{"Events"},
		Summary: "Record up to 1000 events", Security: requires(scopeEventsWrite), MaxBodyBytes: maxBatchBody,
		Description: "An event is taken once for each source and id, so that a request may be repeated. " +
			"An event of somebody who is not known yet is kept, and bound to them when they are. Each item succeeds or is rejected by itself.",
	}, s.putEvents)
}

func (s *Server) putEvents(ctx context.Context, in *putEventsInput) (*putEventsOutput, error) {
	t := tenantOf(ctx)
	checks, err := eventChecks(ctx, t)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &putEventsOutput{}
	out.Body.Results = make([]itemResult, len(in.Body.Events))
	var events []store.Event
	var places []int // of the events in the request
	for i, item := range in.Body.Events {
		out.Body.Results[i] = itemResult{Index: i, Status: "rejected"}
		e, err := checks.Event(item)
		if err != nil {
			out.Body.Results[i].Error = err.Error()
			continue
		}
		events, places = append(events, e), append(places, i)
	}
	outcomes, err := t.db.PutEvents(ctx, events)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	for i, at := range places {
		result := &out.Body.Results[at]
		switch outcomes[i] {
		case store.EventAccepted:
			result.Status = "accepted"
			out.Body.Accepted++
		case store.EventDuplicate:
			result.Status = "duplicate"
			out.Body.Duplicate++
		case store.EventContactUnknown:
			result.Error = "contact.id: no contact has this id"
		}
	}
	out.Body.Rejected = len(in.Body.Events) - out.Body.Accepted - out.Body.Duplicate
	s.metrics.countEvents(t.id, out.Body.Accepted, out.Body.Duplicate, out.Body.Rejected)
	return out, nil
}

func eventChecks(ctx context.Context, t *tenant) (intake.EventChecks, error) {
	schema, err := t.db.LoadSchema(ctx)
	if err != nil {
		return intake.EventChecks{}, err
	}
	suspended, err := t.db.SuspendedEventTypes(ctx)
	return intake.EventChecks{Schema: schema, Suspended: suspended, Now: time.Now()}, err
}
