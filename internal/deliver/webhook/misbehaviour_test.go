package webhook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
)

func message(size int) deliver.Message {
	return deliver.Message{ID: "1.2@velo.example", To: "a@example.com", Data: []byte(`{"text":"` + strings.Repeat("x", size) + `"}`)}
}

// endpoint is one of raw bytes: serve has each connection.
func endpoint(t *testing.T, serve func(conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go serve(conn, bufio.NewReader(conn))
		}
	}()
	return "http://" + listener.Addr().String() + "/s3cret-path"
}

// take reads a request whole.
func take(r *bufio.Reader) {
	request, err := http.ReadRequest(r)
	if err == nil {
		_, _ = io.Copy(io.Discard, request.Body)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	for status, want := range map[int]deliver.Outcome{
		200: deliver.Accepted, 202: deliver.Accepted, 204: deliver.Accepted,
		400: deliver.Refused, 409: deliver.Refused, 413: deliver.Refused, 422: deliver.Refused, 451: deliver.Refused,
		408: deliver.Deferred, 425: deliver.Deferred, 429: deliver.Deferred, 503: deliver.Deferred,
		301: deliver.Untouched, 302: deliver.Untouched, 304: deliver.Untouched, 307: deliver.Untouched, 308: deliver.Untouched,
		401: deliver.Untouched, 403: deliver.Untouched, 404: deliver.Untouched, 405: deliver.Untouched, 410: deliver.Untouched,
		415: deliver.Untouched, 501: deliver.Untouched, 511: deliver.Untouched,
		500: deliver.Unknown, 502: deliver.Unknown, 504: deliver.Unknown, 507: deliver.Unknown, 599: deliver.Unknown, 700: deliver.Unknown,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var elsewhere, asked atomic.Int32
			other := endpoint(t, func(net.Conn, *bufio.Reader) { elsewhere.Add(1) })
			remote := delivertest.NewHTTPRemote(t, keys, false)
			remote.Behave = func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = io.Copy(io.Discard, r.Body)
				asked.Add(1)
				w.Header().Set("Location", other)
				w.Header().Set("Retry-After", "90")
				w.WriteHeader(status)
				if status >= 300 && status != 304 {
					_, _ = io.WriteString(w, "<b>a@example.com</b>\n\x00 is not "+strings.Repeat("y", 5000))
				}
				return true
			}
			transport := connect(t, remote.URL(), nil)
			results, err := transport.Deliver(t.Context(), []deliver.Message{message(10), message(10), message(10)})
			got := results[0]
			if got.Outcome != want {
				t.Errorf("%d is %s, want %s: %v", status, got.Outcome, want, err)
			}
			var trouble *deliver.Trouble
			open := want == deliver.Untouched || want == deliver.Unknown
			if errors.As(err, &trouble) != open || open && (trouble.Code != status || strings.Contains(err.Error(), "@")) {
				t.Errorf("the error: %v", err)
			}
			if n := asked.Load(); n > delivertest.Connections {
				t.Errorf("%d requests", n)
			}
			if wait := got.RetryIn; (want == deliver.Deferred) != (wait == 90*time.Second) {
				t.Errorf("to be tried again in %s", wait)
			}
			if len([]rune(got.Reply)) > 200 || strings.ContainsAny(got.Reply, "\n\x00") || want != deliver.Untouched && !strings.HasPrefix(got.Reply, fmt.Sprint(status)) {
				t.Errorf("the words: %q", got.Reply)
			}
			if elsewhere.Load() != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

// Whatever an endpoint does, it is bounded, and nothing is said of a message that is not known.
func TestEndpointsThatMisbehave(t *testing.T) {
	for name, tc := range map[string]struct {
		serve   func(conn net.Conn, r *bufio.Reader)
		size    int
		hangs   bool // until the transport's patience ends
		outcome deliver.Outcome
		words   string // of the error; "" for none
	}{
		"closes before it has read": {
			serve: func(conn net.Conn, _ *bufio.Reader) { _ = conn.Close() }, outcome: deliver.Unknown, words: "did not answer",
		},
		"closes in the middle of a large message": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				_, _ = io.CopyN(io.Discard, r, 1000)
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}, size: 32 << 20, outcome: deliver.Deferred,
		},
		"refuses in the middle of a large message": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				_, _ = io.CopyN(io.Discard, r, 1000)
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				_ = conn.(*net.TCPConn).CloseWrite()
			}, size: 32 << 20, outcome: deliver.Refused,
		},
		"fails in the middle of a large message": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				_, _ = io.CopyN(io.Discard, r, 1000)
				_, _ = io.WriteString(conn, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				_ = conn.(*net.TCPConn).CloseWrite()
			}, size: 32 << 20, outcome: deliver.Deferred,
		},
		"never answers": {
			hangs: true,
			serve: func(_ net.Conn, r *bufio.Reader) { take(r) }, outcome: deliver.Unknown, words: "did not answer",
		},
		"takes nothing": {
			hangs: true,
			serve: func(net.Conn, *bufio.Reader) {}, size: 32 << 20, outcome: deliver.Deferred,
		},
		"answers something else": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				_, _ = io.WriteString(conn, "220 a@example.com ESMTP\r\n")
			}, outcome: deliver.Unknown, words: "no answer of HTTP",
		},
		"half an answer": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-")
				_ = conn.Close()
			}, outcome: deliver.Unknown, words: "did not answer",
		},
		"half a body": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthank")
				_ = conn.Close()
			}, outcome: deliver.Accepted,
		},
		"endless headers": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				for err == nil {
					_, err = io.WriteString(conn, "X-Padding: "+strings.Repeat("x", 1000)+"\r\n")
				}
			}, outcome: deliver.Unknown, words: "64 KiB",
		},
		"an endless body": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				for err == nil {
					_, err = io.WriteString(conn, strings.Repeat("x", 1000))
				}
			}, outcome: deliver.Accepted,
		},
		"one interim answer": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
			}, outcome: deliver.Accepted,
		},
		"interim answers without end": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				var err error
				for err == nil {
					_, err = io.WriteString(conn, "HTTP/1.1 102 Processing\r\n\r\n")
				}
			}, outcome: deliver.Unknown, words: "without an answer",
		},
		"another protocol": {
			serve: func(conn net.Conn, r *bufio.Reader) {
				take(r)
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
			}, outcome: deliver.Unknown, words: "101",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := connect(t, endpoint(t, tc.serve), func(o *Options) {
				if o.Timeout = 5 * time.Second; tc.hangs {
					o.Timeout = time.Second
				}
			})
			results, err := transport.Deliver(t.Context(), []deliver.Message{message(tc.size)})
			if results[0].Outcome != tc.outcome {
				t.Errorf("got %+v, want %s", results[0], tc.outcome)
			}
			if (err == nil) != (tc.words == "") || err != nil && (!strings.Contains(err.Error(), tc.words) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "@")) {
				t.Errorf("the error: %v, want %q", err, tc.words)
			}
		})
	}
}

