package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

// listen takes connections of this machine until the test ends, each by serve.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // its end is what is tested
				serve(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func client(t *testing.T, base string) *Client {
	t.Helper()
	c, err := New(Options{Base: base, Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func postOf(size int) Request {
	return Request{
		Method: http.MethodPost, Path: "/api/v1/statuses", Body: []byte(strings.Repeat("x", size)), ContentType: "application/json", Token: "s3cret",
		Header: map[string]string{"Idempotency-Key": "k"},
	}
}

// TestNothingIsAskedTwice: net/http would make a request with such a header again, when a connection that has served before ends.
func TestNothingIsAskedTwice(t *testing.T) {
	var asked atomic.Int32
	base := listen(t, func(c net.Conn) {
		for in := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if asked.Add(1)%2 == 0 {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	c := client(t, base)
	if _, err := c.Do(context.Background(), postOf(100)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Do(context.Background(), postOf(100))
	var failure *Failure
	if !errors.As(err, &failure) || !failure.Whole || asked.Load() != 2 {
		t.Fatalf("%d requests came, and the second fails with %v", asked.Load(), err)
	}
}

// TestHowFarItCame: a server that did not get the whole request cannot act on it.
func TestHowFarItCame(t *testing.T) {
	for name, tc := range map[string]struct {
		size  int
		serve func(net.Conn)
		whole bool
	}{
		"cut within a long body": {8 << 20, func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, 1<<10) }, false},
		"cut behind the body":    {10, readRequest, true},
		"no HTTP": {10, func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, listen(t, tc.serve)).Do(context.Background(), postOf(tc.size))
			var failure *Failure
			if !errors.As(err, &failure) || failure.Whole != tc.whole || strings.Contains(err.Error(), "statuses") {
				t.Errorf("whole %v: %v", failure != nil && failure.Whole, err)
			}
		})
	}
}

// readRequest reads a request to its end.
func readRequest(c net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// TestNobodyThere: nothing was written where nobody was reached.
func TestNobodyThere(t *testing.T) {
	_, err := client(t, "http://"+portstest.Address(t)).Do(context.Background(), postOf(10))
	var failure *Failure
	if !errors.As(err, &failure) || failure.Whole {
		t.Errorf("%v", err)
	}
}

// TestCompletes: a request that publishes is not ended halfway; one that does not is.
func TestCompletes(t *testing.T) {
	for completes, wantErr := range map[bool]bool{true: false, false: true} {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		base := listen(t, func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			cancel()
			if !completes {
				<-ended // the client leaves by itself
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		})
		r := postOf(10)
		r.Completes = completes
		_, err := client(t, base).Do(ctx, r)
		close(ended)
		if (err != nil) != wantErr || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("completes %v: %v", completes, err)
		}
	}
}

func TestWait(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		status int
		header http.Header
		want   time.Duration
	}{
		"nothing said":         {429, http.Header{}, time.Minute},
		"nothing said of 5xx":  {503, http.Header{}, 0},
		"seconds":              {503, http.Header{"Retry-After": {"9"}}, 9 * time.Second},
		"a year":               {429, http.Header{"Retry-After": {"31536000"}}, 24 * time.Hour},
		"more than a number":   {429, http.Header{"Retry-After": {"99999999999999999999999"}}, 24 * time.Hour},
		"negative":             {429, http.Header{"Retry-After": {"-5"}}, 0},
		"a date":               {429, http.Header{"Retry-After": {"Sun, 22 Nov 2026 10:05:00 GMT"}}, 5 * time.Minute},
		"a date that is gone":  {429, http.Header{"Retry-After": {"Sun, 22 Nov 2025 10:05:00 GMT"}}, 0},
		"Mastodon's reset":     {429, http.Header{"X-Ratelimit-Reset": {"2026-11-22T10:05:00.000000Z"}}, 5 * time.Minute},
		"Bluesky's reset":      {429, http.Header{"Ratelimit-Reset": {"1795341900"}}, 5 * time.Minute},
		"a proxy's reset":      {429, http.Header{"X-Ratelimit-Reset": {"30"}}, 30 * time.Second},
		"a reset that is none": {429, http.Header{"X-Ratelimit-Reset": {"soon"}}, time.Minute},
	} {
		if got := (&Answer{Status: tc.status, Header: tc.header}).Wait(now); got != tc.want {
			t.Errorf("%s: %s, and not %s", name, got, tc.want)
		}
	}
}

func TestWords(t *testing.T) {
	if got, want := Words(422, " Text\r\n can't\x00 be\tblank \xff"), "422 Text can't be blank"; got != want {
		t.Errorf("%q, and not %q", got, want)
	}
	if got := Words(500, strings.Repeat("é", 1000)); len([]rune(got)) != maxReply {
		t.Errorf("%d characters", len([]rune(got)))
	}
}
