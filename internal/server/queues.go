package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/store"
)

type queuesOutput struct {
	Body struct {
		Queues []queueBody `json:"queues" doc:"By name."`
	}
}

// queueBody is a queue and what waits in it.
type queueBody struct {
	Name       string     `json:"name" doc:"The ServiceQueue's name."`
	Suspended  bool       `json:"suspended" doc:"Whether nothing becomes a ticket of it by itself."`
	Working    bool       `json:"working" doc:"Whether its team works now."`
	WorkBegins *time.Time `json:"work_begins,omitempty" doc:"When its team works again, where it does not now."`
	Backlog    int64      `json:"backlog" doc:"How many tickets need somebody: those that are neither solved nor closed."`
	Unassigned int64      `json:"unassigned" doc:"How many of them are nobody's."`
	Breached   int64      `json:"breached" doc:"How many of them missed a target."`
	OldestAt   *time.Time `json:"oldest_at,omitempty" doc:"Since when the customer of the oldest one waits."`
	Next       *queueNext `json:"next,omitempty" doc:"What is due next; absent where nothing is."`
}

type queueNext struct {
	Ticket int64 `json:"ticket" doc:"The ticket's number."`
	targetBody
}

func (s *Server) registerQueues(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-queues", Method: http.MethodGet, Path: "/v1/queues", Tags: []string{"Tickets"},
		Summary: "List the queues: what waits in each, and what is due next", Security: requires(scopeConversationsRead),
		Errors: []int{http.StatusGatewayTimeout},
	}, listQueues)
}

func listQueues(ctx context.Context, _ *struct{}) (*queuesOutput, error) {
	list, err := tenantOf(ctx).db.Queues(ctx, time.Now())
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	out := &queuesOutput{}
	out.Body.Queues = make([]queueBody, len(list))
	for i, q := range list {
		out.Body.Queues[i] = describeQueue(q)
	}
	return out, nil
}

func describeQueue(q store.LookedQueue) queueBody {
	body := queueBody{
		Name: q.Name, Suspended: q.Suspended, Working: q.Working, WorkBegins: momentOf(q.WorkBegins), Unassigned: q.Unassigned, Breached: q.Breached,
		Backlog: q.Backlog, OldestAt: momentOf(q.OldestAt),
	}
	if q.Next != nil {
		body.Next = &queueNext{Ticket: q.Next.Ticket, targetBody: describeTarget(q.Next.LookedTarget)}
	}
	return body
}
