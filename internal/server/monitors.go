package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// monitorBody is how a monitor stands.
type monitorBody struct {
	Name          string      `json:"name" doc:"The Monitor's name."`
	Suspended     bool        `json:"suspended" doc:"Whether nothing is looked for, and no alarm raised."`
	Baseline      string      `json:"baseline" enum:"Learning,Ready" doc:"Whether it is known of every topic that may raise an alarm what is usual."`
	Topics        []topicBody `json:"topics" doc:"What is looked for."`
	OpenIncidents int         `json:"open_incidents" doc:"Bursts of negative mentions that go on."`
	Mentions24h   int64       `json:"mentions_24h" doc:"Mentions of the last 24 hours, competitors' left out."`
	Negatives24h  int64       `json:"negatives_24h" doc:"The negative ones among them."`
}

type topicBody struct {
	Name        string     `json:"name" doc:"The topic's name within its monitor."`
	Role        string     `json:"role" enum:"Brand,Product,Competitor" doc:"What it is to the brand. Competitors' topics raise no alarm."`
	State       string     `json:"state" enum:"Preparing,Learning,Ready" doc:"Preparing: what is stored is still compared with it. Learning: less than a week is known. Ready: it is known what is usual; of competitors nothing has to be."`
	EvaluatedTo *time.Time `json:"evaluated_to,omitempty" doc:"Until when it was looked for bursts; absent for competitors, and before the first time."`
}

func describeMonitor(m store.MonitorSummary) monitorBody {
	body := monitorBody{
		Name: m.Name, Suspended: m.Suspended, Baseline: "Learning", OpenIncidents: m.OpenIncidents, Mentions24h: m.Mentions24h, Negatives24h: m.Negatives24h,
		Topics: make([]topicBody, len(m.Topics)),
	}
	if m.Ready {
		body.Baseline = "Ready"
	}
	for i, t := range m.Topics {
		body.Topics[i] = topicBody{Name: t.Name, Role: string(t.Role), State: "Learning", EvaluatedTo: t.EvaluatedTo}
		switch {
		case t.Preparing:
			body.Topics[i].State = "Preparing"
		case t.Ready, t.Role == store.CompetitorTopic:
			body.Topics[i].State = "Ready"
		}
	}
	return body
}

type monitorsOutput struct {
	Body struct {
		Monitors []monitorBody `json:"monitors" doc:"Those in force, by name."`
	}
}

// MonitorPath names a monitor. The API's library reads the fields of exported types alone where they are embedded.
type MonitorPath struct {
	Name string `path:"name" minLength:"1" maxLength:"253" doc:"The Monitor's name."`
}

type monitorOutput struct {
	Body struct {
		Monitor monitorBody `json:"monitor" doc:"How it stands."`
	}
}

// WindowQuery is a time that is looked at. It is exported as MonitorPath is.
type WindowQuery struct {
	From time.Time `query:"from" doc:"From then on. Default: a week before to." example:"2026-11-15T00:00:00Z"`
	To   time.Time `query:"to" doc:"Before then. Default: now." example:"2026-11-22T00:00:00Z"`
}

// bounds are the times that are asked about, with what they are by default.
func (w WindowQuery) bounds() (from, to time.Time) {
	if to = w.To; to.IsZero() {
		to = time.Now()
	}
	if from = w.From; from.IsZero() {
		from = to.Add(-usualWindow)
	}
	return from, to
}

// usualWindow is which time is looked at unless another is asked for.
const usualWindow = 7 * 24 * time.Hour

type monitorWindowInput struct {
	MonitorPath
	WindowQuery
}

func (in *monitorWindowInput) query() store.WindowQuery {
	from, to := in.bounds()
	return store.WindowQuery{Monitor: in.Name, From: from, To: to}
}

type seriesInput struct {
	MonitorPath
	WindowQuery
	Topic    string `query:"topic" maxLength:"63" doc:"Of one topic. Default: those of the brand, together."`
	Source   string `query:"source" maxLength:"253" doc:"Of what one source brought. Default: all."`
	Step     string `query:"step" enum:"5m,1h,1d" default:"1h" doc:"How long a step is."`
	TimeZone string `query:"time_zone" maxLength:"64" doc:"Whose hours and days they are. Default: the monitor's." example:"Europe/Madrid"`
}

type seriesOutput struct {
	Body struct {
		Monitor  string       `json:"monitor" doc:"The Monitor's name."`
		Topics   []string     `json:"topics" doc:"Whose mentions are counted."`
		Step     string       `json:"step" doc:"How long a step is."`
		TimeZone string       `json:"time_zone" doc:"Whose hours and days they are."`
		Points   []seriesBody `json:"points" doc:"A point for each step, where nothing was said too."`
	}
}

type seriesBody struct {
	Start      time.Time `json:"start" doc:"When the step begins."`
	Mentions   int64     `json:"mentions" doc:"How many were written in it."`
	Negatives  int64     `json:"negatives" doc:"The negative ones among them."`
	Positives  int64     `json:"positives" doc:"The positive ones among them."`
	Engagement int64     `json:"engagement" doc:"Likes, reposts and replies of them, as the networks told last."`
}