// An answer that nobody asked for is nobody's: the next message goes over another connection.
func TestTwoAnswersToOneRequest(t *testing.T) {
	var connections atomic.Int32
	url := endpoint(t, func(conn net.Conn, r *bufio.Reader) {
		connections.Add(1)
		for {
			if _, err := r.Peek(1); err != nil {
				return
			}
			take(r)
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	transport := connect(t, url, func(o *Options) { o.Connections = 1 })
	results, err := transport.Deliver(t.Context(), []deliver.Message{message(1), message(1)})
	if err != nil || results[0].Outcome != deliver.Accepted || results[1].Outcome != deliver.Accepted || connections.Load() != 2 {
		t.Errorf("%v over %d connections: %v", results, connections.Load(), err)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var connections atomic.Int32
	url := endpoint(t, func(conn net.Conn, r *bufio.Reader) {
		connections.Add(1)
		for {
			if _, err := r.Peek(1); err != nil {
				return
			}
			take(r)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
		}
	})
	transport := connect(t, url, func(o *Options) { o.Connections, o.IdleTimeout = 1, time.Minute })
	for range 3 {
		if _, err := transport.Deliver(t.Context(), []deliver.Message{message(1), message(1)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("six messages took %d connections", n)
	}
}

func TestWhereNothingIsPosted(t *testing.T) {
	remote := delivertest.NewHTTPRemote(t, keys, true)
	plain := delivertest.NewHTTPRemote(t, keys, false)
	for name, tc := range map[string]struct {
		url    string
		change func(*Options)
		words  string
	}{
		"a network that nobody has allowed": {plain.URL(), func(o *Options) { o.Allowed = nil }, "--webhook-networks"},
		"by a name":                         {strings.Replace(plain.URL(), "127.0.0.1", "localhost", 1), func(o *Options) { o.Allowed = nil }, "--webhook-networks"},
		"a certificate that nobody knows":   {remote.URL(), nil, "certificate"},
		"a host that is not there":          {"https://nobody.invalid/", nil, "check the URL"},
	} {
		t.Run(name, func(t *testing.T) {
			results, err := connect(t, tc.url, tc.change).Deliver(t.Context(), []deliver.Message{message(1)})
			var trouble *deliver.Trouble
			if results[0].Outcome != deliver.Untouched || !errors.As(err, &trouble) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v, %v", results, err)
			}
		})
	}
	if got := append(remote.Arrived(), plain.Arrived()...); len(got) > 0 {
		t.Errorf("arrived: %v", got)
	}
}

// Who stops waits for what has begun, and begins nothing; who closes does not wait, and what is not known is Unknown.
func TestTheEndOfAWorker(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(cancel func(), transport *Transport, answer chan struct{})
		want deliver.Outcome
	}{
		"told to end": {func(cancel func(), _ *Transport, answer chan struct{}) { cancel(); close(answer) }, deliver.Accepted},
		"closed":      {func(_ func(), transport *Transport, _ chan struct{}) { _ = transport.Close() }, deliver.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			arrived, answer := make(chan struct{}), make(chan struct{})
			remote := delivertest.NewHTTPRemote(t, keys, false)
			remote.Behave = func(_ http.ResponseWriter, r *http.Request) bool {
				close(arrived)
				select {
				case <-answer:
				case <-r.Context().Done():
				}
				return false
			}
			transport := connect(t, remote.URL(), func(o *Options) { o.Connections = 1 })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-arrived
				tc.end(cancel, transport, answer)
			}()
			results, err := transport.Deliver(ctx, []deliver.Message{message(1), message(1)})
			if results[0].Outcome != tc.want || results[1].Outcome != deliver.Untouched || err == nil {
				t.Errorf("%v, %v", results, err)
			}
		})
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"https://hooks.velo.example/m?x=1": "", "http://127.0.0.1:8080": "", "https://[::1]:8443/": "",
		"": "neither", "ftp://velo.example/": "neither", "https:///m": "no host", "https://u:s3cret@velo.example/": "user",
		"https://velo.example/#s3cret": "fragment", "https://velo.example:s3cret/": "cannot be read", "https:s3cret": "no host",
		"https://velo.example/\r\nHost: s3cret": "cannot be read",
	} {
		err := ParseURL(url)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "120": 2 * time.Minute, "99999999999": 0,
		"Sun, 21 Mar 2027 12:00:30 GMT": 30 * time.Second, "Sun, 21 Mar 2027 11:00:30 GMT": 0,
	} {
		if got := planRetry(header, time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("Retry-After: %s is %s, want %s", header, got, want)
		}
	}
}
