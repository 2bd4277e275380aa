package delivertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

// HTTPRemote is the far end of a webhook transport: an endpoint that knows a message's recipient by the message's id, checks
// every signature, and treats recipients as the suite says.
type HTTPRemote struct {
	// Behave answers a request in the endpoint's place, where a test wants it; false leaves the request to the endpoint.
	Behave func(w http.ResponseWriter, r *http.Request) bool

	t       testing.TB
	keys    signature.Keys
	tls     *tls.Config
	address string

	mu         sync.Mutex
	listener   net.Listener
	server     *http.Server
	treatments map[string]Treatment
	distrusts  bool
	arrived    []Received
}

// NewHTTPRemote starts an endpoint that has these keys; over TLS where it is told so.
func NewHTTPRemote(t testing.TB, keys signature.Keys, overTLS bool) *HTTPRemote {
	t.Helper()
	r := &HTTPRemote{t: t, keys: keys, treatments: map[string]Treatment{}, address: portstest.Address(t)}
	if overTLS {
		r.tls = &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12}
	}
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// URL is where the endpoint takes messages.
func (r *HTTPRemote) URL() string {
	if r.tls != nil {
		return "https://" + r.address + "/messages?of=velo"
	}
	return "http://" + r.address + "/messages?of=velo"
}

// TLSConfig is a client's configuration that trusts the endpoint's certificate.
func (r *HTTPRemote) TLSConfig() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(testAuthority())
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Start implements Remote.
func (r *HTTPRemote) Start() {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = listener
	if r.tls != nil {
		listener = tls.NewListener(listener, r.tls)
	}
	r.server = &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func(s *http.Server) { _ = s.Serve(listener) }(r.server)
}

// Stop implements Remote. The server does not know of its listener before it serves.
func (r *HTTPRemote) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.listener.Close()
	_ = r.server.Close()
}

// Treat implements Remote.
func (r *HTTPRemote) Treat(recipient string, how Treatment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.treatments[recipient] = how
}

// Distrust implements Remote: no signature is accepted, with words that repeat what the endpoint knows.
func (r *HTTPRemote) Distrust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.distrusts = true
}

// Arrived implements Remote.
func (r *HTTPRemote) Arrived() (to []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.arrived {
		to = append(to, r.arrived[i].To)
	}
	return to
}

// Content is the content of the last message to a recipient.
func (r *HTTPRemote) Content(recipient string) (data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.arrived {
		if r.arrived[i].To == recipient {
			data = r.arrived[i].Data
		}
	}
	return data
}

func (r *HTTPRemote) treatment(recipient string) (how Treatment, distrusts bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.treatments[recipient], r.distrusts
}

func (r *HTTPRemote) serve(w http.ResponseWriter, request *http.Request) {
	if r.Behave != nil && r.Behave(w, request) {
		return
	}
	to := request.Header.Get(signature.IDHeader)
	how, distrusts := r.treatment(to)
	if how == CutOff { // as servers do that end a request before they have read it
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestTimeout)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the client is gone
	}
	r.check(request, body)
	switch {
	case distrusts:
		http.Error(w, "user@relay with s3cret may not write to "+to, http.StatusUnauthorized)
	case how == Refuse:
		http.Error(w, "nobody is "+to, http.StatusUnprocessableEntity)
	case how == Defer:
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		r.mu.Lock()
		r.arrived = append(r.arrived, Received{To: to, Data: body})
		r.mu.Unlock()
		if how == Swallow {
			panic(http.ErrAbortHandler) // ends the connection without an answer
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// check finds what a receiver would not accept.
func (r *HTTPRemote) check(request *http.Request, body []byte) {
	h := request.Header
	err := r.keys.Verify(h.Get(signature.IDHeader), h.Get(signature.TimestampHeader), h.Get(signature.SignatureHeader), body, time.Now())
	if err != nil {
		r.t.Errorf("the signature: %v", err)
	}
	if request.Method != http.MethodPost || h.Get("Content-Type") != "application/json" || request.URL.RequestURI() != "/messages?of=velo" {
		r.t.Errorf("%s %s of type %q", request.Method, request.URL.RequestURI(), h.Get("Content-Type"))
	}
}

var _ Remote = (*HTTPRemote)(nil)
