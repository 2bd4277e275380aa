package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/judge"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// sourceRoutes are where networks write to a source: POST brings posts, GET asks whether that is wanted.
var sourceRoutes = []string{"GET /sources/{source}", "POST /sources/{source}"}

const (
	// sourceTimeout bounds a request of a network, which waits for some seconds.
	sourceTimeout = 20 * time.Second
	// judgedWithin is how long a server may take to judge what a network writes, which waits.
	judgedWithin = 8 * time.Second
	// sourcesKept is how long sources and topics are kept, so that a stranger who posts costs no query.
	sourcesKept = 5 * time.Second
	// maxReceived is how many requests to sources are worked on at a time for a tenant: each may hold a mebibyte, and posts made of it.
	maxReceived = 8
	// maxArriving is how many bytes of requests may be held for a tenant, whoever sends them. It is bytes that count and not requests: a
	// stranger who opens many and sends nothing keeps nobody out.
	maxArriving = 64 << 20
)

// sources is what a tenant keeps for what networks write.
type sources struct {
	outside networks.Outside
	watch   judge.Watch
	busy    chan struct{}

	mu    sync.Mutex
	judge *judge.Judge
	known map[string]store.Source // in force, by name
	read  time.Time

	arriving atomic.Int64 // bytes of requests that are held
}

func newSources(outside networks.Outside, watch judge.Watch) *sources {
	return &sources{outside: outside, watch: watch, busy: make(chan struct{}, maxReceived)}
}

// sentimentWatch measures the server that judges a tenant's posts.
func sentimentWatch(m *metrics.Sentiment, tenant string) judge.Watch {
	return judge.Watch{
		Asked:   func(outcome inference.Outcome, fallback int) { m.Asked(tenant, string(outcome), fallback) },
		Resting: func(resting bool) { m.Resting(tenant, resting) },
	}
}

// find reads what is declared of a source, and the topics that count; false where there is no such source, or it is suspended.
func (s *sources) find(ctx context.Context, db *store.DB, token, name string) (store.Source, *judge.Judge, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil { // others waited for the database before
		return store.Source{}, nil, false, err
	}
	if s.known == nil || time.Since(s.read) > sourcesKept {
		if err := s.load(ctx, db, token); err != nil {
			return store.Source{}, nil, false, err
		}
	}
	source, ok := s.known[name]
	return source, s.judge, ok && !source.Suspended, nil
}

func (s *sources) load(ctx context.Context, db *store.DB, token string) (err error) {
	if s.judge == nil {
		if s.judge, err = judge.New(judge.Options{}); err != nil {
			return err
		}
	}
	list, err := db.Sources(ctx)
	if err != nil {
		return err
	}
	if err := follow(ctx, s.judge, db); err != nil {
		return err
	}
	if err := s.equip(ctx, db, token); err != nil {
		return err
	}
	s.known, s.read = map[string]store.Source{}, time.Now()
	for _, source := range list {
		s.known[source.Name] = source.Source
	}
	return nil
}

// follow has posts compared with the topics that are in force now.
func follow(ctx context.Context, j *judge.Judge, db *store.DB) error {
	return j.Follow(ctx, db, func(err error) {
		logr.FromContextOrDiscard(ctx).Info("Some topics cannot be looked for", "error", err.Error())
	})
}

// equip has posts judged by what was learned from the tenant's corrections, and by the server that it names, if it names one.
func (s *sources) equip(ctx context.Context, db *store.DB, token string) error {
	if err := s.judge.Adopt(ctx, db, func(err error) {
		logr.FromContextOrDiscard(ctx).Info("What was learned from corrections cannot be read", "error", err.Error())
	}); err != nil {
		return err
	}
	named, err := db.LoadSentimentServer(ctx)
	if err != nil {
		return err
	}
	var server judge.Server
	if named != nil {
		server = judge.Server{Protocol: named.Protocol, URL: named.URL, Model: named.Model, Token: token, Patience: judgedWithin}
	}
	if err := s.judge.Ask(server, s.outside.Client.Transport, s.watch); err != nil {
		logr.FromContextOrDiscard(ctx).Info("The server that judges posts is not asked", "error", err.Error())
	}
	return nil
}

// hear answers what a network writes: what its connector says when it is on disk, 401 where the network did not sign it, 400 where it cannot
// be read, and 503 where it cannot be told or written now, so that the network tries again.
func (s *Server) hear(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), sourceTimeout)
	defer cancel()
	t := tenantOf(ctx)
	source, j, ok, err := t.sources.find(ctx, t.db, s.tenants.sentimentToken(t), r.PathValue("source"))
	if err != nil {
		answerFailure(ctx, w, err)
		return
	}
	receiver, err := s.receiver(ctx, t, source, ok)
	if err != nil {
		answerSource(ctx, w, err)
		return
	}
	defer func() { _ = receiver.Close() }()
	arriving := &arriving{body: http.MaxBytesReader(w, r.Body, listen.MaxHook), held: &t.sources.arriving}
	defer arriving.release()
	body, err := io.ReadAll(arriving)
	if err != nil {
		answerBroken(w, err)
		return
	}
	// Only with what is there: who sends slowly takes nobody's turn.
	select {
	case t.sources.busy <- struct{}{}:
		defer func() { <-t.sources.busy }()
	default:
		answerBroken(w, errCrowded)
		return
	}
	request := listen.Request{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body, At: time.Now()}
	batch, response, err := receive(ctx, receiver, request)
	switch {
	case err == nil:
		err = s.takeHeard(ctx, t, source, j, batch)
	case response.Status != 0: // the connector knows how to tell whoever it is
		answerNetwork(w, response)
		return
	}
	if err != nil {
		answerSource(ctx, w, err)
		return
	}
	answerNetwork(w, response)
}

