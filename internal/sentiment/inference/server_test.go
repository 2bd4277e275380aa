package inference_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
)

// server is a real server on loopback that answers as its handler does, and counts.
type server struct {
	*httptest.Server
	asked atomic.Int32

	mu     sync.Mutex
	answer http.HandlerFunc
}

func newServer(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		// A server notices that its client has left once the request is read.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the question: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) become(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// says answers the same to everything.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// judges is a server of /predict that finds texts with "good" positive and all others negative.
func judges(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var question struct {
			Inputs   [][]string `json:"inputs"`
			Truncate bool       `json:"truncate"`
		}
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			t.Errorf("the question is no JSON: %v", err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/predict" || r.Header.Get("Content-Type") != "application/json" || !question.Truncate {
			t.Errorf("%s %s %v truncate=%v", r.Method, r.URL.Path, r.Header, question.Truncate)
		}
		var answer [][]map[string]any
		for _, input := range question.Inputs {
			best, worst := "positive", "negative"
			if !strings.Contains(input[0], "good") {
				best, worst = worst, best
			}
			answer = append(answer, []map[string]any{
				{"label": best, "score": 0.9}, {"label": "neutral", "score": 0.08}, {"label": worst, "score": 0.02},
			})
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// newEngine is an engine at a server, with the lexicon behind it.
func newEngine(t *testing.T, s *server, change func(*inference.Options)) *inference.Engine {
	t.Helper()
	lexicon, err := sentiment.NewLexicon()
	if err != nil {
		t.Fatal(err)
	}
	o := inference.Options{URL: s.URL, Protocol: inference.Predict, Fallback: lexicon, Identify: lexicon.Identify, Timeout: time.Minute}
	if change != nil {
		change(&o)
	}
	e, err := inference.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func english(texts ...string) []sentiment.Post {
	posts := make([]sentiment.Post, len(texts))
	for i, text := range texts {
		posts[i] = sentiment.Post{Text: text, Language: "en"}
	}
	return posts
}
