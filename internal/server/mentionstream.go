package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// The bounds of streams.
const (
	streamPattern = "GET /v1/mentions/stream"
	// maxStreams is how many streams of a tenant there are at a time.
	maxStreams = 32
	// streamLook is how often it is looked whether something came in, once for all streams of a tenant.
	streamLook = time.Second
	// streamBeat is how often a stream on which nothing happens says that it is there; whoever is between may end what is silent.
	streamBeat = 15 * time.Second
	// streamLasts is after which time a stream ends; the client comes back with the id of the last event.
	streamLasts = time.Hour
	// streamStall is how long a client may take to take something.
	streamStall = 30 * time.Second
	// streamPage is how many mentions are read at once.
	streamPage = 100
	// streamRetry is after which time a client should come back, in milliseconds.
	streamRetry = 2000
)

// mentionWatch notices for all streams of a tenant that mentions came in. It looks while there are streams.
type mentionWatch struct {
	db *store.DB

	mu      sync.Mutex
	streams int
	stop    context.CancelFunc
	latest  int64
	changed chan struct{} // closed when latest grows
}

// join takes a place for a stream.
func (w *mentionWatch) join(ctx context.Context) (leave func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streams == maxStreams {
		return nil, false
	}
	if w.streams++; w.streams == 1 {
		w.changed = make(chan struct{})
		var looking context.Context
		looking, w.stop = context.WithCancel(ctx)
		go w.look(looking)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.streams--; w.streams == 0 {
			w.stop()
		}
	}, true
}

// look asks how far mentions have come until ctx ends. A database that is away is asked again: whoever waits goes on waiting.
func (w *mentionWatch) look(ctx context.Context) {
	ticker := time.NewTicker(streamLook)
	defer ticker.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, queryTimeout)
		latest, err := w.db.MentionsNow(asking)
		cancel()
		if err == nil {
			w.tell(latest)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *mentionWatch) tell(latest int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if latest > w.latest {
		w.latest = latest
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// after is closed when there is something after a place.
func (w *mentionWatch) after(place int64) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.latest > place {
		now := make(chan struct{})
		close(now)
		return now
	}
	return w.changed
}

// mentionStream is a client that is told of mentions as they come in.
type mentionStream struct {
	tenant     *tenant
	writer     http.ResponseWriter
	controller *http.ResponseController
	filter     store.MentionQuery
	token      string
	check      time.Duration
	place      int64 // of the last mention that was looked at
}

// streamMentions answers GET /v1/mentions/stream.
func (s *Server) streamMentions(w http.ResponseWriter, r *http.Request) {
	if !authorize(w, r, []string{scopeMentionsRead}) {
		return
	}
	filter, wrong := streamFilter(r.URL.Query(), s.filters)
	if wrong != "" {
		writeProblem(w, http.StatusUnprocessableEntity, wrong)
		return
	}
	t := tenantOf(r.Context())
	stream := &mentionStream{tenant: t, writer: w, controller: http.NewResponseController(w), filter: filter, check: s.streamCheck}
	stream.token, _ = bearerToken(r)
	if status, detail := stream.begin(r.Context(), r.Header.Get("Last-Event-ID")); status != 0 {
		writeProblem(w, status, detail)
		return
	}
	leave, ok := t.watch.join(t.ctx)
	if !ok {
		w.Header().Set("Retry-After", "60")
		writeProblem(w, http.StatusTooManyRequests, fmt.Sprintf("%d streams of this tenant are open already: try again when one has ended.", maxStreams))
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), streamLasts)
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	defer context.AfterFunc(t.ctx, cancel)()
	if stream.controller.SetReadDeadline(time.Time{}) != nil { // the server's is for requests that end
		writeProblem(w, http.StatusInternalServerError, "This connection cannot stream.")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // some proxies would collect it otherwise
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead { // of which nothing but that is to be sent
		return
	}
	stream.run(ctx)
}

// begin finds out where the stream begins: behind the last event that the client has, or now.
func (m *mentionStream) begin(ctx context.Context, last string) (status int, detail string) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	now, err := m.tenant.db.MentionsNow(ctx)
	if err == nil { // what a filter names has to be there
		_, _, err = m.tenant.db.MentionsSince(ctx, now, m.filter, 1)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, detailMissing(err)
	case errors.Is(err, store.ErrTooLong):
		return http.StatusGatewayTimeout, detailTooLong
	case err != nil:
		return failure(ctx, err)
	}
	m.place = now
	if last == "" {
		return 0, ""
	}
	place, err := strconv.ParseInt(last, 10, 64)
	if err != nil || place < 0 {
		return http.StatusUnprocessableEntity, "Last-Event-ID: is no id of an event of this stream."
	}
	m.place = min(place, now) // a database that was restored may be behind
	return 0, ""
}

