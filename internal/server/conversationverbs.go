package server

import (
	"context"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
)

type claimInput struct {
	ConversationPath
	Body struct {
		Agent    agentName `json:"agent,omitempty" doc:"Who answers. Default: the agent of the token's name."`
		Seconds  int       `json:"seconds,omitempty" minimum:"1" maximum:"900" default:"120" doc:"How long it counts."`
		TakeOver bool      `json:"take_over,omitempty" doc:"Take it from the agent who holds it."`
	}
}

type claimOutput struct {
	Body struct {
		Version int64      `json:"version" doc:"The conversation's."`
		Claim   *claimBody `json:"claim" doc:"The claim."`
	}
}

func claimConversation(ctx context.Context, in *claimInput) (*claimOutput, error) {
	by, err := in.Body.Agent.actor(ctx)
	if err != nil {
		return nil, err
	}
	desk, err := tenantOf(ctx).db.ClaimConversation(ctx, in.ID, by, time.Duration(in.Body.Seconds)*time.Second, in.Body.TakeOver)
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	out := &claimOutput{}
	out.Body.Version, out.Body.Claim = desk.Version, &claimBody{Agent: desk.Claim.Agent, Until: desk.Claim.Until}
	return out, nil
}

type conversationVerbInput struct {
	ConversationPath
	Body struct {
		Agent agentName `json:"agent,omitempty" doc:"Who does it. Default: the agent of the token's name."`
	}
}

func releaseConversation(ctx context.Context, in *conversationVerbInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error { return tenantOf(ctx).db.ReleaseConversation(ctx, in.ID, by) })
}

func closeConversation(ctx context.Context, in *conversationVerbInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error { return tenantOf(ctx).db.CloseConversation(ctx, in.ID, by) })
}

func reopenConversation(ctx context.Context, in *conversationVerbInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error { return tenantOf(ctx).db.ReopenConversation(ctx, in.ID, by) })
}

type noteInput struct {
	ConversationPath
	Body struct {
		Agent agentName `json:"agent,omitempty" doc:"Who writes it. Default: the agent of the token's name."`
		Text  string    `json:"text" minLength:"1" maxLength:"10000" doc:"What to remember: plain text."`
	}
}

type noteOutput struct {
	Body struct {
		ID string `json:"id" format:"uuid" doc:"The note's id."`
	}
}

func noteConversation(ctx context.Context, in *noteInput) (*noteOutput, error) {
	by, err := in.Body.Agent.actor(ctx)
	if err != nil {
		return nil, err
	}
	text, err := readText(in.Body.Text)
	if err != nil {
		return nil, err
	}
	out := &noteOutput{}
	if out.Body.ID, err = tenantOf(ctx).db.NoteConversation(ctx, in.ID, by, text); err != nil {
		return nil, conversationError(ctx, err)
	}
	return out, nil
}

type snoozeInput struct {
	ConversationPath
	Body struct {
		Agent agentName `json:"agent,omitempty" doc:"Who does it. Default: the agent of the token's name."`
		Until time.Time `json:"until" doc:"Then it comes back."`
	}
}

func snoozeConversation(ctx context.Context, in *snoozeInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error { return tenantOf(ctx).db.SnoozeConversation(ctx, in.ID, by, in.Body.Until) })
}

type settleInput struct {
	ConversationPath
	Message string `path:"message" format:"uuid" doc:"The message's id."`
	Body    struct {
		Agent   agentName `json:"agent,omitempty" doc:"Who says so. Default: the agent of the token's name."`
		Verdict string    `json:"verdict" enum:"Sent,Failed,Again" doc:"Sent: it is there. Failed: it is not, and need not be. Again: it is not, and leaves again."`
		Why     string    `json:"why" minLength:"3" maxLength:"500" doc:"How they know; recorded."`
		URL     string    `json:"url,omitempty" maxLength:"2000" format:"uri" doc:"Where it is."`
	}
}

func settleAnswer(ctx context.Context, in *settleInput) (*emptyOutput, error) {
	return in.Body.Agent.act(ctx, func(by store.Actor) error {
		return tenantOf(ctx).db.SettleAnswer(ctx, in.ID, in.Message, by, store.PostingDecision{
			Verdict: store.PostingVerdict(in.Body.Verdict), Why: in.Body.Why, URL: in.Body.URL,
		})
	})
}

type takeUpInput struct {
	ID   string `path:"id" format:"uuid" doc:"The mention's id."`
	Body struct {
		Agent agentName `json:"agent,omitempty" doc:"Who takes it up. Default: the agent of the token's name."`
	}
}

type takeUpOutput struct{ Body conversationDetails }

func takeUpMention(ctx context.Context, in *takeUpInput) (*takeUpOutput, error) {
	by, err := in.Body.Agent.actor(ctx)
	if err != nil {
		return nil, err
	}
	id, err := tenantOf(ctx).db.TakeUpMention(ctx, in.ID, by)
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	body, err := lookAtConversation(ctx, id)
	if err != nil {
		return nil, conversationError(ctx, err)
	}
	return &takeUpOutput{Body: body}, nil
}