type shareOutput struct {
	Body struct {
		Topics []shareBody `json:"topics" doc:"All of the monitor's."`
	}
}

type shareBody struct {
	Topic      string   `json:"topic" doc:"Its name."`
	Role       string   `json:"role" enum:"Brand,Product,Competitor" doc:"What it is to the brand."`
	Mentions   int64    `json:"mentions" doc:"How many are about it."`
	Negatives  int64    `json:"negatives" doc:"The negative ones among them."`
	Positives  int64    `json:"positives" doc:"The positive ones among them."`
	Engagement int64    `json:"engagement" doc:"Likes, reposts and replies of them."`
	Share      *float64 `json:"share,omitempty" doc:"Of all mentions of brand and competitors, from 0 to 1; absent for products, and where nothing was said."`
}

type engagementOutput struct {
	Body struct {
		Sources []engagementBody `json:"sources" doc:"By topic and source."`
	}
}

type engagementBody struct {
	Topic      string  `json:"topic" doc:"The topic's name."`
	Source     string  `json:"source" doc:"The SocialSource's name."`
	Mentions   int64   `json:"mentions" doc:"How many it brought."`
	Engagement int64   `json:"engagement" doc:"Likes, reposts and replies of them."`
	PerMention float64 `json:"per_mention" doc:"The same for each of them."`
}

type responsesOutput struct{ Body responsesBody }

type responsesBody struct {
	Asked         int64    `json:"asked" doc:"Mentions of others that could be answered."`
	Answered      int64    `json:"answered" doc:"Those that an account of ours has answered."`
	Waiting       int64    `json:"waiting" doc:"Those that wait."`
	Median        *float64 `json:"median_seconds,omitempty" doc:"Within which time half of the answers came; absent without any."`
	P90           *float64 `json:"p90_seconds,omitempty" doc:"Within which time nine of ten came."`
	OldestWaiting *float64 `json:"oldest_waiting_seconds,omitempty" doc:"For how long the first of those waits that do; absent where none does."`
}

type termsInput struct {
	MonitorPath
	Topic string    `query:"topic" maxLength:"63" doc:"Of one topic. Default: the brand's, where there is one topic of it."`
	Day   time.Time `query:"day" doc:"A moment of the day that is looked at. Default: now." example:"2026-11-22T12:00:00Z"`
	Limit int       `query:"limit" minimum:"1" maximum:"50" default:"10" doc:"How many at most."`
}

type termsOutput struct {
	Body struct {
		Terms []termBody `json:"terms" doc:"What rises most first."`
	}
}

type termBody struct {
	Term     string  `json:"term" doc:"A word, a phrase or a hashtag, as strangers write it."`
	Mentions int     `json:"mentions" doc:"How many have it."`
	Authors  int     `json:"authors" doc:"How many people wrote them. What few write is not told."`
	Usual    float64 `json:"usual" doc:"How many would have it as on the days before."`
	Score    float64 `json:"score" doc:"How unusual that is; only its order means something."`
}

func describeTerms(terms []monitor.Term) []termBody {
	list := make([]termBody, len(terms))
	for i, t := range terms {
		list[i] = termBody(t)
	}
	return list
}

func (s *Server) registerMonitors(api huma.API) {
	read := requires(scopeMonitorsRead)
	get := func(id, path, summary, description string, errs ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"Listening"}, Summary: summary, Description: description,
			Security: read, Errors: errs,
		}
	}
	const one = "/v1/monitors/{name}"
	missing, bad := http.StatusNotFound, http.StatusUnprocessableEntity
	register(api, get("list-monitors", "/v1/monitors", "List the monitors in force, and how they stand", ""), listMonitors)
	register(api, get("get-monitor", one, "Tell how a monitor stands", "", missing), getMonitor)
	register(api, get("get-series", one+"/series", "Count mentions in steps of time",
		"At most 10,000 steps. Deleted posts are not counted any more, and corrections of sentiment are.", missing, bad), getSeries)
	register(api, get("get-share-of-voice", one+"/share", "Tell how much is said about the brand beside competitors", "", missing, bad), getShare)
	register(api, get("get-engagement", one+"/engagement", "Tell how much others did with mentions, by topic and source", "", missing, bad), getEngagement)
	register(api, get("get-responses", one+"/responses", "Tell how soon mentions were answered",
		"Answers are what the monitor's accounts write in reply.", missing, bad), getResponses)
	register(api, get("list-rising-terms", one+"/terms", "List words that are used more than usual", "", missing, bad), listTerms)
	register(api, get("list-incidents", one+"/incidents", "List bursts of negative mentions, the newest first", "", missing, bad), listIncidents)
	register(api, get("get-incident", one+"/incidents/{id}", "Tell of an incident", "", missing), getIncident)
	register(api, huma.Operation{
		OperationID: "fill-in-counts", Method: http.MethodPost, Path: one + "/counts", Tags: []string{"Listening"},
		Summary: "Tell how much was said before the monitor began",
		Description: "CSV with the columns time, mentions, negatives and authors, a line for 5 minutes or another part of an hour. They stand for what was " +
			"counted in these steps before; what is said since the topic was declared is counted by mentions alone.",
		Security: requires(scopeMonitorsWrite), Errors: []int{missing, bad, http.StatusTooManyRequests}, MaxBodyBytes: maxCounts,
	}, fillInCounts)
}

