package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// RulePath names a rule.
type RulePath struct {
	Name string `path:"name" maxLength:"253" doc:"The AutomationRule's name."`
}

type rulesOutput struct {
	Body struct {
		Rules []ruleBody `json:"rules" doc:"By name. Those that were deleted are among them as long as entries wait for them to come back."`
	}
}

type ruleOutput struct{ Body ruleDetails }

// ruleBody is a rule and how it stands.
type ruleBody struct {
	Name         string     `json:"name" doc:"The AutomationRule's name."`
	Version      int        `json:"version" doc:"It rises with each edit."`
	State        string     `json:"state" enum:"InForce,Suspended,Deleted" doc:"Entries go on in force only; deleted, they end after 30 days."`
	Trigger      string     `json:"trigger" doc:"What it listens to."`
	Active       int64      `json:"active" doc:"Entries that are not over: those that wait and those that are stuck."`
	Waiting      int64      `json:"waiting" doc:"Entries that wait for a time or for an event."`
	Stuck        int64      `json:"stuck" doc:"Entries that cannot go on until somebody retries or ends them."`
	Fired        int64      `json:"fired" doc:"How many entries ever began."`
	StuckReason  string     `json:"stuck_reason,omitempty" doc:"The commonest reason why entries are stuck; shown of a single rule."`
	Trouble      string     `json:"trouble,omitempty" doc:"Why it does not do all that it should; absent where it does."`
	TroubleSince *time.Time `json:"trouble_since,omitempty" doc:"Since when."`
}

type ruleDetails struct {
	ruleBody
	SavedAt    time.Time       `json:"saved_at" doc:"When this version came into force."`
	Definition json.RawMessage `json:"definition" doc:"What it says, as it is carried out."`
}

type entriesInput struct {
	RulePath
	Status  string `query:"status" enum:"Waiting,Stuck,Ended,Exited" doc:"Only entries that stand so."`
	Contact string `query:"contact" format:"uuid" doc:"Only those of this contact."`
	Limit   int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many at most."`
	After   string `query:"after" maxLength:"20" pattern:"^([1-9][0-9]{0,17})?$" doc:"next of the page before."`
}

type entriesOutput struct {
	Body struct {
		Entries []entryBody `json:"entries" doc:"The newest first."`
		Next    string      `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

// entryBody is somebody's or something's way through a rule.
type entryBody struct {
	ID       string     `json:"id" format:"uuid" doc:"The entry's id."`
	Rule     string     `json:"rule" doc:"The AutomationRule's name."`
	Version  int        `json:"version" doc:"The one that it follows."`
	Contact  string     `json:"contact,omitempty" format:"uuid" doc:"Whom it is about; absent where nobody is known."`
	Event    string     `json:"event,omitempty" doc:"What it began with; absent where another rule started it without one."`
	Status   string     `json:"status" enum:"Active,Waiting,Stuck,Ended,Exited" doc:"Ended: it went all the way. Exited: it was over before, for a reason."`
	Step     string     `json:"step" doc:"At which it is, or with which it was over."`
	Reason   string     `json:"reason,omitempty" doc:"Why it is stuck, or was over before the end."`
	BeganAt  time.Time  `json:"began_at" doc:"When it began."`
	Since    time.Time  `json:"since" doc:"Since when it stands so."`
	WakeAt   *time.Time `json:"wake_at,omitempty" doc:"When it goes on at the latest, while it waits."`
	Awaits   string     `json:"awaits,omitempty" doc:"The event that it waits for."`
	Attempts int        `json:"attempts" doc:"How often it got stuck."`
	// Those that it has.
	Conversation int64 `json:"conversation,omitempty" doc:"The number of its conversation; absent where it has none."`
	Ticket       int64 `json:"ticket,omitempty" doc:"The number of its ticket; absent where it has none."`

	Path []stepBody `json:"path" doc:"The steps that it passed, at most the last 50, and what people did with it."`
}

type stepBody struct {
	Step string    `json:"step" doc:"The step's name."`
	At   time.Time `json:"at" doc:"When that was."`
	How  string    `json:"how" doc:"What came of the step: Done, Nobody, Nothing, Waits, Arrived, TimedOut, Elapsed, Then, Else, Drawn, Left; Retried or Ended."`
	By   string    `json:"by,omitempty" doc:"Who did so."`
	Why  string    `json:"why,omitempty" doc:"Why they did so."`
}

type entryCommandInput struct {
	RulePath
	ID   string `path:"id" format:"uuid" doc:"The entry's id."`
	Body struct {
		Verb   string `json:"verb" enum:"retry,end" doc:"retry tries the step again at which a stuck entry is; end ends an entry that is not over."`
		By     string `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded beside the token's name." example:"ana"`
		Reason string `json:"reason" minLength:"3" maxLength:"500" doc:"Why; recorded."`
	}
}

