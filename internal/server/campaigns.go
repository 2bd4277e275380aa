package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/explain"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type campaignPath struct {
	Name string `path:"name" minLength:"1" maxLength:"253" doc:"The Campaign's name."`
}

type commandInput struct {
	Name string `path:"name" minLength:"1" maxLength:"253" doc:"The Campaign's name."`
	Body struct {
		Verb   string     `json:"verb" enum:"pause,resume,abort,resend-ambiguous" doc:"What is decided."`
		By     string     `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded beside the token's name and shown in the Campaign's status." example:"ana"`
		Reason string     `json:"reason,omitempty" maxLength:"500" doc:"Why; recorded and shown in the Campaign's status. abort and resend-ambiguous need one."`
		Until  *time.Time `json:"until,omitempty" doc:"Of pause: when it ends by itself. Default: when somebody resumes."`
	}
}

type explainOutput struct{ Body explainBody }

type explainBody struct {
	Campaign   string            `json:"campaign" doc:"The Campaign's name."`
	SendKey    string            `json:"send_key" doc:"The send's key."`
	Occurrence string            `json:"occurrence,omitempty" doc:"Of a campaign that recurs: the local date and time of what this speaks of; absent for its declaration."`
	State      string            `json:"state" doc:"Where the send is in its life."`
	Counts     campaign.Counts   `json:"counts" doc:"Messages by what became of them: planned = sent + failed + ambiguous + skipped + pending."`
	Sending    bool              `json:"sending" doc:"Whether nothing that is known stands in the way."`
	Findings   []explain.Finding `json:"findings" doc:"What stands in the way, what must be mended first at the top; or the answer where nothing does."`
	Again      *int64            `json:"again,omitempty" doc:"In the answer to resend-ambiguous: how many messages are sent again."`
}

func (s *Server) registerCampaigns(api huma.API) {
	admin := requires(scopeAdmin)
	register(api, huma.Operation{
		OperationID: "explain-campaign", Method: http.MethodGet, Path: "/v1/campaigns/{name}/explain", Tags: []string{"Campaigns"},
		Summary: "Tell why a campaign is not being sent, or that it is", Security: admin, Errors: []int{http.StatusNotFound},
	}, explainCampaign)
	register(api, huma.Operation{
		OperationID: "command-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{name}/commands", Tags: []string{"Campaigns"},
		Summary: "Pause, resume or abort a campaign, or have sent again what is ambiguous",
		Description: "Decisions are recorded in the tenant's database, with who and why. They never change the Campaign's object, and no manifest " +
			"undoes them. pause and abort count from the next batch of messages; abort is final. resend-ambiguous sends messages again of which " +
			"nobody knows whether they arrived: people may get them twice. Repeating pause, resume or abort is safe.",
		Security: admin, Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
	}, commandCampaign)
}

func explainCampaign(ctx context.Context, in *campaignPath) (*explainOutput, error) {
	facts, err := tenantOf(ctx).db.ExplainFacts(ctx, in.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, noSuchCampaign(in.Name)
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	body := explainBody{
		Campaign: in.Name, SendKey: facts.SendKey, Occurrence: facts.Occurrence, State: string(facts.State), Counts: facts.Counts, Sending: true,
		Findings: explain.Explain(facts, time.Now()),
	}
	for _, f := range body.Findings {
		body.Sending = body.Sending && !f.Blocks && facts.State == campaign.Sending
	}
	return &explainOutput{Body: body}, nil
}

func noSuchCampaign(name string) error {
	return huma.Error404NotFound(fmt.Sprintf(
		"Campaign %q has not declared a send: see whether it is there and accepted (kubectl describe campaign %s).", name, name))
}

func commandCampaign(ctx context.Context, in *commandInput) (*explainOutput, error) {
	if err := checkCommand(in, time.Now()); err != nil {
		return nil, err
	}
	db := tenantOf(ctx).db
	c := store.Command{
		Verb: campaign.Verb(in.Body.Verb), Token: tokenName(ctx), By: in.Body.By, Reason: in.Body.Reason, Until: in.Body.Until,
	}
	var again *int64
	var err error
	if c.Verb == campaign.ResendAmbiguous {
		var n int64
		n, err = db.ResendAmbiguous(ctx, in.Name, c)
		again = &n
	} else {
		err = db.CommandSend(ctx, in.Name, c)
	}
	var refused *store.CommandRefusedError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, noSuchCampaign(in.Name)
	case errors.As(err, &refused):
		return nil, huma.Error409Conflict(refused.Why)
	case err != nil:
		return nil, apiError(ctx, err)
	}
	out, err := explainCampaign(ctx, &campaignPath{Name: in.Name})
	if err != nil {
		return nil, err
	}
	out.Body.Again = again
	return out, nil
}

// checkCommand refuses what could not be recorded as it is meant. Who and why are shown in the cluster, where no address belongs.
func checkCommand(in *commandInput, now time.Time) error {
	verb := campaign.Verb(in.Body.Verb)
	switch {
	case (verb == campaign.Abort || verb == campaign.ResendAmbiguous) && len(strings.TrimSpace(in.Body.Reason)) < 3:
		return huma.Error422UnprocessableEntity(fmt.Sprintf("reason: %s needs one, of at least three letters.", verb))
	case strings.Contains(in.Body.By, "@") || strings.Contains(in.Body.Reason, "@"):
		return huma.Error422UnprocessableEntity("by and reason are shown in the Campaign's status: leave addresses out.")
	case in.Body.Until != nil && verb != campaign.Pause:
		return huma.Error422UnprocessableEntity("until: only a pause ends by itself.")
	case in.Body.Until != nil && !in.Body.Until.After(now):
		return huma.Error422UnprocessableEntity("until: it has passed: give a moment that is to come.")
	}
	return nil
}
