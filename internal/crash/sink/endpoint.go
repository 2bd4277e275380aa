package sink

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// idHeader holds the stable id of a message that is posted.
const idHeader = "Webhook-Id"

// maxPost bounds what is read of a message that is posted.
const maxPost = 1 << 20

// postedMessage is what the sink reads of a message that is posted.
type postedMessage struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Contact struct {
		Email string `json:"email"`
	} `json:"contact"`
}

// clock is what a connection has owed of the sink's pace.
type clock struct {
	mu   sync.Mutex
	owed time.Duration
}

type clockKey struct{}

// serveEndpoint takes messages that are posted, as session takes mail: a message counts as here when it has been read whole, and the
// rules of the stage Dot decide about the answer.
func (s *server) serveEndpoint(listener net.Listener) *http.Server {
	web := &http.Server{
		Handler: http.HandlerFunc(s.post), ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, clockKey{}, &clock{})
		},
	}
	go func() { _ = web.Serve(listener) }()
	return web
}

func (s *server) post(w http.ResponseWriter, r *http.Request) {
	var m postedMessage
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPost))
	if err != nil {
		panic(http.ErrAbortHandler) // it did not come whole
	}
	if err := json.Unmarshal(body, &m); err != nil || m.ID == "" || m.ID != r.Header.Get(idHeader) || strings.ContainsAny(m.ID+m.Contact.Email, " \n") {
		http.Error(w, "the body is no message, or its id is not that of the header", http.StatusUnprocessableEntity)
		return
	}
	id := s.nextID()
	if s.note("%s %s %s %d %s", lineDot, id, m.Contact.Email, Number(m.Subject), m.ID) != nil {
		panic(http.ErrAbortHandler)
	}
	if c, ok := r.Context().Value(clockKey{}).(*clock); ok {
		c.takeTime(s.rules.Load().script.Pace, func() {})
	}
	s.reply(w, r, id, m.Contact.Email)
}

// reply answers a message, unless a rule has it say nothing.
func (s *server) reply(w http.ResponseWriter, r *http.Request, id, to string) {
	rule := s.rules.Load().at(Dot, to)
	if rule != nil && rule.Hang {
		if s.note("%s %s", lineHang, id) == nil {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	code := http.StatusOK
	if rule != nil {
		if rule.Reply == "" {
			panic(http.ErrAbortHandler)
		}
		code, _ = strconv.Atoi(rule.Reply)
	}
	if s.note("%s %s %d", lineAnswer, id, code) != nil {
		panic(http.ErrAbortHandler)
	}
	if rule != nil && rule.Close {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(code)
}

// takeTime takes its time for a message, after before where that is long enough for others to wait.
func (c *clock) takeTime(pace time.Duration, before func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed += pace; c.owed < leastSleep {
		return
	}
	before()
	began := time.Now()
	time.Sleep(c.owed)
	c.owed -= time.Since(began)
}
