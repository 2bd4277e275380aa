// Package posttest is the suite that every publisher of package post passes, and a server before a network's fake that breaks in the ways in
// which servers and the way to them break.
package posttest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what goes wrong with a request.
type Fault string

// The faults. Those that are called after happen when the network has taken the request.
const (
	CutBefore   Fault = "cut before"
	CutAfter    Fault = "cut after"
	CutAnswer   Fault = "cut within the answer"
	FailBefore  Fault = "500 before"
	FailAfter   Fault = "502 after"
	Unavailable Fault = "503 after"
	Throttle    Fault = "429"
	ThrottleFor Fault = "429 for a year"
	HangBefore  Fault = "hang before"
	HangAfter   Fault = "hang after"
	Garble      Fault = "other JSON after"
	Page        Fault = "a page of HTML after"
	Flood       Fault = "a flood after"
	Redirect    Fault = "a redirect"
)

// Server stands before a fake network over TLS.
type Server struct {
	http      *httptest.Server
	network   http.Handler
	publishes func(*http.Request) bool
	released  chan struct{}
	drained   atomic.Bool // somebody has read a whole flood

	mu        sync.Mutex
	fault     Fault
	any       bool // of every request, not only those that publish
	left      int
	asked     int    // requests to publish
	all       int    // requests
	elsewhere string // where a redirect leads
}

// NewServer starts a server that ends with the test. publishes tells which requests publish.
func NewServer(t testing.TB, network http.Handler, publishes func(*http.Request) bool) *Server {
	t.Helper()
	s := &Server{network: network, publishes: publishes, released: make(chan struct{})}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.StartTLS()
	t.Cleanup(func() {
		close(s.released)
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// URL is where it listens.
func (s *Server) URL() string { return s.http.URL }

// TLS trusts its certificate.
func (s *Server) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.http.Certificate())
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Break breaks so many of the next requests that publish.
func (s *Server) Break(f Fault, times int) { s.set(f, times, false) }

// BreakAll breaks every request from now on.
func (s *Server) BreakAll(f Fault) { s.set(f, 1<<30, true) }

func (s *Server) set(f Fault, times int, any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.left, s.any = f, times, any
}

// Asked is how many requests to publish there were, and how many of any kind.
func (s *Server) Asked() (toPublish, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.all
}

func (s *Server) next(r *http.Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	publishes := s.publishes(r)
	s.all++
	if publishes {
		s.asked++
	}
	if s.left == 0 || !publishes && !s.any {
		return ""
	}
	s.left--
	return s.fault
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.next(r)
	switch fault {
	case CutBefore:
		panic(http.ErrAbortHandler)
	case HangBefore:
		s.hang(r)
	case FailBefore:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case Throttle, ThrottleFor:
		w.Header().Set("Retry-After", map[Fault]string{Throttle: "7", ThrottleFor: "31536000"}[fault])
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case Redirect:
		s.mu.Lock()
		w.Header().Set("Location", s.elsewhere+r.URL.RequestURI())
		s.mu.Unlock()
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	s.network.ServeHTTP(answer, r)
	s.after(w, r, fault, answer)
}

func (s *Server) hang(r *http.Request) {
	select {
	case <-s.released:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// after answers what the network has answered, or breaks.
func (s *Server) after(w http.ResponseWriter, r *http.Request, fault Fault, answer *httptest.ResponseRecorder) {
	switch fault {
	case CutAfter:
		panic(http.ErrAbortHandler)
	case HangAfter:
		s.hang(r)
	case FailAfter:
		w.WriteHeader(http.StatusBadGateway)
	case Unavailable:
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(http.StatusServiceUnavailable)
	case Garble:
		_, _ = io.WriteString(w, `{"id":{"uri":[]},"uri":7,"configuration":[],"accessJwt":true,"did":{}}`)
	case Page:
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Welcome</title>")
	case Flood:
		block := strings.Repeat(" ", 64<<10)
		for range 1 << 10 {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
		s.drained.Store(true)
	default:
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		if fault == CutAnswer {
			w.Header().Set("Content-Length", "100000")
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
		if fault == CutAnswer {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

// Clock is a clock that a test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a moment that does not matter.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}
