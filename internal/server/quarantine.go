package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// The states of a tenant's ledger, as the API tells them.
const (
	ledgerPermitted   = "permitted"   // it may be sent from
	ledgerQuarantined = "quarantined" // a person decides
	ledgerReleased    = "released"    // a person has decided, and the operator puts it in force
	ledgerUnpermitted = "unpermitted" // it is another ledger, and the operator has not looked at it yet
)

type quarantineBody struct {
	State      string               `json:"state" enum:"permitted,quarantined,released,unpermitted" doc:"Whether the tenant's ledger may be sent from; released: the operator puts the decision in force within seconds; unpermitted: the operator has not looked at it yet."`
	Quarantine *quarantineDetail    `json:"quarantine,omitempty" doc:"The quarantine that is open, else the last one; absent where there never was one."`
	Campaigns  []quarantineCampaign `json:"campaigns" doc:"While a quarantine is open: the campaigns of which the cluster knew more than the ledger does, and those that would send at once. Always: those that are held."`
}

type quarantineDetail struct {
	ID         int64       `json:"id" doc:"Names the quarantine in its release."`
	Since      time.Time   `json:"since" doc:"Since when nothing is sent."`
	Why        string      `json:"why" doc:"What differs, in words."`
	KnownMark  *int64      `json:"known_mark,omitempty" doc:"How many intents the cluster remembered; absent where it remembered none."`
	LedgerMark int64       `json:"ledger_mark" doc:"How many the ledger held."`
	Missing    *int64      `json:"missing,omitempty" doc:"How many of those that the cluster remembered the ledger does not know; absent where the cluster remembered none."`
	Release    *releaseTag `json:"release,omitempty" doc:"What a person decided; absent before."`
	ClosedAt   *time.Time  `json:"closed_at,omitempty" doc:"When the decision came into force."`
	Outcome    string      `json:"outcome,omitempty" enum:"Released,Superseded" doc:"How it ended; Superseded: yet another ledger took this one's place."`
}

type releaseTag struct {
	At          time.Time `json:"at" doc:"When."`
	Token       string    `json:"token" doc:"The name of the API token."`
	By          string    `json:"by" doc:"Whom the caller named."`
	Reason      string    `json:"reason" doc:"Why."`
	Continue    []string  `json:"continue" doc:"Campaigns that went on although they differed or were due."`
	ContinueAll bool      `json:"continue_all" doc:"Whether every campaign went on."`
}

type quarantineCampaign struct {
	Campaign   string           `json:"campaign" doc:"The Campaign's name."`
	SendKey    string           `json:"send_key" doc:"The send's key."`
	Occurrence string           `json:"occurrence,omitempty" doc:"The local date and time of the occurrence, of a campaign that recurs; absent for the campaign itself, of which the occurrences are made."`
	Cluster    *campaignNumbers `json:"cluster,omitempty" doc:"What the Campaign's status said when the quarantine was opened."`
	Ledger     *campaignNumbers `json:"ledger,omitempty" doc:"What the ledger says now; absent where it knows no such send."`
	Differs    bool             `json:"differs" doc:"Whether the cluster knew more than the ledger does."`
	Due        bool             `json:"due" doc:"Whether it begins or goes on as soon as it may."`
	WouldSend  int64            `json:"would_send" doc:"How many messages leave when it goes on; an estimate where its audience is not frozen."`
	Held       bool             `json:"held" doc:"Whether it waits for a person's decision."`
}

type campaignNumbers struct {
	Phase     string `json:"phase" doc:"The campaign's phase, or the send's state."`
	Planned   int64  `json:"planned" doc:"Recipients that were frozen."`
	Sent      int64  `json:"sent" doc:"Messages that the relay accepted."`
	Failed    int64  `json:"failed" doc:"Messages that the relay refused for good."`
	Ambiguous int64  `json:"ambiguous" doc:"Messages whose outcome nobody knows."`
	Skipped   int64  `json:"skipped" doc:"Recipients that were left out."`
}

type quarantineOutput struct{ Body quarantineBody }

// Decider says who decides and why.
type Decider struct {
	By     string `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded beside the token's name." example:"ana"`
	Reason string `json:"reason" minLength:"3" maxLength:"1000" doc:"Why; recorded." example:"Restored after the disk failed; spring-2027 went out before the backup."`
}

type releaseInput struct {
	Body struct {
		Decider
		ID          int64    `json:"id" doc:"The quarantine's id, as it was shown."`
		Continue    []string `json:"continue,omitempty" maxItems:"1000" doc:"Campaigns that go on although they differ or are due. Default: none, and each is held until it is resumed."`
		ContinueAll bool     `json:"continue_all,omitempty" doc:"Let every campaign go on. Default: false."`
	}
}

type resumeInput struct {
	Body struct {
		Decider
		Campaign string `json:"campaign" minLength:"1" maxLength:"253" doc:"The Campaign's name."`
	}
}

