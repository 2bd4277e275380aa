package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type segmentPath struct {
	Name string `path:"name" minLength:"1" maxLength:"253" doc:"The Segment's name."`
}

// segmentBody is how a segment stands.
type segmentBody struct {
	Name      string     `json:"name" doc:"The Segment's name."`
	State     string     `json:"state" enum:"Current,Building,Waiting,Suspended" doc:"Current: the membership follows what changes. Building: everybody is being evaluated. Waiting: a build is due. Suspended: the membership stays as it is. While it is not Current, the membership of before holds."`
	Members   *int64     `json:"members,omitempty" doc:"How many belong; absent before the first build."`
	Waiting   int64      `json:"waiting" doc:"Changes that it depends on and that are not evaluated yet."`
	Lag       float64    `json:"lag_seconds" doc:"Age of the oldest of them, or of the need to build it; 0 while nothing waits."`
	ChangedAt *time.Time `json:"changed_at,omitempty" doc:"When somebody last entered or left, or the definition was built."`

	Build        buildBody        `json:"build" doc:"The last time that everybody was evaluated."`
	Verification verificationBody `json:"verification" doc:"What comparing everybody with the definition has found."`
}

type buildBody struct {
	At   *time.Time `json:"at,omitempty" doc:"When everybody was last evaluated; absent before the first build."`
	Took *float64   `json:"seconds,omitempty" doc:"How long that took."`
}

type verificationBody struct {
	At         *time.Time `json:"at,omitempty" doc:"When everybody was last compared with the definition; absent before the first time."`
	UnderWay   bool       `json:"under_way" doc:"Whether that goes on at the moment."`
	Repaired   int64      `json:"repaired" doc:"Memberships that were ever found to be wrong, and mended."`
	RepairedAt *time.Time `json:"repaired_at,omitempty" doc:"When the last of them was."`
}

func describeSegment(s store.LookedSegment) segmentBody {
	body := segmentBody{
		Name: s.Name, State: string(s.State()), Members: s.Members, Waiting: s.Waiting, Lag: s.Lag.Seconds(), ChangedAt: s.ChangedAt,
		Build:        buildBody{At: s.BuiltAt},
		Verification: verificationBody{At: s.VerifiedAt, UnderWay: s.Verifying, Repaired: s.Repaired, RepairedAt: s.RepairedAt},
	}
	if s.BuildTook != nil {
		took := s.BuildTook.Seconds()
		body.Build.Took = &took
	}
	return body
}

type segmentsOutput struct {
	Body struct {
		Segments []segmentBody `json:"segments" doc:"Those in force, by name."`
	}
}

type segmentOutput struct{ Body segmentDetails }

type segmentDetails struct {
	Segment      segmentBody       `json:"segment" doc:"How it stands."`
	Match        string            `json:"match" doc:"The expression in force."`
	Dependencies *dependenciesBody `json:"dependencies,omitempty" doc:"What it depends on: nothing else changes who belongs. Absent where that is not known, so that it is built every few minutes."`
	UsedBy       usersBody         `json:"used_by" doc:"Who needs its membership."`
}

type usersBody struct {
	Segments  []string `json:"segments" doc:"Segments that ask for it."`
	Campaigns []string `json:"campaigns" doc:"Campaigns that are sent to it or leave it out, and have not ended."`
}

type dependenciesBody struct {
	Attributes  []string       `json:"attributes,omitempty" doc:"Attributes of the contact."`
	Fields      []string       `json:"fields,omitempty" doc:"Fields that every contact has."`
	Tags        []string       `json:"tags,omitempty" doc:"Tags that are looked for; where fields has tags and this is absent, any."`
	Purposes    []string       `json:"purposes,omitempty" doc:"Purposes of consent."`
	Identifiers []string       `json:"identifiers,omitempty" doc:"Types of identifiers."`
	Segments    []string       `json:"segments,omitempty" doc:"Segments whose membership it asks for."`
	Events      []windowBody   `json:"events,omitempty" doc:"Events, one for each window."`
	Messages    []windowBody   `json:"messages,omitempty" doc:"What was received, opened or clicked, one for each window."`
	Ages        []ageBody      `json:"ages,omitempty" doc:"Dates and instants that are compared with the clock."`
	Calendar    []calendarBody `json:"calendar,omitempty" doc:"Ages and anniversaries."`
	Instants    []time.Time    `json:"instants,omitempty" doc:"Instants in the expression that are compared with the clock."`
}

