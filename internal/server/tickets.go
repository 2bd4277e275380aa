package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TicketPath names a ticket.
type TicketPath struct {
	ID string `path:"id" maxLength:"36" pattern:"^([1-9][0-9]{0,17}|[0-9a-fA-F-]{36})$" doc:"Its id or number, or that of its conversation with no other."`
}

type ticketsInput struct {
	Status   []string `query:"status" enum:"New,Open,Pending,Solved,Closed" doc:"Those that stand so. Default: New, Open and Pending, which need somebody."`
	Queue    string   `query:"queue" maxLength:"253" doc:"Those of this ServiceQueue."`
	Assignee string   `query:"assignee" maxLength:"100" doc:"Those of this agent or team; me: of the agent of the token's name."`
	Nobody   bool     `query:"unassigned" doc:"Those that are nobody's."`
	Priority []string `query:"priority" enum:"Low,Normal,High,Urgent" doc:"Those that are so urgent."`
	Breached bool     `query:"breached" doc:"Those that missed a target."`
	Limit    int      `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	After    string   `query:"after" maxLength:"80" doc:"next of the page before."`
}

type ticketsOutput struct {
	Body struct {
		Tickets []ticketBody `json:"tickets" doc:"Those first of which something is due, the soonest first; then the others, the newest first."`
		Next    string       `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

type ticketOutput struct{ Body ticketDetails }

// ticketBody is a ticket and how it stands.
type ticketBody struct {
	ID           string       `json:"id" format:"uuid" doc:"The ticket's id."`
	Number       int64        `json:"number" doc:"A short name of it. Conversations and tickets are counted together."`
	Conversation int64        `json:"conversation" doc:"The number of the conversation that it is about."`
	Queue        string       `json:"queue,omitempty" doc:"The ServiceQueue; absent where it was deleted."`
	Status       string       `json:"status" enum:"New,Open,Pending,Solved,Closed" doc:"New: nobody has taken it. Pending: the customer is waited for. Solved: it can be reopened for a while. Closed: for good."`
	Priority     string       `json:"priority" enum:"Low,Normal,High,Urgent" doc:"How urgent it is."`
	Assignee     string       `json:"assignee,omitempty" doc:"Whose it is: an agent or a team."`
	Subject      string       `json:"subject,omitempty" doc:"What it is about, as who opened it says."`
	OpenedAt     time.Time    `json:"opened_at" doc:"Since when the customer waits."`
	AnsweredAt   *time.Time   `json:"answered_at,omitempty" doc:"When it was answered for the first time."`
	SolvedAt     *time.Time   `json:"solved_at,omitempty" doc:"When it was solved."`
	ClosedAt     *time.Time   `json:"closed_at,omitempty" doc:"When it was closed for good."`
	Replies      int          `json:"replies" doc:"How many answers it got."`
	Reopened     int          `json:"reopened" doc:"How often it was reopened."`
	Breached     bool         `json:"breached" doc:"Whether a target was missed."`
	Targets      []targetBody `json:"targets" doc:"What is promised and still to be kept, what is due first at the beginning. Targets whose clock stands still are left out."`
}

// targetBody is a promise whose clock runs.
type targetBody struct {
	Target      string    `json:"target" enum:"FirstResponse,NextResponse,Resolution" doc:"What is promised."`
	Due         time.Time `json:"due" doc:"Until when."`
	WorkSeconds int64     `json:"work_seconds" doc:"How much of the team's working time is left until then; negative: how much has passed since."`
	Overdue     bool      `json:"overdue" doc:"Whether that has passed."`
}

type ticketDetails struct {
	ticketBody
	Took    ticketTookBody      `json:"took" doc:"How long it took."`
	History []ticketHistoryBody `json:"history" doc:"What happened to it, the oldest first, at most the last 200."`
}

type ticketTookBody struct {
	FirstAnswer  *tookBody `json:"first_answer,omitempty" doc:"Until the first answer; absent while there is none."`
	SecondAnswer *tookBody `json:"second_answer,omitempty" doc:"Until the first answer after the first, since the customer wrote again; absent while there is none."`
	Solution     *tookBody `json:"solution,omitempty" doc:"Until it was solved, without the time in which the customer was waited for; absent while it is not."`
}

type tookBody struct {
	WorkSeconds int64 `json:"work_seconds" doc:"In the hours in which the team works."`
	Seconds     int64 `json:"seconds" doc:"By the calendar."`
}

func describeTook(t *service.Took) *tookBody {
	if t == nil {
		return nil
	}
	return &tookBody{WorkSeconds: t.Business, Seconds: t.Calendar}
}

type ticketHistoryBody struct {
	At    time.Time `json:"at" doc:"When."`
	Kind  string    `json:"kind" doc:"What happened: Opened, Assigned, Answered, Solved, Reopened, Closed, Warned, Missed, Escalated, Prioritised, Held."`
	Agent string    `json:"agent,omitempty" doc:"Who did it; absent where nobody did."`
	Words string    `json:"words,omitempty" doc:"To whom, which target, which step."`
}

func (s *Server) registerTickets(api huma.API) {
	operation := func(id, method, path, summary, description, scope string, errs ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{"Tickets"}, Summary: summary, Description: description,
			Security: requires(scope), Errors: errs,
		}
	}
	const one = "/v1/tickets/{id}"
	missing, bad, slow := http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusGatewayTimeout
	register(api, operation("list-tickets", http.MethodGet, "/v1/tickets", "List tickets, what is due soonest first", "", scopeConversationsRead,
		missing, bad, slow), listTickets)
	register(api, operation("get-ticket", http.MethodGet, one, "Tell of a ticket: what is promised, how long it took, what happened to it", "",
		scopeConversationsRead, missing, slow), getTicket)
	verb := func(id, path, summary, description string) huma.Operation {
		return collides(api, operation(id, http.MethodPost, one+path, summary, description, scopeConversationsWrite, missing, bad))
	}
	register(api, verb("assign-ticket", "/assign", "Make a ticket an agent's or a team's, or nobody's", ""), assignTicket)
	register(api, verb("prioritise-ticket", "/priority", "Make a ticket more or less urgent", "What is promised follows."), prioritiseTicket)
	register(api, verb("hold-ticket", "/hold", "Wait for the customer, or for others", "The clock of its resolution stands still."), holdTicket)
	register(api, verb("solve-ticket", "/solve", "Say that a ticket is solved", "What the customer writes soon after reopens it."), solveTicket)
	register(api, verb("reopen-ticket", "/reopen", "Go on with a ticket that is held or solved", ""), reopenTicket)
	open := operation("open-ticket", http.MethodPost, "/v1/conversations/{id}/tickets", "Make a conversation a ticket of a queue",
		"Where it has one in that queue that is not closed, that is told.", scopeConversationsWrite, missing, bad)
	register(api, collides(api, open), openTicket)
}