// errCrowded is that too much is written to a tenant's sources.
var errCrowded = errors.New("too much is being written to the tenant's sources")

// arriving is the body of a request, of which every byte counts until it is released.
type arriving struct {
	body  io.Reader
	held  *atomic.Int64
	taken int64
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.taken += int64(n)
	if a.held.Add(int64(n)) > maxArriving {
		return n, errCrowded
	}
	return n, err
}

func (a *arriving) release() { a.held.Add(-a.taken) }

// answerBroken tells why a request was not read.
func answerBroken(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, errCrowded):
		writeProblem(w, http.StatusServiceUnavailable, "Too much is being written to the tenant's sources at the moment.")
	case errors.As(err, &large):
		writeProblem(w, http.StatusRequestEntityTooLarge, "A source takes no more than 1 MiB at a time.")
	default:
		writeProblem(w, http.StatusBadRequest, "The request broke off.")
	}
}

// errNoSource is that nothing is received at an address.
var errNoSource = errors.New("there is no source at this address that is written to")

// sourceReceiver is a connector whose network writes to us.
type sourceReceiver interface {
	listen.Connector
	listen.WebhookReceiver
}

// receiver makes the connector of a source with the credentials of this moment.
func (s *Server) receiver(ctx context.Context, t *tenant, source store.Source, known bool) (sourceReceiver, error) {
	if !known {
		return nil, errNoSource
	}
	key, err := t.linkKey(ctx)
	if err != nil {
		return nil, err
	}
	o := t.sources.outside.Options()
	o.Source, o.Settings, o.Languages, o.Key = source.Name, source.Settings, source.Languages, networks.Key(key, source.Name)
	o.Credentials, o.Callback = s.tenants.sourceSecrets(t, source.Name)
	connector, err := networks.Open(source.Type, o)
	if err != nil {
		return nil, err
	}
	receiver, ok := connector.(sourceReceiver)
	if !ok {
		return nil, errors.Join(errNoSource, connector.Close())
	}
	return receiver, nil
}

// receive reads a request. What a stranger wrote must not end more than its own request, and is not told.
func receive(ctx context.Context, r listen.WebhookReceiver, request listen.Request) (b listen.Batch, response listen.Response, err error) {
	defer func() {
		if failure := recover(); failure != nil {
			// What failed is named by type only: its text may repeat what the request held.
			logr.FromContextOrDiscard(ctx).Error(errors.New("panic while a request to a source was read"), "Recovered",
				"type", fmt.Sprintf("%T", failure), "stack", string(debug.Stack()))
			err = listen.Troublef(listen.Malformed, "it cannot be read")
		}
	}()
	return r.Receive(ctx, request)
}

// takeHeard stores what a network wrote.
func (s *Server) takeHeard(ctx context.Context, t *tenant, source store.Source, j *judge.Judge, b listen.Batch) error {
	b.Next = nil // a network that writes brings things in any order
	judged, err := j.Batch(ctx, b, judge.Wanted{Languages: source.Languages, Now: time.Now()})
	if err != nil {
		return err
	}
	learn := func(ctx context.Context) error { return follow(ctx, j, t.db) }
	taken, err := j.Keep(ctx, &judged, learn, func(ctx context.Context, b listen.Batch, posts []store.Judged) (store.TakenMentions, error) {
		return t.db.TakeHooked(ctx, source.Name, b, posts)
	})
	if err != nil {
		return err
	}
	for outcome, n := range judged.Outcomes(taken) {
		s.metrics.mentions.WithLabelValues(t.id, source.Name, outcome).Add(float64(n))
	}
	return nil
}

// answerSource tells a network why nothing was taken.
func answerSource(ctx context.Context, w http.ResponseWriter, err error) {
	var trouble *listen.Trouble
	switch {
	case errors.Is(err, errNoSource), errors.Is(err, store.ErrNotFound):
		writeProblem(w, http.StatusNotFound, "There is no source at this address that is written to.")
	case errors.Is(err, listen.ErrSignature):
		writeProblem(w, http.StatusUnauthorized, sentence(listen.ErrSignature))
	case errors.As(err, &trouble) && trouble.Reason == listen.Malformed:
		writeProblem(w, http.StatusBadRequest, "The request cannot be read.")
	case errors.As(err, &trouble):
		// The source's status tells what is wrong with it, to those whom that concerns.
		writeProblem(w, http.StatusServiceUnavailable, "The source cannot take anything at the moment.")
	default:
		answerFailure(ctx, w, err)
	}
}

// answerNetwork answers what a connector wants to be answered. A browser takes it for text, whatever it is.
func answerNetwork(w http.ResponseWriter, r listen.Response) {
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	if len(r.Body) > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if r.ContentType == "application/json" {
			w.Header().Set("Content-Type", r.ContentType)
		}
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body)
}

// sentimentToken is for the server that judges how posts speak, as it is now.
func (ts *tenants) sentimentToken(t *tenant) string {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return t.credentials.SentimentToken
}

// sourceSecrets are the credentials of a source and its public address as they are now.
func (ts *tenants) sourceSecrets(t *tenant, source string) (c credentials.Source, callback string) {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return t.credentials.Sources[source], networks.Callback(t.credentials.PublicURL, source)
}
