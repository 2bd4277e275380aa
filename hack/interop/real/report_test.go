//go:build interop

package real

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
)

// report writes down what was seen to hold.
type report struct{ connector, server string }

var reporting sync.Mutex

// holds runs a test of one thing, and reports it when it passes.
func (r report) holds(t *testing.T, what string, test func(t *testing.T)) {
	t.Helper()
	if !t.Run(what, test) {
		return
	}
	path := os.Getenv("TERTULIA_INTEROP_REPORT")
	if path == "" {
		return
	}
	reporting.Lock()
	defer reporting.Unlock()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // written below
	if _, err := fmt.Fprintf(file, "%s\t%s\t%s\n", r.connector, r.server, what); err != nil {
		t.Fatal(err)
	}
}

// userAgent is what connectors call themselves here.
const userAgent = "Tertulia-interop/1 (+https://tertulia.example)"

// options are what a connector is made with that may reach this machine.
func options(t *testing.T, settings any, credentials map[string]string) listen.Options {
	t.Helper()
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	dialer := egress.Dialer{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Timeout: 10 * time.Second}
	return listen.Options{
		Source: "interop", Settings: data, Credentials: credentials, UserAgent: userAgent, Now: time.Now,
		Client: fetch.NewClient(fetch.Options{Dialer: dialer}),
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, address)
		},
	}
}

// open opens a connector as a worker does.
func open(t *testing.T, networkType string, o listen.Options) listen.Connector {
	t.Helper()
	c, err := networks.Open(networkType, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// reader reads a source, and keeps what comes.
type reader struct {
	t  *testing.T
	c  listen.Connector
	mu sync.Mutex
	// what came: posts by text, and the rest
	posts    map[string]listen.Post
	editions int
	deleted  []listen.Deletion
	gaps     []listen.Gap
	at       listen.Cursor
}

func newReader(t *testing.T, c listen.Connector, at listen.Cursor) *reader {
	return &reader{t: t, c: c, posts: map[string]listen.Post{}, at: at}
}

func (r *reader) take(_ context.Context, b listen.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range b.Posts {
		if refused := listen.Normalize(&p, time.Now()); refused != "" {
			r.t.Errorf("a post cannot be kept: %s", refused)
		}
		if old, known := r.posts[p.ID]; !known || old.Revision != p.Revision {
			r.editions++
		}
		r.posts[p.ID] = p
	}
	for reason, n := range b.Rejected {
		r.t.Errorf("%d rejected: %s", n, reason)
	}
	r.deleted, r.gaps = append(r.deleted, b.Deleted...), append(r.gaps, b.Gaps...)
	if b.Next != nil {
		r.at = b.Next
	}
	return nil
}

// find gives the post that says this, if it came.
func (r *reader) find(text string) (listen.Post, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.posts {
		if strings.Contains(p.Text, text) {
			return p, true
		}
	}
	return listen.Post{}, false
}

// poll polls until no more is said to be there.
func (r *reader) poll() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for more := true; more; {
		page, err := r.c.(listen.Poller).Poll(ctx, r.at)
		if err != nil {
			r.t.Fatalf("poll: %v", err)
		}
		_ = r.take(ctx, page.Batch)
		more = page.More
	}
}

// eventually does something again and again until something holds.
func eventually(t *testing.T, what string, do func(), holds func() bool) {
	t.Helper()
	limit, tick := time.After(30*time.Second), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for {
		do()
		if holds() {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
