package fetch_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

var here = egress.Dialer{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// serve starts a server that a test's clients are allowed to ask.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func newClient(t *testing.T, o fetch.Options) *http.Client {
	t.Helper()
	client := fetch.NewClient(o)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func request(t *testing.T, ctx context.Context, url string) *http.Request { //nolint:revive // the test comes first
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// get asks, and returns the trouble where there is one.
func get(t *testing.T, client *http.Client, url string) (*fetch.Answer, *listen.Trouble) {
	t.Helper()
	answer, err := fetch.Do(client, request(t, t.Context(), url), 1<<20)
	var trouble *listen.Trouble
	if err != nil && !errors.As(err, &trouble) {
		t.Fatalf("the error is no trouble: %v", err)
	}
	return answer, trouble
}

func TestStatuses(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		if after := r.URL.Query().Get("after"); after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(status)
	})
	client := newClient(t, fetch.Options{Dialer: here})
	for path, want := range map[string]struct {
		reason listen.Reason
		wait   time.Duration
	}{
		"200": {}, "204": {}, "304": {}, "429": {listen.Throttled, time.Second}, "429?after=90": {listen.Throttled, 90 * time.Second},
		"429?after=0": {listen.Throttled, time.Second}, "401": {listen.Unauthorized, 0}, "403": {listen.Forbidden, 0}, "404": {listen.NotFound, 0},
		"410": {listen.NotFound, 0}, "400": {listen.Malformed, 0}, "418": {listen.Malformed, 0}, "500": {listen.Unreachable, 0},
		"503?after=120": {listen.Unreachable, 2 * time.Minute}, "503?after=never": {listen.Unreachable, 0},
	} {
		answer, trouble := get(t, client, server.URL+"/"+path)
		switch {
		case trouble == nil && want.reason == "":
			if fmt.Sprint(answer.Status) != path {
				t.Errorf("%s: the status is %d", path, answer.Status)
			}
		case trouble == nil || trouble.Reason != want.reason || trouble.Wait != want.wait || trouble.Message == "":
			t.Errorf("%s: %+v", path, trouble)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"99999999999999999999999": 24 * time.Hour, "-99999999999999999999999": 0,
		"": 0, "0": 0, "37": 37 * time.Second, "-5": 0, "99999999999999": 24 * time.Hour, "9223372036854775807": 24 * time.Hour, "1e3": 0, "soon": 0,
		"Sun, 22 Nov 2026 12:01:00 GMT": time.Minute, "Sun, 22 Nov 2026 11:00:00 GMT": 0, "Sun, 22 Nov 2099 11:00:00 GMT": 24 * time.Hour,
	} {
		if got := fetch.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("37")
	f.Add("Sun, 22 Nov 2026 12:01:00 GMT")
	f.Fuzz(func(t *testing.T, text string) {
		if got := fetch.RetryAfter(http.Header{"Retry-After": {text}}, time.Unix(0, 0)); got < 0 || got > 24*time.Hour {
			t.Errorf("%s", got)
		}
	})
}

// TestSize: the limit is of what is read, also where less was sent.
func TestSize(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/packed" {
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			_, _ = packed.Write(make([]byte, 64<<20))
			_ = packed.Close()
			return
		}
		var size int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &size)
		_, _ = w.Write(make([]byte, size))
	})
	client := newClient(t, fetch.Options{Dialer: here})
	for path, fits := range map[string]bool{"0": true, "1048576": true, "1048577": false, "50000000": false, "packed": false} {
		answer, trouble := get(t, client, server.URL+"/"+path)
		if (trouble == nil) != fits || trouble != nil && (trouble.Reason != listen.Malformed || !errors.Is(trouble, fetch.ErrTooLarge)) {
			t.Errorf("%s: %+v", path, trouble)
		}
		if trouble == nil && fmt.Sprint(len(answer.Body)) != path {
			t.Errorf("%s: %d bytes", path, len(answer.Body))
		}
	}
}

// TestWhereItGoes: to this machine only where that is allowed, by whatever name, and whoever sends us there.
func TestWhereItGoes(t *testing.T) {
	asked := 0
	inside := serve(t, func(http.ResponseWriter, *http.Request) { asked++ })
	address, err := url.Parse(inside.URL)
	if err != nil {
		t.Fatal(err)
	}
	careful := newClient(t, fetch.Options{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		if _, trouble := get(t, careful, "http://"+host+":"+address.Port()); trouble == nil || trouble.Reason != listen.Forbidden || asked > 0 {
			t.Errorf("%s: %+v, asked %d times", host, trouble, asked)
		}
	}
	// A server that may be asked sends us to one that may not: to 127.0.0.2, where only 127.0.0.1 is allowed.
	outside := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2:"+address.Port()+"/", http.StatusFound)
	})
	narrow := newClient(t, fetch.Options{Dialer: egress.Dialer{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})
	if _, trouble := get(t, narrow, outside.URL); trouble == nil || trouble.Reason != listen.Forbidden {
		t.Errorf("sent there: %+v", trouble)
	}
}

