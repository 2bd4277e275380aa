package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/calendar"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// What a calendar shows where nobody says, and at most.
const (
	calendarPast   = 31 * 24 * time.Hour
	calendarFuture = 183 * 24 * time.Hour
	calendarMost   = 732 * 24 * time.Hour
)

// calendarPattern is the feed. It is no operation of the described kind: calendar programs send no header with a token.
const calendarPattern = "GET /v1/calendar.ics"

type calendarInput struct {
	From time.Time `query:"from" doc:"The first moment. Default: a month ago."`
	To   time.Time `query:"to" doc:"The moment behind the last one. Default: half a year from now."`
}

type calendarOutput struct {
	Body struct {
		Entries []calendarEntry `json:"entries" doc:"What was, is and will be sent and published, in order."`
		More    bool            `json:"more" doc:"There are more than are listed: ask for less time at once."`
	}
}

type calendarEntry struct {
	Campaign    string          `json:"campaign" doc:"The Campaign's name."`
	SendKey     string          `json:"send_key" doc:"Its send key."`
	Occurrence  string          `json:"occurrence,omitempty" doc:"Of a campaign that recurs: the local date and time of this one."`
	At          time.Time       `json:"at" doc:"When it begins; with the recipients' own clocks, when it is that time in the first zone on Earth."`
	Local       string          `json:"local,omitempty" doc:"The time by each recipient's own clock, where that decides."`
	Kind        string          `json:"kind" enum:"message,publication" doc:"Messages to people, or posts on a social network."`
	Channel     string          `json:"channel" doc:"The MessageChannel's name."`
	ChannelType string          `json:"channel_type,omitempty" doc:"Its type; absent where the channel is not there."`
	Templates   []string        `json:"templates" doc:"The MessageTemplates of its variants."`
	Locales     []string        `json:"locales,omitempty" doc:"Of a publication: those that it names."`
	State       string          `json:"state" doc:"Scheduled, Freezing, Sending, Held, Completed, Expired, Aborted; Draft: suspended or not accepted before it began; Paused: stopped."`
	Counts      campaign.Counts `json:"counts" doc:"What became of its messages or posts: planned = sent + failed + ambiguous + skipped + pending."`
	Posts       []calendarPost  `json:"posts,omitempty" doc:"Those that are on the network."`
}

type calendarPost struct {
	Locale string `json:"locale" doc:"The language."`
	URL    string `json:"url" doc:"Where people read it; of a thread, its first post."`
}

type publicationOutput struct {
	Body struct {
		Posts []publicationPost `json:"posts" doc:"A post, or a thread, for each language; of a campaign that recurs, those of its last 50 occurrences, the newest first."`
	}
}

type publicationPost struct {
	Occurrence string            `json:"occurrence,omitempty" doc:"Of a campaign that recurs: the local date and time."`
	Locale     string            `json:"locale" doc:"The language."`
	Template   string            `json:"template" doc:"The MessageTemplate that was published."`
	State      string            `json:"state" enum:"pending,intent,sent,failed,ambiguous,skipped" doc:"What became of it. intent: it was to be handed over, and the network is asked whether it is there."`
	At         *time.Time        `json:"at,omitempty" doc:"When that was known."`
	Reply      string            `json:"reply,omitempty" doc:"The network's words, or why it was not handed over."`
	Parts      []publicationPart `json:"parts" doc:"The posts of it that are on the network; a thread has several."`
	Answers    publicationVoices `json:"answers" doc:"Answers to it that sources brought, by how they are meant."`
	Likes      *int64            `json:"likes,omitempty" doc:"As the network counted when a source read the posts last; absent where none has."`
	Reposts    *int64            `json:"reposts,omitempty" doc:"Likewise."`
	Replies    *int64            `json:"replies,omitempty" doc:"Likewise; answers to answers are among them on some networks."`
}

type publicationPart struct {
	ID  string `json:"id" doc:"As the network names it."`
	URL string `json:"url,omitempty" doc:"Where people read it."`
}

type publicationVoices struct {
	Total    int64 `json:"total" doc:"All of them."`
	Negative int64 `json:"negative" doc:"Those that are against something."`
	Neutral  int64 `json:"neutral" doc:"Those that are neither."`
	Positive int64 `json:"positive" doc:"Those that praise or thank."`
}

func (s *Server) registerCalendar(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-calendar", Method: http.MethodGet, Path: "/v1/calendar", Tags: []string{"Campaigns"},
		Summary: "List what is sent and published when", Security: requires(scopeCalendarRead), Errors: []int{http.StatusUnprocessableEntity},
		Description: "Of campaigns that recur it has the occurrences that were, and foresees those that come. " +
			"Programs for calendars read the same at /v1/calendar.ics.",
	}, listCalendar)
	register(api, huma.Operation{
		OperationID: "report-publication", Method: http.MethodGet, Path: "/v1/campaigns/{name}/publication", Tags: []string{"Campaigns"},
		Summary: "Report what a campaign published and what people made of it", Security: requires(scopeCalendarRead), Errors: []int{http.StatusNotFound},
	}, reportPublication)
}