func listTickets(ctx context.Context, in *ticketsInput) (*ticketsOutput, error) {
	if in.Nobody && in.Assignee != "" {
		return nil, huma.Error422UnprocessableEntity("unassigned: cannot be asked for together with assignee: leave one of them out")
	}
	query := store.TicketQuery{
		Queue: in.Queue, Assignee: orMe(in.Assignee, tokenName(ctx)), Unassigned: in.Nobody, Breached: in.Breached, Cursor: in.After, Limit: in.Limit,
	}
	for _, status := range in.Status {
		query.Statuses = append(query.Statuses, service.Status(status))
	}
	for _, priority := range in.Priority {
		query.Priorities = append(query.Priorities, service.Priority(priority))
	}
	page, err := tenantOf(ctx).db.Tickets(ctx, query, time.Now())
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	out := &ticketsOutput{}
	out.Body.Tickets, out.Body.Next = describeTickets(page.Tickets), page.Next
	return out, nil
}

func getTicket(ctx context.Context, in *TicketPath) (*ticketOutput, error) {
	found, err := tenantOf(ctx).db.Ticket(ctx, in.ID, time.Now())
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	m := found.Measure()
	body := ticketDetails{
		ticketBody: describeTicket(found.LookedTicket), History: make([]ticketHistoryBody, len(found.History)),
		Took: ticketTookBody{
			FirstAnswer: describeTook(m.FirstResponse), SecondAnswer: describeTook(m.SecondResponse), Solution: describeTook(m.Resolution),
		},
	}
	for i, h := range found.History {
		body.History[i] = ticketHistoryBody{At: h.At, Kind: h.Kind, Agent: h.Agent, Words: h.Words}
	}
	return &ticketOutput{Body: body}, nil
}

func describeTickets(list []store.LookedTicket) []ticketBody {
	bodies := make([]ticketBody, len(list))
	for i, t := range list {
		bodies[i] = describeTicket(t)
	}
	return bodies
}

func describeTicket(t store.LookedTicket) ticketBody {
	body := ticketBody{
		ID: t.PublicID, Number: t.Number, Conversation: t.Conversation, Queue: t.Queue, Status: string(t.Status), Priority: string(t.Priority),
		Assignee: t.Assignee, Subject: t.Subject, OpenedAt: t.OpenedAt, AnsweredAt: momentOf(t.AnsweredAt), SolvedAt: momentOf(t.SolvedAt),
		ClosedAt: momentOf(t.ClosedAt), Replies: t.Replies, Reopened: t.Reopened, Targets: make([]targetBody, len(t.Targets)),
		Breached: t.Breached,
	}
	for i, target := range t.Targets {
		body.Targets[i] = describeTarget(target)
	}
	return body
}

func describeTarget(t store.LookedTarget) targetBody {
	return targetBody{Target: string(t.Kind), Due: t.Due, WorkSeconds: int64(t.Work / time.Second), Overdue: t.Overdue}
}
