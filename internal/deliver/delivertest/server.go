// Package delivertest holds what transports are tested with: a real SMTP server that misbehaves as a test tells it, and
// the suite that every deliver.Transport passes.
//
// A test that needs somewhere to send mail to writes
//
//	server := delivertest.NewServer(t, delivertest.Behaviour{})
//	… send to server.Host(), server.Port() …
//	server.Messages() // what arrived: sender, recipient, Message-ID, bytes
//
// and one that needs trouble says which and when, by a function of the stage, the connection and the recipient:
//
//	server.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
//		if e.Stage == delivertest.Rcpt && e.To == "full@example.com" {
//			return delivertest.Action{Reply: "452 4.2.2 mailbox full"}
//		}
//		return delivertest.Action{}
//	}})
package delivertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

// Stage is a moment of an SMTP session at which the server can do something else than agree.
type Stage string

// The stages, in the order of a session. Body comes once for every message, as its first line is read.
const (
	Greeting Stage = "greeting"
	Ehlo     Stage = "EHLO"
	StartTLS Stage = "STARTTLS"
	Auth     Stage = "AUTH"
	Mail     Stage = "MAIL"
	Rcpt     Stage = "RCPT"
	Data     Stage = "DATA"
	Body     Stage = "body"
	Dot      Stage = "dot"
	Rset     Stage = "RSET"
	Quit     Stage = "QUIT"
)

// Event tells an Answer function where a session stands.
type Event struct {
	Stage      Stage
	Connection int    // 1 for the first connection that the server took
	Message    int    // 1 for the first MAIL of the connection; 0 before
	From, To   string // of the transaction, as far as it is known
}

// Action is what the server does at a stage. The zero Action agrees.
type Action struct {
	// Reply replaces the server's answer, without its line end; lines of a longer one are separated by "\r\n".
	// The bytes are sent as they are, however wrong.
	Reply string
	// Close ends the connection: after Reply, or without any answer where Reply is empty.
	Close bool
	// Hang answers nothing and reads nothing more until the server stops or Release is called.
	Hang bool
	// Wait delays the answer until the channel is closed or gives a value.
	Wait <-chan struct{}
}

// Behaviour is what a server offers and how it answers. The zero value is a plain server that offers PIPELINING,
// 8BITMIME, SMTPUTF8 and SIZE, and accepts everything.
type Behaviour struct {
	NoPipelining bool              // not offered; a client that pipelines all the same fails the test
	No8BitMIME   bool              // not offered
	NoSMTPUTF8   bool              // not offered
	Size         int64             // the limit that SIZE declares; 0: 64 MiB
	StartTLS     bool              // offered, with the certificate that TLSConfig trusts
	ImplicitTLS  bool              // TLS from the first byte
	Auth         map[string]string // user names and passwords; nil: AUTH is neither offered nor asked for
	Mechanisms   []string          // of AUTH; nil: PLAIN and LOGIN
	Drip         bool              // writes every byte of its answers apart, as a network may
	Injected     string            // sent in clear in the same packet as the answer to STARTTLS
	// Answer decides at every stage. It is called from several goroutines at once. nil agrees always.
	Answer func(Event) Action
}

// Received is a message whose final dot arrived.
type Received struct {
	From, To   string
	MessageID  string // of its header, with the angle brackets
	Data       []byte // as handed over: dot-stuffing undone, without the final dot
	Answer     string // what the server said to the dot; empty where it said nothing
	Connection int
	Params     string // what followed the address in MAIL
}

// Server is an SMTP server on a port of 127.0.0.1 that nobody else is given, also while it is stopped.
type Server struct {
	t       testing.TB
	address string
	tls     *tls.Config

	mu          sync.Mutex
	behaviour   Behaviour
	listener    net.Listener
	conns       map[net.Conn]struct{}
	connections int
	received    []Received
	released    chan struct{}
	sessions    sync.WaitGroup
}

// NewServer starts a server that stops when the test ends.
func NewServer(t testing.TB, b Behaviour) *Server {
	t.Helper()
	s := &Server{t: t, behaviour: b, conns: map[net.Conn]struct{}{}, released: make(chan struct{})}
	s.tls = &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12}
	s.address = portstest.Address(t)
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start listens again after a Stop, on the same port.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		s.t.Fatalf("listen on %s: %v", s.address, err)
	}
	s.listener = listener
	s.released = make(chan struct{})
	s.sessions.Go(func() { s.accept(listener) })
}

// Stop closes the listener and every connection, as a killed server would, and waits until its sessions have ended.
func (s *Server) Stop() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
		close(s.released)
	}
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.sessions.Wait()
}

// Drop closes the connections that are open now and goes on listening.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// Release lets the sessions that hang go on: each closes its connection.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		close(s.released)
		s.released = make(chan struct{})
	}
}

// Behave changes what the server does from the next stage of every session on.
func (s *Server) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = b
}

// Host is where the server listens.
func (s *Server) Host() string { return "127.0.0.1" }

// Port is where the server listens; it stays the same after Stop and Start.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, port, _ := net.SplitHostPort(s.address)
	n, _ := strconv.Atoi(port)
	return n
}

// Connections counts the connections that the server has taken since it was made.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Messages lists the messages whose final dot arrived and was answered with 2xx or with nothing, in the order of arrival.
func (s *Server) Messages() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.received), func(r Received) bool {
		return r.Answer != "" && r.Answer[0] != '2'
	})
}

// Recipients lists the recipients of Messages.
func (s *Server) Recipients() []string {
	var to []string
	for _, m := range s.Messages() {
		to = append(to, m.To)
	}
	return to
}

// TLSConfig is a client's configuration that trusts the server's certificate.
func (s *Server) TLSConfig() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(testAuthority())
	return &tls.Config{RootCAs: pool, ServerName: s.Host(), MinVersion: tls.VersionTLS12}
}

func (s *Server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.listener != listener {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.conns[conn] = struct{}{}
		s.connections++
		session := &session{server: s, conn: conn, raw: conn, number: s.connections, released: s.released}
		s.mu.Unlock()
		s.sessions.Go(func() {
			session.run()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
			_ = conn.Close()
		})
	}
}

func (s *Server) current() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour
}

func (s *Server) record(r Received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, r)
}