type retryInput struct {
	RulePath
	Body struct {
		By     string `json:"by" minLength:"1" maxLength:"100" doc:"Who decides; recorded beside the token's name." example:"ana"`
		Reason string `json:"reason" minLength:"3" maxLength:"500" doc:"Why; recorded."`
	}
}

type retryOutput struct {
	Body struct {
		Retried int64 `json:"retried" doc:"How many entries are tried again."`
	}
}

type emptyOutput struct{}

// retriedAtOnce bounds how many entries one request has tried again.
const retriedAtOnce = 10_000

func (s *Server) registerRules(api huma.API) {
	operation := func(id, method, path, summary, description, scope string, errs ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{"Rules"}, Summary: summary, Description: description,
			Security: requires(scope), Errors: errs,
		}
	}
	const one = "/v1/rules/{name}"
	missing, bad := http.StatusNotFound, http.StatusUnprocessableEntity
	register(api, operation("list-rules", http.MethodGet, "/v1/rules", "List the rules, and how many go through them", "", scopeRulesRead), listRules)
	register(api, operation("get-rule", http.MethodGet, one, "Tell what a rule says, and how it stands", "", scopeRulesRead, missing), getRule)
	register(api, operation("list-entries", http.MethodGet, one+"/entries", "List who goes through a rule, the newest first",
		"Each entry tells which steps it passed. What is over is kept for 30 days.", scopeRulesRead, missing, bad), listEntries)
	register(api, operation("command-entry", http.MethodPost, one+"/entries/{id}/commands", "Retry or end an entry",
		"A step that is tried again does nothing twice: what it did has an identity.", scopeRulesWrite, missing, bad, http.StatusConflict), commandEntry)
	register(api, operation("retry-stuck", http.MethodPost, one+"/retries", "Retry all entries that are stuck",
		"At most 10,000 at once, those first that are stuck for the longest.", scopeRulesWrite, missing, bad), retryStuck)
}

