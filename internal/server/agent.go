package server

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// agentName is who does something about a conversation or a ticket, as the caller says.
type agentName string

// Schema describes it to the API's library.
func (agentName) Schema(huma.Registry) *huma.Schema {
	longest := 63
	return &huma.Schema{
		Type: huma.TypeString, MaxLength: &longest, Pattern: "^[A-Za-z0-9]([A-Za-z0-9._@-]*[A-Za-z0-9])?$", Examples: []any{"eva"},
		Description: "An agent. Default: the one of the token's name. To name another one, a token needs the scope " + scopeAgentsRepresent + ".",
	}
}

// actor is who acts: the agent of the token's name, or whom the token speaks for.
func (a agentName) actor(ctx context.Context) (store.Actor, error) {
	token := tokenName(ctx)
	switch {
	case a == "" && token == adminToken:
		return store.Actor{}, huma.Error422UnprocessableEntity("agent: name who acts: the token " + adminToken + " is nobody's")
	case a == "" || string(a) == token:
		return store.Actor{Agent: token, Token: token}, nil
	case !tokenHas(ctx, scopeAgentsRepresent):
		return store.Actor{}, huma.Error403Forbidden(
			"agent: this token acts for " + token + " alone: one that speaks for others needs the scope " + scopeAgentsRepresent)
	}
	return store.Actor{Agent: string(a), Token: token}, nil
}

// act does something in the name of who acts, about a conversation or a ticket.
func (a agentName) act(ctx context.Context, do func(by store.Actor) error) (*emptyOutput, error) {
	by, err := a.actor(ctx)
	if err != nil {
		return nil, err
	}
	if err := do(by); err != nil {
		return nil, conversationError(ctx, err)
	}
	return &emptyOutput{}, nil
}

// assigneeMe is what a caller may say for the agent who asks.
const assigneeMe = "me"

// orMe is whom a caller means.
func orMe(who, me string) string {
	if who == assigneeMe {
		return me
	}
	return who
}

var _ huma.SchemaProvider = agentName("")
