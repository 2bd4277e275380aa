package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/feed"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const sourceSecret = "a-key-of-a-source-of-24-bytes"

// newHeard serves a tenant with sources that are written to, and a topic.
func newHeard(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	ctx := context.Background()
	for _, s := range []store.Source{
		{Name: "reviews", Type: "Webhook", Settings: json.RawMessage(`{}`), Languages: []string{"es", "en"}},
		{Name: "keyless", Type: "Webhook", Settings: json.RawMessage(`{}`)},
		{Name: "asleep", Type: "Webhook", Settings: json.RawMessage(`{}`), Suspended: true},
		{Name: "blog", Type: "Feed", Settings: json.RawMessage(`{"url": "https://blog.example/feed.atom"}`)},
		{Name: "bluesky", Type: "Bluesky", Settings: json.RawMessage(`{"keywords": [{"word": "velo"}]}`)},
	} {
		s.Interval = time.Minute
		if _, _, err := f.db.SaveSource(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := f.db.SaveMonitor(ctx, store.Monitor{Name: "velo", Topics: []store.MonitorTopic{
		{Role: store.BrandTopic, Definition: match.Topic{Name: "Velo", Any: []match.Term{{Word: "velo"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := credentials.Read(f.roots + "/" + tenantID)
	if err == nil {
		dir.PublicURL = f.base
		dir.Sources = map[string]credentials.Source{"reviews": {"signing-key": sourceSecret}, "asleep": {"signing-key": sourceSecret}}
		err = credentials.Write(f.roots, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const aReview = `{"posts": [
	{"id": "r-1", "kind": "review", "createdAt": "2026-11-20T10:00:00Z", "text": "La bici de Velo es una maravilla, la recomiendo", "author": {"id": "u1", "name": "Ana"}, "rating": {"value": 5, "best": 5}},
	{"id": "r-2", "createdAt": "2026-11-20T10:00:00Z", "text": "Das Fahrrad ist kaputt und niemand antwortet mir", "language": "de"},
	{"id": "r-3", "createdAt": "2026-11-20T10:00:00Z", "text": "Thank you"}]}`

func (f *fixture) mentions() []string {
	return f.rows(`select s.name, m.native_id, m.label, coalesce((select string_agg(t.name, ',') from mention_topic mt join topic t on t.id = mt.topic_id
		where mt.mention_id = m.id), '') from mention m join social_source s on s.id = m.source_id order by m.native_id`)
}

// heard writes to a source until the server has taken over the tenant's credentials.
func (f *fixture) heard(path, body string, header ...string) (got answer) {
	f.t.Helper()
	gomega.NewWithT(f.t).Eventually(func() int {
		got = f.visit(http.MethodPost, path, body, header...)
		return got.status
	}).WithTimeout(patience).ShouldNot(gomega.Equal(http.StatusServiceUnavailable))
	return got
}

func TestANetworkWritesToASource(t *testing.T) {
	f := newHeard(t)
	now := time.Now()
	for range 2 { // a network that did not hear the answer repeats itself
		if got := f.heard("/sources/reviews", aReview, sign("evt_1", sourceSecret, aReview, now)...); got.status != http.StatusOK {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	}
	if diff := cmp.Diff([]string{"reviews|r-1|positive|Velo", "reviews|r-3|positive|"}, f.mentions()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"reviews|true"}, f.rows(`select s.name, t.hooked_at is not null from social_source s
		join social_source_state t on t.source_id = s.id where t.hooked_at is not null`)); diff != "" {
		t.Errorf("which were written to: -want +got:\n%s", diff)
	}
	served := f.requestAs("", http.MethodGet, "http://"+f.metrics+"/metrics", "").body
	for _, want := range []string{`outcome="stored",source="reviews",tenant="velo-test"} 2`, `outcome="unwanted",source="reviews",tenant="velo-test"} 2`} {
		if !strings.Contains(served, "tertulia_mentions_total{"+want+"\n") {
			t.Errorf("%s is not counted", want)
		}
	}
	large := strings.Repeat(" ", listen.MaxHook+1)
	for name, tc := range map[string]struct {
		method, path, body string
		header             []string
		status             int
	}{
		"without a signature":         {"POST", "/sources/reviews", aReview, nil, http.StatusUnauthorized},
		"by another key":              {"POST", "/sources/reviews", aReview, sign("e", "another-key-of-more-than-24", aReview, now), http.StatusUnauthorized},
		"long ago":                    {"POST", "/sources/reviews", aReview, sign("e", sourceSecret, aReview, now.Add(-time.Hour)), http.StatusUnauthorized},
		"of another body":             {"POST", "/sources/reviews", aReview, sign("e", sourceSecret, aReview+" ", now), http.StatusUnauthorized},
		"what cannot be read":         {"POST", "/sources/reviews", "{", sign("e", sourceSecret, "{", now), http.StatusBadRequest},
		"too much":                    {"POST", "/sources/reviews", large, sign("e", sourceSecret, large, now), http.StatusRequestEntityTooLarge},
		"to nobody":                   {"POST", "/sources/nobody", aReview, sign("e", sourceSecret, aReview, now), http.StatusNotFound},
		"to one that is suspended":    {"POST", "/sources/asleep", aReview, sign("e", sourceSecret, aReview, now), http.StatusNotFound},
		"to one that is read":         {"POST", "/sources/bluesky", aReview, sign("e", sourceSecret, aReview, now), http.StatusNotFound},
		"to one without a key":        {"POST", "/sources/keyless", aReview, sign("e", sourceSecret, aReview, now), http.StatusServiceUnavailable},
		"a question that nobody asks": {"GET", "/sources/reviews", "", nil, http.StatusMethodNotAllowed},
		"a hub's without a token":     {"GET", "/sources/blog?hub.mode=subscribe&hub.challenge=x&hub.topic=https://blog.example/feed.atom", "", nil, http.StatusNotFound},
		"a deletion":                  {"DELETE", "/sources/reviews", "", nil, http.StatusMethodNotAllowed},
	} {
		if got := f.visit(tc.method, tc.path, tc.body, tc.header...); got.status != tc.status || strings.Contains(got.body, "bici") {
			t.Errorf("%s: status %d, want %d: %s", name, got.status, tc.status, got.body)
		}
	}
	if got := len(f.mentions()); got != 2 {
		t.Errorf("%d mentions are stored", got)
	}
	if log := f.log.String(); strings.Contains(log, "bici") || strings.Contains(log, sourceSecret) || strings.Contains(log, "Ana") {
		t.Errorf("the log tells too much: %s", log)
	}
}

// TestWhoSaysNothingKeepsNobodyOut: requests of which nothing comes take nobody's turn, however many there are.
func TestWhoSaysNothingKeepsNobodyOut(t *testing.T) {
	f := newHeard(t)
	if got := f.heard("/sources/reviews", aReview, sign("evt_1", sourceSecret, aReview, time.Now())...); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	base, err := url.Parse(f.base)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		conn, err := net.Dial("tcp", base.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // nothing more is said
		if _, err := fmt.Fprintf(conn, "POST %s/sources/reviews HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
			base.Path, base.Host); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n') // the server says so when it begins to read
		if err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if got := f.visit(http.MethodPost, "/sources/reviews", aReview, sign("evt_2", sourceSecret, aReview, time.Now())...); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// TestASourceNeverLies takes the database away: what is not on disk is not acknowledged, and the network's next try succeeds.
func TestASourceNeverLies(t *testing.T) {
	f := newHeard(t)
	signed := func() []string { return sign("evt_1", sourceSecret, aReview, time.Now()) }
	f.heard("/sources/reviews", "") // so that it is known
	database := f.db.Pool.Config().ConnConfig.Database
	f.asAdmin("alter database " + database + " allow_connections false")
	f.cutConnections()
	if got := f.visit(http.MethodPost, "/sources/reviews", aReview, signed()...); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("while the database is away: status %d, %v", got.status, got.header)
	}
	f.asAdmin("alter database " + database + " allow_connections true")
	if got := f.heard("/sources/reviews", aReview, signed()...); got.status != http.StatusOK || len(f.mentions()) != 2 {
		t.Errorf("when it is there again: status %d, %d mentions", got.status, len(f.mentions()))
	}
}

// A post that the database refuses is left out, and those that came with it are stored.
func TestAPoisonousPostThatIsWritten(t *testing.T) {
	f := newHeard(t)
	f.exec("alter table mention add constraint antidote check (text not like 'Thank%')")
	if got := f.heard("/sources/reviews", aReview, sign("evt_1", sourceSecret, aReview, time.Now())...); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if diff := cmp.Diff([]string{"reviews|r-1|positive|Velo"}, f.mentions()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1"}, f.rows("select rejected from social_source_state where rejected > 0")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// subscribed asks a feed's connector for the address that it gives to its hub, as a worker would.
func (f *fixture) subscribed(hub *hubOfATest) string {
	f.t.Helper()
	key, err := f.db.LinkKey(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := feed.New(listen.Options{
		Source: "blog", Settings: json.RawMessage(`{"url": "https://blog.example/feed.atom"}`), Callback: networks.Callback(f.base, "blog"),
		Key: networks.Key(key, "blog"), Client: hub, Now: time.Now, UserAgent: "test",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := c.Poll(context.Background(), nil); err != nil {
		f.t.Fatal(err)
	}
	return hub.callback
}

// hubOfATest is a feed and its hub.
type hubOfATest struct{ callback string }

// Do implements listen.HTTPClient.
func (h *hubOfATest) Do(r *http.Request) (*http.Response, error) {
	response := &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Request: r, Body: http.NoBody}
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		h.callback = r.PostForm.Get("hub.callback")
		return response, nil
	}
	response.StatusCode = http.StatusOK
	response.Header.Set("Content-Type", "application/atom+xml")
	response.Body = io.NopCloser(strings.NewReader(`<feed xmlns="http://www.w3.org/2005/Atom"><id>x</id><title>x</title>` +
		`<link rel="self" href="https://blog.example/feed.atom"/><link rel="hub" href="https://hub.example/"/></feed>`))
	return response, nil
}

// A hub asks by GET whether a subscription is meant, with the token that the worker's connector gave it.
func TestAHubIsAnswered(t *testing.T) {
	f := newHeard(t)
	callback := f.subscribed(&hubOfATest{})
	if callback == "" {
		t.Fatal("the feed did not subscribe at its hub")
	}
	at, err := url.Parse(callback)
	if err != nil || !strings.HasPrefix(callback, f.base+"/sources/blog?") {
		t.Fatalf("callback %q, %v", callback, err)
	}
	query := at.Query()
	for key, value := range map[string]string{
		"hub.mode": "subscribe", "hub.topic": "https://blog.example/feed.atom", "hub.challenge": "<b>4711</b>", "hub.lease_seconds": "864000",
	} {
		query.Set(key, value)
	}
	var got answer
	gomega.NewWithT(t).Eventually(func() int { // the server takes over the public URL within some seconds
		got = f.visit(http.MethodGet, "/sources/blog?"+query.Encode(), "")
		return got.status
	}).WithTimeout(patience).Should(gomega.Equal(http.StatusOK))
	if got.body != "<b>4711</b>" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Errorf("%q, %v", got.body, got.header)
	}
}