func listMonitors(ctx context.Context, _ *struct{}) (*monitorsOutput, error) {
	list, err := tenantOf(ctx).db.ListMonitors(ctx)
	if err != nil {
		return nil, monitorError(ctx, "", err)
	}
	out := &monitorsOutput{}
	out.Body.Monitors = make([]monitorBody, len(list))
	for i, m := range list {
		out.Body.Monitors[i] = describeMonitor(m)
	}
	return out, nil
}

func getMonitor(ctx context.Context, in *MonitorPath) (*monitorOutput, error) {
	m, err := findMonitor(ctx, in.Name)
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	out := &monitorOutput{}
	out.Body.Monitor = describeMonitor(m)
	return out, nil
}

func findMonitor(ctx context.Context, name string) (store.MonitorSummary, error) {
	list, err := tenantOf(ctx).db.ListMonitors(ctx)
	if err != nil {
		return store.MonitorSummary{}, err
	}
	i := slices.IndexFunc(list, func(m store.MonitorSummary) bool { return m.Name == name })
	if i < 0 {
		return store.MonitorSummary{}, store.ErrNotFound
	}
	return list[i], nil
}

func getSeries(ctx context.Context, in *seriesInput) (*seriesOutput, error) {
	from, to := in.bounds()
	series, err := tenantOf(ctx).db.MonitorSeries(ctx, store.SeriesQuery{
		Monitor: in.Name, Topic: in.Topic, Source: in.Source, From: from, To: to, Step: store.SeriesStep(in.Step), TimeZone: in.TimeZone,
	})
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	out := &seriesOutput{}
	out.Body.Monitor, out.Body.Step, out.Body.TimeZone = series.Monitor, string(series.Step), series.TimeZone
	out.Body.Topics, out.Body.Points = append([]string{}, series.Topics...), make([]seriesBody, len(series.Points))
	for i, p := range series.Points {
		out.Body.Points[i] = seriesBody(p)
	}
	return out, nil
}

func getShare(ctx context.Context, in *monitorWindowInput) (*shareOutput, error) {
	list, err := tenantOf(ctx).db.ShareOfVoice(ctx, in.query())
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	out := &shareOutput{}
	out.Body.Topics = make([]shareBody, len(list))
	for i, t := range list {
		out.Body.Topics[i] = shareBody{
			Topic: t.Topic, Role: string(t.Role), Mentions: t.Mentions, Negatives: t.Negatives, Positives: t.Positives, Engagement: t.Engagement,
			Share: t.Share,
		}
	}
	return out, nil
}

func getEngagement(ctx context.Context, in *monitorWindowInput) (*engagementOutput, error) {
	list, err := tenantOf(ctx).db.EngagementBySource(ctx, in.query())
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	out := &engagementOutput{}
	out.Body.Sources = make([]engagementBody, len(list))
	for i, e := range list {
		out.Body.Sources[i] = engagementBody{Topic: e.Topic, Source: e.Source, Mentions: e.Mentions, Engagement: e.Engagement, PerMention: e.PerMention}
	}
	return out, nil
}

func getResponses(ctx context.Context, in *monitorWindowInput) (*responsesOutput, error) {
	r, err := tenantOf(ctx).db.ResponseTimes(ctx, in.query())
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	return &responsesOutput{Body: responsesBody{
		Asked: r.Asked, Answered: r.Answered, Waiting: r.Waiting, Median: inSeconds(r.Median), P90: inSeconds(r.P90), OldestWaiting: inSeconds(r.OldestWaiting),
	}}, nil
}

func inSeconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	seconds := d.Seconds()
	return &seconds
}

func listTerms(ctx context.Context, in *termsInput) (*termsOutput, error) {
	day := in.Day
	if day.IsZero() {
		day = time.Now()
	}
	terms, err := tenantOf(ctx).db.RisingTerms(ctx, store.RisingQuery{Monitor: in.Name, Topic: in.Topic, Day: day, Limit: in.Limit})
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	out := &termsOutput{}
	out.Body.Terms = describeTerms(terms)
	return out, nil
}

// monitorError tells why a monitor could not be looked at.
func monitorError(ctx context.Context, name string, err error) error {
	var query *store.QueryError
	switch {
	case errors.As(err, &query):
		return huma.Error422UnprocessableEntity(query.Message)
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(fmt.Sprintf(
			"Monitor %q, or what is asked of it, is not in force: see whether it is there and accepted (kubectl describe monitor %s).", name, name))
	case errors.Is(err, store.ErrTooLong):
		return huma.Error504GatewayTimeout("It took too long and was given up: ask for less time, or later. Nothing was changed.")
	}
	return apiError(ctx, err)
}
