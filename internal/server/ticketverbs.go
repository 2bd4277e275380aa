package server

import (
	"context"
	"strconv"

	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type assignInput struct {
	TicketPath
	Body struct {
		Agent agentName `json:"agent,omitempty" doc:"Who does it. Default: the agent of the token's name."`
		To    string    `json:"to" maxLength:"63" pattern:"^([A-Za-z0-9]([A-Za-z0-9._@-]*[A-Za-z0-9])?)?$" doc:"An agent or a team; me: who does it; \"\": nobody." example:"eva"`
	}
}

func assignTicket(ctx context.Context, in *assignInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error {
		return tenantOf(ctx).db.AssignTicket(ctx, in.ID, by, orMe(in.Body.To, by.Agent))
	})
}

type prioritiseInput struct {
	TicketPath
	Body struct {
		Agent    agentName `json:"agent,omitempty" doc:"Who does it. Default: the agent of the token's name."`
		Priority string    `json:"priority" enum:"Low,Normal,High,Urgent" doc:"How urgent it is."`
	}
}

func prioritiseTicket(ctx context.Context, in *prioritiseInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error {
		return tenantOf(ctx).db.PrioritiseTicket(ctx, in.ID, by, service.Priority(in.Body.Priority))
	})
}

type ticketVerbInput struct {
	TicketPath
	Body struct {
		Agent agentName `json:"agent,omitempty" doc:"Who does it. Default: the agent of the token's name."`
	}
}

func holdTicket(ctx context.Context, in *ticketVerbInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error { return tenantOf(ctx).db.HoldTicket(ctx, in.ID, by) })
}

func solveTicket(ctx context.Context, in *ticketVerbInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error { return tenantOf(ctx).db.SolveTicket(ctx, in.ID, by) })
}

func reopenTicket(ctx context.Context, in *ticketVerbInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error { return tenantOf(ctx).db.ReopenTicket(ctx, in.ID, by) })
}

type openTicketInput struct {
	ConversationPath
	Body struct {
		Agent    agentName `json:"agent,omitempty" doc:"Who does it. Default: the agent of the token's name."`
		Queue    string    `json:"queue" minLength:"1" maxLength:"253" doc:"The ServiceQueue's name."`
		Priority string    `json:"priority,omitempty" enum:"Low,Normal,High,Urgent" doc:"How urgent it is. Default: as the queue says."`
		Subject  string    `json:"subject,omitempty" maxLength:"200" doc:"What it is about."`
	}
}

func openTicket(ctx context.Context, in *openTicketInput) (*ticketOutput, error) {
	by, err := in.Body.Agent.actor(ctx)
	if err != nil {
		return nil, err
	}
	number, err := tenantOf(ctx).db.OpenTicket(ctx, in.ID, by, in.Body.Queue, service.Priority(in.Body.Priority), in.Body.Subject)
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	return getTicket(ctx, &TicketPath{ID: strconv.FormatInt(number, 10)})
}
