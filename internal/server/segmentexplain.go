package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type explainSegmentOutput struct{ Body segmentExplanation }

type segmentExplanation struct {
	Segment      segmentBody       `json:"segment" doc:"How it stands."`
	Match        string            `json:"match" doc:"The expression in force."`
	Trouble      string            `json:"trouble,omitempty" doc:"Why the expression could not come into force today: the record and event types are others by now. The membership follows the definition of before."`
	Predicate    string            `json:"predicate" doc:"What the expression is in SQL, over c, a row of contact, with a placeholder for each argument."`
	Arguments    []string          `json:"arguments" doc:"Of the predicate, from $1."`
	Everyone     planBody          `json:"everyone" doc:"The statement that builds the membership, as it is planned for these arguments."`
	Changed      planBody          `json:"changed" doc:"The statement for those about whom something changed, as it is planned for any arguments."`
	Cost         costBody          `json:"cost" doc:"What it costs, in short."`
	Dependencies *dependenciesBody `json:"dependencies,omitempty" doc:"What it depends on: nothing else changes who belongs. Absent where that is not known."`
	UsedBy       usersBody         `json:"used_by" doc:"Who needs its membership."`
	Crossings    []crossingBody    `json:"crossings" doc:"Where the passing of time changes an answer, the next one at the top."`
}

type planBody struct {
	SQL  string  `json:"sql" doc:"With a placeholder for each argument."`
	Plan string  `json:"plan" doc:"How PostgreSQL would run it."`
	Cost float64 `json:"cost" doc:"The planner's estimate, in its units: about one for a page that is read in order."`
	Rows float64 `json:"rows" doc:"How many contacts the planner expects to find."`
}

type costBody struct {
	Expression int      `json:"expression,omitempty" doc:"About what the expression costs for one contact, in comparisons of a column; absent where it does not compile any more."`
	Limit      int      `json:"limit" doc:"The most that is allowed."`
	Seconds    *float64 `json:"build_seconds,omitempty" doc:"What the last build took."`
	Members    *int64   `json:"members,omitempty" doc:"How many belong."`
}

type crossingBody struct {
	Of         string     `json:"of" enum:"event,message,field,age,anniversary,instant" doc:"What grows old."`
	Name       string     `json:"name" doc:"Of the event type, of what was done with the message, of the field; the instant."`
	After      string     `json:"after" doc:"So long after it the answer changes; with a minus, before it."`
	Steps      []int64    `json:"steps,omitempty" doc:"Of ages and anniversaries: the values that matter; absent: all."`
	SweptUntil time.Time  `json:"swept_until" doc:"Everybody who had crossed it by then has been noted."`
	At         *time.Time `json:"at,omitempty" doc:"When somebody is the next to cross it. Of ages and anniversaries: the next midnight where the tenant is. Absent where nobody is on the way."`
	Within     string     `json:"looked_within,omitempty" doc:"How far ahead it was looked, where looking further costs too much."`
	Unknown    bool       `json:"unknown,omitempty" doc:"Looking took too long."`
}

func explainSegment(ctx context.Context, in *segmentPath) (*explainSegmentOutput, error) {
	t := tenantOf(ctx)
	done, err := t.takeLook()
	if err != nil {
		return nil, err
	}
	defer done()
	details, err := segmentDetailsOf(ctx, in.Name)
	if err != nil {
		return nil, lookError(ctx, in.Name, err)
	}
	plans, err := t.db.ExplainSegment(ctx, in.Name)
	if err != nil {
		return nil, lookError(ctx, in.Name, err)
	}
	crossings, err := t.db.NextCrossings(ctx, in.Name)
	if err != nil {
		return nil, lookError(ctx, in.Name, err)
	}
	body := segmentExplanation{
		Segment: details.Segment, Match: details.Match, Dependencies: details.Dependencies, UsedBy: details.UsedBy,
		Predicate: plans.Predicate, Arguments: append([]string{}, plans.Arguments...),
		Everyone: describePlan(plans.Everyone), Changed: describePlan(plans.Changed), Crossings: make([]crossingBody, len(crossings)),
		Cost: costBody{Limit: expr.MaxCost, Seconds: details.Segment.Build.Took, Members: details.Segment.Members},
	}
	for i, c := range crossings {
		body.Crossings[i] = describeCrossing(c)
	}
	schema, err := t.db.LoadExpressionSchema(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	var wrong *expr.Error
	switch compiled, err := expr.Compile(schema, details.Match); {
	case errors.As(err, &wrong):
		body.Trouble = wrong.Error()
	case err != nil:
		return nil, apiError(ctx, err)
	default:
		body.Cost.Expression = compiled.Cost
	}
	return &explainSegmentOutput{Body: body}, nil
}

func describePlan(p store.StatementPlan) planBody {
	return planBody{SQL: p.SQL, Plan: strings.Join(p.Plan, "\n"), Cost: p.Cost, Rows: p.Rows}
}

func describeCrossing(c store.NextCrossing) crossingBody {
	after := period(c.After)
	if after == "" {
		after = "0s"
	}
	return crossingBody{
		Of: string(c.Of), Name: strings.TrimPrefix(c.Name, "attr_"), After: after, Steps: c.Steps, SweptUntil: c.SweptUntil, At: c.At,
		Within: period(c.Within), Unknown: c.Unknown,
	}
}

// takeLook takes one of the places for costly questions; done gives it back.
func (t *tenant) takeLook() (done func(), err error) {
	select {
	case t.looks <- struct{}{}:
		return func() { <-t.looks }, nil
	default:
		return nil, huma.ErrorWithHeaders(huma.Error429TooManyRequests(fmt.Sprintf(
			"%d such questions are being answered for the tenant at the moment: try again.", maxLooks)), http.Header{"Retry-After": {retryAfter}})
	}
}
