package judge

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
)

// Server is a server that judges how posts speak. The zero value is none.
type Server struct {
	Protocol, URL, Model string // see package inference
	Token                string
	// Patience is how long the server may take for a batch. What it has not answered by then is judged by the engine that is built in.
	Patience time.Duration
}

// Watch is who is told of the server. What is nil is told nothing. Its functions may be called from several goroutines.
type Watch struct {
	Failed  func(error)                                   // why a request was not answered, without any post
	Asked   func(outcome inference.Outcome, fallback int) // what became of a request, and how many posts were judged by the engine that is built in
	Resting func(bool)                                    // whether the server is left alone, because it failed
}

// asked is the server that is asked, if there is one.
type asked struct {
	mu      sync.Mutex // of who names it
	server  Server
	current atomic.Pointer[inference.Engine]
}

// Ask has a server judge how posts speak from now on, or with the zero value the engine that is built in alone. It changes nothing where the
// server is the one that is asked already. What the server did not judge is judged by the engine that is built in. The error says what is wrong
// with the server's settings; then nobody is asked.
func (j *Judge) Ask(s Server, transport http.RoundTripper, w Watch) error {
	a := &j.asked
	a.mu.Lock()
	defer a.mu.Unlock()
	if s == a.server {
		return nil
	}
	a.server = s
	a.current.Store(nil)
	if w.Resting != nil {
		w.Resting(false) // the one before is not asked any more
	}
	if s.URL == "" {
		return nil
	}
	engine, err := inference.New(inference.Options{
		URL: s.URL, Protocol: inference.Protocol(s.Protocol), Model: s.Model, Token: s.Token, Patience: s.Patience,
		Fallback: j.native, Identify: j.lexicon.Identify, Transport: transport, Failed: w.Failed, Asked: w.Asked, Resting: w.Resting,
	})
	if err != nil {
		return fmt.Errorf("ask a server how posts speak: %w", err)
	}
	a.current.Store(engine)
	return nil
}

// verdicts tell how posts speak.
func (j *Judge) verdicts(ctx context.Context, posts []sentiment.Post) ([]sentiment.Verdict, error) {
	if server := j.asked.current.Load(); server != nil {
		return server.Judge(ctx, posts)
	}
	return j.engine.Judge(ctx, posts)
}