type windowBody struct {
	Name     string `json:"name" doc:"The event type, or received, opened or clicked."`
	Campaign string `json:"campaign,omitempty" doc:"Of messages: the campaign's name; absent for any."`
	Within   string `json:"within,omitempty" doc:"Younger than that; absent: however old."`
	Before   string `json:"before,omitempty" doc:"At least that old."`
	Compared string `json:"compared,omitempty" doc:"How old the first or the last is asked to be."`
}

type ageBody struct {
	Field  string `json:"field" doc:"The attribute, or created_at."`
	Offset string `json:"offset" doc:"The answer changes when the field's value is so long after the present; with a minus, before it."`
}

type calendarBody struct {
	Function string  `json:"function" doc:"age or anniversary."`
	Field    string  `json:"field" doc:"The attribute, or created_at."`
	Steps    []int64 `json:"steps,omitempty" doc:"The values that matter; absent: all."`
}

func describeDependencies(d *expr.Dependencies) *dependenciesBody {
	if d == nil {
		return nil
	}
	body := &dependenciesBody{
		Attributes: d.Attributes, Fields: d.Fields, Tags: d.Tags, Purposes: d.Purposes, Identifiers: d.Identifiers, Segments: d.Segments, Instants: d.Instants,
	}
	window := func(name, campaign string, w expr.Window) windowBody {
		return windowBody{Name: name, Campaign: campaign, Within: period(w.Within), Before: period(w.Before), Compared: period(w.Compared)}
	}
	for _, e := range d.Events {
		body.Events = append(body.Events, window(e.Name, "", e.Window))
	}
	for _, m := range d.Messages {
		body.Messages = append(body.Messages, window(m.What, m.Campaign, m.Window))
	}
	for _, a := range d.Ages {
		offset := period(a.Offset)
		if offset == "" {
			offset = "0s"
		}
		body.Ages = append(body.Ages, ageBody{a.Field, offset})
	}
	for _, c := range d.Calendar {
		body.Calendar = append(body.Calendar, calendarBody{c.Function, c.Field, c.Steps})
	}
	return body
}

// period writes a duration as expressions do, such as 90d or 1d12h; "" for none.
func period(d time.Duration) string {
	if d < 0 {
		return "-" + period(-d)
	}
	text := ""
	for _, unit := range []struct {
		name string
		long time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / unit.long; n > 0 {
			text += fmt.Sprintf("%d%s", n, unit.name)
			d -= n * unit.long
		}
	}
	return text
}

type sampleInput struct {
	Name string `path:"name" minLength:"1" maxLength:"253" doc:"The Segment's name."`
	N    int    `query:"n" minimum:"1" maximum:"1000" default:"20" doc:"How many members at most."`
}

type sampleOutput struct {
	Body struct {
		IDs []string `json:"ids" doc:"Public ids, in no order; all members where there are no more."`
	}
}