func TestRedirects(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var left int
		switch {
		case r.URL.Path == "/file":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/mixed"):
			http.Redirect(w, r, "/301/1", http.StatusFound)
		default:
			status := http.StatusOK
			_, _ = fmt.Sscanf(r.URL.Path, "/%d/%d", &status, &left)
			if left > 0 {
				http.Redirect(w, r, fmt.Sprintf("/%d/%d", status, left-1), status)
			}
		}
	})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, server.URL, http.StatusMovedPermanently)
	}))
	t.Cleanup(secure.Close)
	client := newClient(t, fetch.Options{Dialer: here, TLS: secure.Client().Transport.(*http.Transport).TLSClientConfig})
	for path, moved := range map[string]bool{"/200/0": false, "/301/1": true, "/308/5": true, "/302/1": false, "/307/2": false, "/mixed": false} {
		answer, trouble := get(t, client, server.URL+path)
		if trouble != nil || answer.Moved != moved {
			t.Errorf("%s: %+v, %+v", path, answer, trouble)
		}
	}
	for path, want := range map[string]string{
		server.URL + "/301/6": "redirects more than 5 times", server.URL + "/file": "neither http nor https", secure.URL: "from https to http",
	} {
		if _, trouble := get(t, client, path); trouble == nil || trouble.Reason != listen.Unreachable || !strings.Contains(trouble.Message, want) {
			t.Errorf("%s: %+v, want %q", path, trouble, want)
		}
	}
}

// TestWhatOthersAreTold: by a redirect another host, or port, learns neither who we are nor from where we come.
func TestWhatOthersAreTold(t *testing.T) {
	var told http.Header
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) { told = r.Header.Clone() })
	home := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			told = r.Header.Clone()
			return
		}
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	client := newClient(t, fetch.Options{Dialer: here})
	for to, secret := range map[string]string{other.URL: "", home.URL + "/here": "Bearer s3cret"} {
		r := request(t, t.Context(), home.URL+"/?key=s3cret&to="+url.QueryEscape(to))
		r.Header.Set("Authorization", "Bearer s3cret")
		r.Header.Set("Sec-WebSocket-Protocol", "s3cret") // as some servers of streams want their tokens
		r.Header.Set("User-Agent", "Tertulia/1")
		if _, err := fetch.Do(client, r, 1<<10); err != nil {
			t.Fatal(err)
		}
		if told.Get("Authorization") != secret || (told.Get("Sec-WebSocket-Protocol") == "") != (secret == "") || told.Get("Referer") != "" || told.Get("User-Agent") != "Tertulia/1" {
			t.Errorf("%s is told %v", to, told)
		}
	}
}

// TestTime: who hangs is left, by the client's limit and by the context's end.
func TestTime(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 10)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
		}
		if r.URL.RawQuery == "tell" {
			arrived <- struct{}{}
		}
		<-release
	})
	defer close(release)
	hasty := newClient(t, fetch.Options{Dialer: here, Timeout: 100 * time.Millisecond})
	for _, path := range []string{"/header", "/body"} {
		if _, trouble := get(t, hasty, server.URL+path); trouble == nil || trouble.Reason != listen.Unreachable || !strings.Contains(trouble.Message, "in time") {
			t.Errorf("%s: %+v", path, trouble)
		}
	}
	patient := newClient(t, fetch.Options{Dialer: here})
	for _, path := range []string{"/header", "/body"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if _, err := fetch.Do(patient, request(t, ctx, server.URL+path+"?tell"), 1<<10); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestWhyNot: what cannot be reached is told in words for people, without what was asked for.
func TestWhyNot(t *testing.T) {
	gone := "http://" + portstest.Address(t)
	strange := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(strange.Close)
	wide := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Wide", strings.Repeat("x", 1<<20)) })
	cut := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	client := newClient(t, fetch.Options{Dialer: here})
	for at, want := range map[string]string{
		gone: "cannot be reached", strange.URL: "certificate", wide.URL: "cannot be reached", cut.URL: "cannot be reached",
		"http://nobody.invalid": "nobody.invalid",
	} {
		_, trouble := get(t, client, at+"/?key=s3cret")
		if trouble == nil || trouble.Reason != listen.Unreachable || !strings.Contains(trouble.Message, want) || strings.Contains(trouble.Message, "s3cret") {
			t.Errorf("%s: %+v", at, trouble)
		}
	}
}
