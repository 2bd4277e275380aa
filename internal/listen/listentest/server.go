package listentest

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Manner is how a network treats who asks.
type Manner string

// The manners. The zero value answers well.
const (
	Well       Manner = ""
	Throttle   Manner = "throttle"    // 429 with Retry-After
	Fail       Manner = "fail"        // 503
	Hang       Manner = "hang"        // takes the request and says nothing
	HangWithin Manner = "hang within" // begins an answer and says no more
	Garble     Manner = "garble"      // answers with Body
	Flood      Manner = "flood"       // answers with Body and a gigabyte behind it
	Inflate    Manner = "inflate"     // the same in few bytes, compressed, for who takes that
	Drop       Manner = "drop"        // ends the connection without an answer
	DropWithin Manner = "drop within" // ends it within the answer
)

// Behaviour is how a network behaves.
type Behaviour struct {
	Manner     Manner
	RetryAfter time.Duration // of Throttle
	Body       []byte        // of Garble and Flood
}

// flood is how long a flood is, in bytes.
const flood = 1 << 30

// Request is what a server was asked.
type Request struct {
	Method, Path string // Path with the query
	Header       http.Header
}

// Server stands before a fake network that is asked over HTTP: it remembers what it is asked, and misbehaves where it is told to.
type Server struct {
	handler http.Handler
	http    *httptest.Server
	flooded atomic.Int64

	mu        sync.Mutex
	behaviour Behaviour
	released  chan struct{} // closed when the behaviour changes
	arrived   chan struct{} // closed when a request comes
	requests  []Request
	conns     map[net.Conn]struct{}
}

// NewServer starts a server on a free port of 127.0.0.1 that stops when the test ends; over TLS where it is told so.
func NewServer(t testing.TB, handler http.Handler, overTLS bool) *Server {
	t.Helper()
	s := &Server{handler: handler, released: make(chan struct{}), arrived: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Listener = &listener{Listener: s.http.Listener, s: s}
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	if overTLS {
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	t.Cleanup(func() {
		s.Behave(Behaviour{})
		s.Cut()
		s.http.Close()
	})
	return s
}

// URL is where it listens, without a slash at the end.
func (s *Server) URL() string { return s.http.URL }

// Host is its address and port.
func (s *Server) Host() string { return s.http.Listener.Addr().String() }

// TLSConfig is a client's configuration that trusts the server.
func (s *Server) TLSConfig() *tls.Config {
	pool := x509.NewCertPool()
	if certificate := s.http.Certificate(); certificate != nil {
		pool.AddCert(certificate)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Behave makes the server behave so from now on. Who hangs is released.
func (s *Server) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = b
	close(s.released)
	s.released = make(chan struct{})
}

// Requests are what it was asked, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Cut ends every connection, those that were upgraded too.
func (s *Server) Cut() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// Connections tells how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// awaitRequest waits until there were more than this many requests.
func (s *Server) awaitRequest(ctx context.Context, more int) error {
	for {
		s.mu.Lock()
		got, arrived := len(s.requests), s.arrived
		s.mu.Unlock()
		if got > more {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	b, released := s.behaviour, s.released
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone()})
	close(s.arrived)
	s.arrived = make(chan struct{})
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch b.Manner {
	case Throttle:
		w.Header().Set("Retry-After", strconv.Itoa(int(b.RetryAfter/time.Second)))
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"error":"asked too often"}`)
	case Fail:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Hang, HangWithin:
		if b.Manner == HangWithin {
			_, _ = io.WriteString(w, `[{"id":`)
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-released:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case Garble:
		_, _ = w.Write(b.Body)
	case Flood, Inflate:
		s.flood(w, r, b)
	case Drop:
		panic(http.ErrAbortHandler)
	case DropWithin:
		recorded := httptest.NewRecorder()
		s.handler.ServeHTTP(recorded, r)
		body := recorded.Body.Bytes()
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		w.Header().Del("Content-Type")
		s.handler.ServeHTTP(w, r)
	}
}

func (s *Server) flood(w http.ResponseWriter, r *http.Request, b Behaviour) {
	out := io.Writer(w)
	if b.Manner == Inflate && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(w)
		defer compressed.Close() //nolint:errcheck // the reader may be gone
		out = compressed
	}
	_, _ = out.Write(b.Body)
	block := []byte(strings.Repeat("velo ", 64<<10/5))
	for sent := 0; sent < flood; sent += len(block) {
		n, err := out.Write(block)
		s.flooded.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// listener keeps the connections that it has accepted.
type listener struct {
	net.Listener
	s *Server
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	kept := &conn{Conn: c, s: l.s}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.conns[kept] = struct{}{}
	return kept, nil
}

type conn struct {
	net.Conn
	s *Server
}

// Close closes it and forgets it.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.conns, c)
	return err
}