func (s *Server) registerQuarantine(api huma.API) {
	admin := requires(scopeAdmin)
	register(api, huma.Operation{
		OperationID: "show-quarantine", Method: http.MethodGet, Path: "/v1/quarantine", Tags: []string{"Quarantine"},
		Summary: "Tell whether the tenant's ledger may be sent from, and if not, what it has forgotten", Security: admin,
	}, showQuarantine)
	register(api, huma.Operation{
		OperationID: "release-quarantine", Method: http.MethodPost, Path: "/v1/quarantine/release", Tags: []string{"Quarantine"},
		Summary: "Release a quarantine",
		Description: "Sending goes on with what the ledger knows. Campaigns that differ from what the cluster knew, and those that would send at once, " +
			"are held until each is resumed, but for those that the request names. Repeating the request changes nothing.",
		Security: admin, Errors: []int{http.StatusConflict, http.StatusUnprocessableEntity},
	}, releaseQuarantine)
	register(api, huma.Operation{
		OperationID: "resume-campaign", Method: http.MethodPost, Path: "/v1/quarantine/resume", Tags: []string{"Quarantine"},
		Summary:  "Let a campaign go on that a release has held",
		Security: admin, Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, resumeCampaign)
}

func showQuarantine(ctx context.Context, _ *struct{}) (*quarantineOutput, error) {
	body, _, err := loadQuarantine(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	return &quarantineOutput{Body: body}, nil
}

// loadQuarantine reads what there is to tell, and the sends that a release would be judged by.
func loadQuarantine(ctx context.Context) (quarantineBody, []store.ComparedSend, error) {
	db := tenantOf(ctx).db
	permitted, err := db.SendPermitted(ctx)
	if err != nil {
		return quarantineBody{}, nil, err
	}
	q, err := db.LastQuarantine(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return quarantineBody{}, nil, err
	}
	body := quarantineBody{State: planLedgerState(permitted, q), Quarantine: describeQuarantine(q), Campaigns: []quarantineCampaign{}}
	open := q != nil && q.ClosedAt == nil
	var known []store.KnownCampaign
	if open {
		known = q.Campaigns
	}
	sends, err := db.CompareSends(ctx, known)
	if err != nil {
		return quarantineBody{}, nil, err
	}
	for _, s := range sends {
		if s.Held || open && (s.Differs() || s.Due) {
			body.Campaigns = append(body.Campaigns, describeSend(s))
		}
	}
	return body, sends, nil
}

func planLedgerState(permitted bool, q *store.Quarantine) string {
	switch {
	case q != nil && q.ClosedAt == nil && q.Release != nil:
		return ledgerReleased
	case q != nil && q.ClosedAt == nil:
		return ledgerQuarantined
	case permitted:
		return ledgerPermitted
	}
	return ledgerUnpermitted
}

func describeQuarantine(q *store.Quarantine) *quarantineDetail {
	if q == nil {
		return nil
	}
	d := &quarantineDetail{
		ID: q.ID, Since: q.Since, Why: q.Why, KnownMark: q.KnownMark, LedgerMark: q.LedgerMark, ClosedAt: q.ClosedAt, Outcome: q.Outcome,
	}
	if q.KnownMark != nil {
		missing := max(0, *q.KnownMark-q.LedgerMark)
		d.Missing = &missing
	}
	if r := q.Release; r != nil {
		d.Release = &releaseTag{At: r.At, Token: r.Token, By: r.By, Reason: r.Reason, Continue: r.Continued, ContinueAll: r.ContinuedAll}
	}
	return d
}

func describeSend(s store.ComparedSend) quarantineCampaign {
	c := quarantineCampaign{
		Campaign: s.Campaign, SendKey: s.SendKey, Occurrence: s.Occurrence, Differs: s.Differs(), Due: s.Due, WouldSend: s.WouldSend, Held: s.Held,
	}
	if k := s.Known; k != nil {
		c.Cluster = &campaignNumbers{Phase: k.Phase, Planned: k.Planned, Sent: k.Sent, Failed: k.Failed, Ambiguous: k.Ambiguous, Skipped: k.Skipped}
	}
	if l := s.Ledger; l != nil {
		c.Ledger = &campaignNumbers{Phase: string(l.State), Planned: l.Planned, Sent: l.Sent, Failed: l.Failed, Ambiguous: l.Ambiguous, Skipped: l.Skipped}
	}
	return c
}

func releaseQuarantine(ctx context.Context, in *releaseInput) (*quarantineOutput, error) {
	body, sends, err := loadQuarantine(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	for _, name := range in.Body.Continue {
		if !slices.ContainsFunc(sends, func(s store.ComparedSend) bool { return s.Campaign == name }) {
			return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("continue: no campaign %q waits for a decision.", name))
		}
	}
	r := store.Release{
		Token: tokenName(ctx), By: in.Body.By, Reason: in.Body.Reason, Continued: in.Body.Continue, ContinuedAll: in.Body.ContinueAll,
	}
	_, err = tenantOf(ctx).db.ReleaseQuarantine(ctx, in.Body.ID, r, store.PlanHolds(sends, r))
	if errors.Is(err, store.ErrNoSuchQuarantine) {
		if body.State == ledgerUnpermitted {
			return nil, huma.Error409Conflict("The operator has not looked at this ledger yet, and what it has forgotten is not known: try again when it has.")
		}
		return nil, huma.Error409Conflict("Another quarantine is open by now, or none: look at it again before you decide.")
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	return showQuarantine(ctx, nil)
}

func resumeCampaign(ctx context.Context, in *resumeInput) (*quarantineOutput, error) {
	db := tenantOf(ctx).db
	sends, err := db.CompareSends(ctx, nil)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	resumed, err := db.ResumeSends(ctx, in.Body.Campaign, store.Release{Token: tokenName(ctx), By: in.Body.By, Reason: in.Body.Reason})
	if err != nil {
		return nil, apiError(ctx, err)
	}
	if resumed == 0 && !slices.ContainsFunc(sends, func(s store.ComparedSend) bool { return s.Campaign == in.Body.Campaign }) {
		return nil, huma.Error404NotFound(fmt.Sprintf("No campaign %q is held, and none is open.", in.Body.Campaign))
	}
	return showQuarantine(ctx, nil)
}