func (s *Server) registerSegments(api huma.API) {
	read := requires(scopeSegmentsRead)
	register(api, huma.Operation{
		OperationID: "list-segments", Method: http.MethodGet, Path: "/v1/segments", Tags: []string{"Segments"},
		Summary: "List the segments in force, and how they stand", Security: read,
	}, listSegments)
	register(api, huma.Operation{
		OperationID: "get-segment", Method: http.MethodGet, Path: "/v1/segments/{name}", Tags: []string{"Segments"},
		Summary: "Tell how a segment stands, what it depends on and who needs it", Security: read, Errors: []int{http.StatusNotFound},
	}, getSegment)
	register(api, huma.Operation{
		OperationID: "sample-segment", Method: http.MethodGet, Path: "/v1/segments/{name}/sample", Tags: []string{"Segments"},
		Summary:     "Draw members by lot",
		Description: "Public ids, and nothing else of anybody. Each member has the same chance.",
		Security:    requires(scopeContactsRead), Errors: []int{http.StatusNotFound},
	}, sampleSegment)
	register(api, huma.Operation{
		OperationID: "explain-segment", Method: http.MethodGet, Path: "/v1/segments/{name}/explain", Tags: []string{"Segments"},
		Summary: "Tell what a segment costs: its SQL, plans, dependencies and the next boundary of time",
		Description: "Nothing is run: plans are PostgreSQL's, for everyone and for those about whom something changed. The SQL has a placeholder for each " +
			"argument; the plan for everyone is made for the arguments and shows them.",
		Security: read, Errors: []int{http.StatusNotFound, http.StatusTooManyRequests},
	}, explainSegment)
	register(api, huma.Operation{
		OperationID: "diff-segment", Method: http.MethodPost, Path: "/v1/segments:diff", Tags: []string{"Segments"},
		Summary: "Tell how many would enter and leave a segment if manifests were merged",
		Description: "Nothing is written. Counts below 10 are hidden, and so are those from which they could be computed. What is wrong with an " +
			"expression is told as the operator tells it: errors name the manifest's place in location, and begin with line and column.",
		Security: read, Errors: []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusGatewayTimeout}, MaxBodyBytes: maxDiffBody,
	}, diffSegment)
}

func listSegments(ctx context.Context, _ *struct{}) (*segmentsOutput, error) {
	list, err := tenantOf(ctx).db.ListSegments(ctx)
	if err != nil {
		return nil, lookError(ctx, "", err)
	}
	out := &segmentsOutput{}
	out.Body.Segments = make([]segmentBody, len(list))
	for i, s := range list {
		out.Body.Segments[i] = describeSegment(s)
	}
	return out, nil
}

func getSegment(ctx context.Context, in *segmentPath) (*segmentOutput, error) {
	details, err := segmentDetailsOf(ctx, in.Name)
	if err != nil {
		return nil, lookError(ctx, in.Name, err)
	}
	return &segmentOutput{Body: details}, nil
}

func segmentDetailsOf(ctx context.Context, name string) (segmentDetails, error) {
	db := tenantOf(ctx).db
	s, err := db.DescribeSegment(ctx, name)
	if err != nil {
		return segmentDetails{}, err
	}
	users, err := db.LoadSegmentUsers(ctx, name)
	if err != nil {
		return segmentDetails{}, err
	}
	return segmentDetails{
		Segment: describeSegment(s), Match: s.Match, Dependencies: describeDependencies(s.Dependencies),
		UsedBy: usersBody{Segments: users.Segments, Campaigns: users.Campaigns},
	}, nil
}

func sampleSegment(ctx context.Context, in *sampleInput) (*sampleOutput, error) {
	ids, err := tenantOf(ctx).db.SampleSegment(ctx, in.Name, in.N)
	if err != nil {
		return nil, lookError(ctx, in.Name, err)
	}
	out := &sampleOutput{}
	out.Body.IDs = append([]string{}, ids...)
	return out, nil
}

// lookError tells why a segment could not be looked at.
func lookError(ctx context.Context, name string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(fmt.Sprintf(
			"Segment %q is not in force: see whether it is there and accepted (kubectl describe segment %s).", name, name))
	case errors.Is(err, store.ErrTooLong):
		return huma.Error504GatewayTimeout("It took too long and was given up; the database has much to do, or the segment is costly. Nothing was changed.")
	}
	return apiError(ctx, err)
}
