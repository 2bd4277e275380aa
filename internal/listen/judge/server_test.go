package judge

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
)

// oracle is a server that calls every post negative, for whoever has the token.
type oracle struct {
	*httptest.Server
	asked atomic.Int64
	slow  atomic.Bool
	tell  chan struct{}
}

func newOracle(t *testing.T, token string) *oracle {
	t.Helper()
	o := &oracle{tell: make(chan struct{})}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		if o.slow.Load() {
			<-o.tell
			return
		}
		var body struct{ Inputs []json.RawMessage }
		text, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(text, &body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answers := make([][]map[string]any, len(body.Inputs))
		for i := range answers {
			answers[i] = []map[string]any{{"label": "negative", "score": 0.9}, {"label": "positive", "score": 0.1}}
		}
		_ = json.NewEncoder(w).Encode(answers)
	}))
	t.Cleanup(func() {
		close(o.tell)
		o.Close()
	})
	return o
}

// engineOf judges a happy post and says who did, and how.
func engineOf(t *testing.T, j *Judge) (engine, label string) {
	t.Helper()
	judged, err := j.Batch(t.Context(), listen.Batch{Network: "square", Posts: []listen.Post{post("1", "Me encanta, es una maravilla")}}, Wanted{Now: now})
	if err != nil || len(judged.Posts) != 1 {
		t.Fatalf("%+v, %v", judged, err)
	}
	return judged.Posts[0].Engine, string(judged.Posts[0].Sentiment.Label)
}

func TestAServerIsAsked(t *testing.T) {
	o, j := newOracle(t, "secret"), newJudge(t)
	var failures atomic.Int64
	ask := func(s Server) error {
		return j.Ask(s, http.DefaultTransport, Watch{Failed: func(error) { failures.Add(1) }})
	}
	builtIn, _ := engineOf(t, j)
	server := Server{Protocol: "Predict", URL: o.URL, Token: "secret", Patience: time.Minute}
	if err := ask(server); err != nil {
		t.Fatal(err)
	}
	if engine, label := engineOf(t, j); engine != inference.Name || label != "negative" {
		t.Errorf("judged by %q as %q", engine, label)
	}
	before := j.asked.current.Load()
	if err := ask(server); err != nil || j.asked.current.Load() != before {
		t.Errorf("the same server was taken for another one: %v", err)
	}

	// A token that does not hold: the built-in engine judges, and somebody is told.
	server.Token = "revoked"
	if err := ask(server); err != nil {
		t.Fatal(err)
	}
	if engine, label := engineOf(t, j); engine != builtIn || label != "positive" || failures.Load() == 0 {
		t.Errorf("judged by %q as %q, with %d failures told", engine, label, failures.Load())
	}

	// One that takes too long, which holds nothing up.
	server.Token, server.Patience = "secret", time.Second
	o.slow.Store(true)
	if err := ask(server); err != nil {
		t.Fatal(err)
	}
	if engine, _ := engineOf(t, j); engine != builtIn {
		t.Errorf("judged by %q", engine)
	}
	o.slow.Store(false)

	// Settings that cannot work, and none any more.
	asked := o.asked.Load()
	for _, s := range []Server{{Protocol: "Telepathy", URL: o.URL, Patience: time.Minute}, {}} {
		if err := ask(s); (err != nil) != (s.URL != "") {
			t.Errorf("%+v: %v", s, err)
		}
		if engine, _ := engineOf(t, j); engine != builtIn || o.asked.Load() != asked {
			t.Errorf("%+v: judged by %q", s, engine)
		}
	}
}