// describeCalendar adds the feed to the description.
func describeCalendar(api *huma.OpenAPI) {
	text := func(what string) *huma.Response {
		return &huma.Response{Description: what, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Type: "object"}}}}
	}
	api.AddOperation(&huma.Operation{
		OperationID: "read-calendar-feed", Method: http.MethodGet, Path: "/v1/calendar.ics", Tags: []string{"Campaigns"},
		Summary: "Read the calendar as a feed (iCalendar, RFC 5545)",
		Description: "From a month ago to half a year ahead. Programs for calendars send no header with a token: give them a token of the scope " +
			"calendar:read and no other, in the address (?token=ttl_…) or as the password of HTTP Basic. A token that may do anything else is refused in the " +
			"address, which programs and proxies write down.",
		Security: requires(scopeCalendarRead),
		Parameters: []*huma.Param{{
			Name: "token", In: "query", Schema: &huma.Schema{Type: "string"}, Description: "A token of the scope calendar:read alone, in place of the header.",
		}},
		Responses: map[string]*huma.Response{
			"200": {Description: "The feed", Content: map[string]*huma.MediaType{"text/calendar": {Schema: &huma.Schema{Type: "string"}}}},
			"401": text("The token is missing, unknown, expired or revoked."),
			"403": text("The token lacks the scope, or may do too much to stand in an address."),
			"503": text("The tenant's database cannot be reached: try again later."),
		},
	})
}

func listCalendar(ctx context.Context, in *calendarInput) (*calendarOutput, error) {
	now := time.Now()
	if in.From.IsZero() {
		in.From = now.Add(-calendarPast)
	}
	if in.To.IsZero() {
		in.To = in.From.Add(calendarPast + calendarFuture)
	}
	if span := in.To.Sub(in.From); span <= 0 || span > calendarMost {
		return nil, huma.Error422UnprocessableEntity("from, to: to must be later than from, by two years at most.")
	}
	entries, more, err := tenantOf(ctx).db.Calendar(ctx, in.From, in.To, now)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &calendarOutput{}
	out.Body.More = more
	out.Body.Entries = make([]calendarEntry, len(entries))
	for i := range entries {
		out.Body.Entries[i] = describeScheduled(&entries[i])
	}
	return out, nil
}

func describeScheduled(e *calendar.Entry) calendarEntry {
	out := calendarEntry{
		Campaign: e.Campaign, SendKey: e.SendKey, Occurrence: e.Occurrence, At: e.At.UTC(), Local: e.Local, Kind: "message", Channel: e.Channel,
		ChannelType: e.ChannelType, Templates: e.Templates, Locales: e.Locales, State: string(e.State), Counts: e.Counts,
	}
	if e.Publication {
		out.Kind = "publication"
	}
	for _, p := range e.Posts {
		out.Posts = append(out.Posts, calendarPost(p))
	}
	return out
}

func reportPublication(ctx context.Context, in *campaignPath) (*publicationOutput, error) {
	reports, err := tenantOf(ctx).db.ReportPublication(ctx, in.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound(fmt.Sprintf(
			"Campaign %q has published nothing: see whether it is a publication and when it begins (kubectl get campaign %s).", in.Name, in.Name))
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &publicationOutput{}
	out.Body.Posts = make([]publicationPost, len(reports))
	for i, r := range reports {
		p := publicationPost{
			Occurrence: r.Occurrence, Locale: r.Locale, Template: r.Template, State: string(r.State), At: r.At, Reply: r.Reply, Parts: []publicationPart{},
			Answers: publicationVoices(r.Answers), Likes: r.Likes, Reposts: r.Reposts, Replies: r.Replies,
		}
		for _, part := range r.Parts {
			p.Parts = append(p.Parts, publicationPart{ID: part.ID, URL: part.URL})
		}
		out.Body.Posts[i] = p
	}
	return out, nil
}

// serveCalendar answers GET /v1/calendar.ics.
func (s *Server) serveCalendar(w http.ResponseWriter, r *http.Request) {
	if !authorizeFeed(w, r) {
		return
	}
	ctx := r.Context()
	now := time.Now()
	db := tenantOf(ctx).db
	t, err := db.LoadTenant(ctx)
	var entries []calendar.Entry
	if err == nil {
		entries, _, err = db.Calendar(ctx, now.Add(-calendarPast), now.Add(calendarFuture), now)
	}
	if err != nil {
		status, detail := failure(ctx, err)
		writeProblem(w, status, detail)
		return
	}
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
	w.Header().Set("Content-Disposition", `inline; filename="campaigns.ics"`)
	_, _ = w.Write([]byte(calendar.Feed(tenantOf(ctx).id, t.DisplayName, entries, now)))
}

// authorizeFeed is authorize for the feed: the token may stand in the address or in the password of HTTP Basic, if it can do nothing but read the
// calendar.
func authorizeFeed(w http.ResponseWriter, r *http.Request) bool {
	token := r.URL.Query().Get("token")
	if _, password, ok := r.BasicAuth(); ok && token == "" {
		token = password
	}
	if token == "" {
		return authorize(w, r, []string{scopeCalendarRead})
	}
	const challenge = `Basic realm="tertulia", charset="UTF-8"`
	if len(token) > maxToken {
		refuseToken(w, challenge, "The token is unknown, expired or revoked.")
		return false
	}
	found, err := findToken(r.Context(), strings.TrimSpace(token))
	switch {
	case errors.Is(err, store.ErrNotFound):
		refuseToken(w, challenge, "The token is unknown, expired or revoked.")
	case err != nil:
		status, detail := failure(r.Context(), err)
		writeProblem(w, status, detail)
	case !slices.Equal(found.Scopes, []string{scopeCalendarRead}):
		writeProblem(w, http.StatusForbidden, "In an address or a password stands a token of the scope calendar:read and no other: make one "+
			"(tertulia token create calendar --scope calendar:read), and revoke this one if others may have seen the address.")
	default:
		return true
	}
	return false
}