// run tells what comes in until ctx ends, the token does not hold any more, or the client is gone.
func (m *mentionStream) run(ctx context.Context) {
	beat, check := time.NewTicker(streamBeat), time.NewTicker(m.check)
	defer beat.Stop()
	defer check.Stop()
	if m.write("retry: "+strconv.Itoa(streamRetry)+"\n") != nil || m.here() != nil {
		return
	}
	changed := m.tenant.watch.after(m.place)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			before := m.place
			if m.tellNew(ctx) != nil || m.place == before && m.rest(ctx) != nil {
				return
			}
			changed = m.tenant.watch.after(m.place)
		case <-beat.C:
			if m.here() != nil {
				return
			}
		case <-check.C:
			if !m.stillHolds(ctx) {
				return
			}
		}
	}
}

// stillHolds tells whether the stream's token can still be used. A database that is away says nothing against it.
func (m *mentionStream) stillHolds(ctx context.Context) bool {
	found, err := findToken(ctx, m.token)
	if err != nil {
		return !errors.Is(err, store.ErrNotFound)
	}
	return slices.Contains(found.Scopes, scopeMentionsRead) || slices.Contains(found.Scopes, scopeAdmin)
}

// tellNew tells of the mentions behind the place. An error ends the stream.
func (m *mentionStream) tellNew(ctx context.Context) error {
	for {
		asking, cancel := context.WithTimeout(ctx, queryTimeout)
		list, next, err := m.tenant.db.MentionsSince(asking, m.place, m.filter, streamPage)
		cancel()
		if err != nil {
			if status, _ := failure(ctx, err); status == http.StatusServiceUnavailable && ctx.Err() == nil {
				return m.rest(ctx)
			}
			return err
		}
		for _, mention := range list {
			if err := m.mention(mention); err != nil {
				return err
			}
		}
		if next <= m.place {
			return nil
		}
		m.place = next
	}
}

// rest waits for a moment before a database is asked again that is away, or does not let go yet of what it has, as one does that was restored.
func (m *mentionStream) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(streamLook):
		return nil
	}
}

func (m *mentionStream) mention(mention store.Mention) error {
	text, err := json.Marshal(describeMention(mention)) // has no line ends
	if err != nil {
		return err
	}
	return m.write(fmt.Sprintf("event: mention\nid: %d\ndata: %s\n\n", mention.ID, text))
}

// here says that the stream goes on, and how far it has come.
func (m *mentionStream) here() error {
	return m.write(fmt.Sprintf("event: here\nid: %d\ndata: {}\n\n", m.place))
}

// write sends something at once. Who does not take it in time is let go of.
func (m *mentionStream) write(text string) error {
	if err := m.controller.SetWriteDeadline(time.Now().Add(streamStall)); err != nil {
		return err
	}
	if _, err := m.writer.Write([]byte(text)); err != nil {
		return err
	}
	return m.controller.Flush()
}

// describeStream adds the stream to the description, for the API's library answers requests that end, and returns its filters: those of the list.
func describeStream(api *huma.OpenAPI) (filters []*huma.Param) {
	for _, p := range api.Paths["/v1/mentions"].Get.Parameters {
		if !slices.Contains([]string{"from", "to", "limit", "after"}, p.Name) {
			filters = append(filters, p)
		}
	}
	mention := api.Components.Schemas.Schema(reflect.TypeFor[mentionBody](), true, "")
	problem := api.Components.Schemas.Schema(reflect.TypeFor[huma.ErrorModel](), true, "")
	last := &huma.Param{
		Name: "Last-Event-ID", In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "The id of the last event that was received. Default: what comes in from now on.",
	}
	responses := map[string]*huma.Response{"200": {
		Description: "Events: mention, whose data is a mention; and here, on which nothing has to be done.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: mention}},
	}}
	for status, description := range map[int]string{
		http.StatusUnauthorized:        "The token is missing, unknown, expired or revoked.",
		http.StatusForbidden:           "The token lacks the scope.",
		http.StatusNotFound:            "What a filter names is not there.",
		http.StatusUnprocessableEntity: "A filter or Last-Event-ID cannot be used.",
		http.StatusTooManyRequests:     "Too many streams of the tenant are open: try again when one has ended.",
		http.StatusServiceUnavailable:  "The tenant's database cannot be reached: try again later.",
	} {
		responses[strconv.Itoa(status)] = &huma.Response{
			Description: description, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}
	}
	api.AddOperation(&huma.Operation{
		OperationID: "stream-mentions", Method: http.MethodGet, Path: "/v1/mentions/stream", Tags: []string{"Listening"},
		Summary: "Be told of mentions as they come in",
		Description: "Server-sent events. A mention is told once, in the order in which mentions were stored; edits are not told. A stream ends after an " +
			"hour: come back with the id of the last event, and nothing is skipped.",
		Security: requires(scopeMentionsRead), Parameters: append(slices.Clone(filters), last), Responses: responses,
	})
	return filters
}