func listRules(ctx context.Context, _ *struct{}) (*rulesOutput, error) {
	list, err := tenantOf(ctx).db.ListRules(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &rulesOutput{}
	out.Body.Rules = make([]ruleBody, len(list))
	for i, r := range list {
		out.Body.Rules[i] = describeRule(r)
	}
	return out, nil
}

func describeRule(r store.LookedRule) ruleBody {
	state := "InForce"
	switch {
	case r.DormantSince != nil:
		state = "Deleted"
	case r.Suspended:
		state = "Suspended"
	}
	return ruleBody{
		Name: r.Name, Version: r.Version, State: state, Trigger: describeTrigger(r.Rule.On), Active: r.Active, Waiting: r.Waiting, Stuck: r.Stuck,
		Fired: r.Fired, StuckReason: r.StuckReason, Trouble: r.Trouble, TroubleSince: r.TroubleSince,
	}
}

// describeTrigger says in a word what a rule listens to.
func describeTrigger(t automate.Trigger) string {
	switch {
	case t.Schedule != nil:
		return strings.TrimSpace("schedule " + t.Schedule.Cron + " " + t.Schedule.TimeZone)
	case t.Date != nil:
		return "date " + t.Date.Attribute
	}
	return strings.TrimSpace(t.Event + " " + t.Segment)
}

func getRule(ctx context.Context, in *RulePath) (*ruleOutput, error) {
	r, err := tenantOf(ctx).db.DescribeRule(ctx, in.Name)
	if err != nil {
		return nil, ruleError(ctx, in.Name, err)
	}
	definition, err := json.Marshal(r.Rule)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	return &ruleOutput{Body: ruleDetails{ruleBody: describeRule(r), SavedAt: r.SavedAt, Definition: definition}}, nil
}

func listEntries(ctx context.Context, in *entriesInput) (*entriesOutput, error) {
	query := store.EntryQuery{Rule: in.Name, Status: automate.Status(in.Status), Contact: in.Contact, Limit: in.Limit}
	if in.After != "" {
		before, err := strconv.ParseInt(in.After, 10, 64)
		if err != nil {
			return nil, huma.Error422UnprocessableEntity("after: is not the next of a page")
		}
		query.Before = before
	}
	list, next, err := tenantOf(ctx).db.ListEntries(ctx, query)
	if err != nil {
		return nil, ruleError(ctx, in.Name, err)
	}
	out := &entriesOutput{}
	out.Body.Entries = make([]entryBody, len(list))
	for i, e := range list {
		out.Body.Entries[i] = describeEntry(e)
	}
	if next != 0 {
		out.Body.Next = strconv.FormatInt(next, 10)
	}
	return out, nil
}

func describeEntry(e store.LookedEntry) entryBody {
	body := entryBody{
		ID: e.ID, Rule: e.Rule, Version: e.Version, Contact: e.Contact, Event: e.Event, Status: string(e.Status), Step: e.Step, Reason: e.Reason,
		BeganAt: e.BeganAt, Since: e.Since, Conversation: e.Conversation, Ticket: e.Ticket, WakeAt: e.WakeAt,
		Awaits: e.Awaits, Attempts: e.Attempts, Path: make([]stepBody, len(e.Path)),
	}
	for i, p := range e.Path {
		body.Path[i] = stepBody{Step: p.Step, At: p.At, How: p.How, By: p.By, Why: p.Why}
	}
	return body
}

func commandEntry(ctx context.Context, in *entryCommandInput) (*emptyOutput, error) {
	command := tenantOf(ctx).db.RetryEntry
	if in.Body.Verb == "end" {
		command = tenantOf(ctx).db.EndEntry
	}
	err := command(ctx, in.Name, in.ID, deciderOf(ctx, in.Body.By), in.Body.Reason)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, huma.Error404NotFound(fmt.Sprintf("Rule %q has no such entry.", in.Name))
	case errors.Is(err, store.ErrNotStuck):
		return nil, huma.Error409Conflict("The entry is not stuck: there is nothing to retry.")
	case errors.Is(err, store.ErrOver):
		return nil, huma.Error409Conflict("The entry is over.")
	case err != nil:
		return nil, apiError(ctx, err)
	}
	return &emptyOutput{}, nil
}

// deciderOf is who decides: whom the caller names, by which token.
func deciderOf(ctx context.Context, by string) string { return by + " (" + tokenName(ctx) + ")" }

func retryStuck(ctx context.Context, in *retryInput) (*retryOutput, error) {
	db := tenantOf(ctx).db
	if _, err := db.LoadRuleState(ctx, in.Name); err != nil {
		return nil, ruleError(ctx, in.Name, err)
	}
	n, err := db.RetryStuck(ctx, in.Name, deciderOf(ctx, in.Body.By), in.Body.Reason, retriedAtOnce)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &retryOutput{}
	out.Body.Retried = n
	return out, nil
}

func ruleError(ctx context.Context, name string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return huma.Error404NotFound(fmt.Sprintf(
			"There is no rule %q, or no such contact: see whether it was accepted (kubectl describe automationrule %s).", name, name))
	}
	return apiError(ctx, err)
}
