package bluesky

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 123_456_789, time.UTC)

// bench is a network and a publisher for it.
type bench struct {
	t     *testing.T
	fake  *blueskytest.Network
	p     *Publisher
	now   time.Time
	asked []string
	// before is asked before the network; true where it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newBench(t *testing.T, password string) *bench {
	t.Helper()
	b := &bench{t: t, now: now}
	b.fake = blueskytest.New(blueskytest.Options{Now: func() time.Time { return b.now }})
	b.fake.AddAccount(blueskytest.Account{DID: ourDID, Handle: "velo.example", Password: ourKey})
	b.fake.AddAccount(blueskytest.Account{DID: anasDID, Handle: "ana.example"})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked = append(b.asked, r.URL.Path[strings.LastIndexByte(r.URL.Path, '.')+1:])
		if b.before == nil || !b.before(w, r) {
			b.fake.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	p, err := New(Options{
		Server: wire.Options{
			Base: server.URL, Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Now: func() time.Time { return b.now },
			TLS: server.Client().Transport.(*http.Transport).TLSClientConfig,
		},
		Identifier: "@velo.example", Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	b.p = p
	return b
}

func (b *bench) intent(text string) *post.Intent {
	return &post.Intent{ID: "i-" + text, At: b.now, Tried: b.now, Post: post.Post{Parts: []post.Part{{Text: text}}, Language: "es"}}
}

func (b *bench) accept(i *post.Intent) post.Reference {
	b.t.Helper()
	r, err := b.p.Publish(context.Background(), i)
	if err != nil || r.Outcome != deliver.Accepted {
		b.t.Fatalf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	return r.Posted[0]
}

// last is our latest post.
func (b *bench) last() (r record) {
	b.t.Helper()
	all := b.fake.Posted(ourDID)
	if err := json.Unmarshal(all[len(all)-1].Record, &r); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// TestFacets: links, tags and names are marked by bytes, also behind letters that have several.
func TestFacets(t *testing.T) {
	b := newBench(t, ourKey)
	const text = "¡Hola 🇪🇸 @ana.example, @Bea.example y @nadie.example! (https://velo.example/ñ?a=(b)) #Bici_2, #2026 mail@ana.example"
	i := b.intent(text)
	i.Post.Mentions = []post.Mention{{Handle: "bea.example", ID: "did:plc:beabeabeabeabeabeabeabea"}, {Handle: "eva.example", ID: anasDID}}
	b.accept(i)
	got := map[string]feature{}
	for _, f := range b.last().Facets {
		got[text[f.Index.ByteStart:f.Index.ByteEnd]] = f.Features[0]
	}
	want := map[string]feature{
		"@ana.example":                 {Type: "app.bsky.richtext.facet#mention", DID: anasDID},
		"@Bea.example":                 {Type: "app.bsky.richtext.facet#mention", DID: "did:plc:beabeabeabeabeabeabeabea"},
		"https://velo.example/ñ?a=(b)": {Type: "app.bsky.richtext.facet#link", URI: "https://velo.example/ñ?a=(b)"},
		"#Bici_2":                      {Type: "app.bsky.richtext.facet#tag", Tag: "Bici_2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := b.last().Text; got != text {
		t.Errorf("the text is %q", got)
	}
}

// TestSession: a token that is over is renewed, and one log-in serves many posts.
func TestSession(t *testing.T) {
	b := newBench(t, ourKey)
	b.accept(b.intent("uno"))
	b.accept(b.intent("dos"))
	b.now = b.now.Add(3 * time.Hour)
	b.accept(b.intent("tres"))
	want := "createSession createRecord createRecord createRecord refreshSession createRecord"
	if got := strings.Join(b.asked, " "); got != want {
		t.Errorf("it asked for %s", got)
	}
	b.now = b.now.Add(100 * 24 * time.Hour)
	b.accept(b.intent("cuatro"))
	if got := strings.Join(b.asked, " "); !strings.HasSuffix(got, "createRecord refreshSession createSession createRecord") {
		t.Errorf("it asked for %s", got)
	}
}

// TestTroubles: what concerns the account is told with what mends it.
func TestTroubles(t *testing.T) {
	for name, tc := range map[string]struct {
		password string
		before   func(b *bench)
		want     string
	}{
		"a wrong password": {"nope", func(*bench) {}, "app password"},
		"deactivated":      {ourKey, func(b *bench) { b.fake.End(ourDID, "deactivated") }, "not active"},
		"taken down":       {ourKey, func(b *bench) { b.fake.End(ourDID, "takendown") }, "taken down"},
		"taken down within a session": {ourKey, func(b *bench) {
			b.accept(b.intent("antes"))
			b.fake.End(ourDID, "takendown")
		}, "not active"},
		"no server of the protocol": {ourKey, func(b *bench) {
			b.before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotFound); return true }
		}, "AT Protocol"},
		"a code is asked for": {ourKey, func(b *bench) {
			b.before = func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(`{"error":"AuthFactorTokenRequired","message":"ana@example.com"}`))
				return true
			}
		}, "app password"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, tc.password)
			tc.before(b)
			r, err := b.p.Publish(context.Background(), b.intent("hola"))
			if err == nil || r.Outcome != deliver.Untouched || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "ana@") ||
				strings.Contains(err.Error(), tc.password) {
				t.Errorf("it is %s %s: %v", r.Outcome, r.Reply, err)
			}
		})
	}
}

// TestKeyIsTaken: what stands under our key is ours where it says so, and is never replaced.
func TestKeyIsTaken(t *testing.T) {
	b := newBench(t, ourKey)
	i := b.intent("hola")
	first := b.accept(i)
	r, err := b.p.Publish(context.Background(), i) // a caller that did not look
	if err != nil || r.Outcome != deliver.Unknown {
		t.Fatalf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	r, err = b.p.Find(context.Background(), i)
	if err != nil || r.Outcome != deliver.Accepted || r.Posted[0] != first {
		t.Fatalf("it is %s %+v: %v", r.Outcome, r.Posted, err)
	}
	// Another server says it with 400.
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != createPath {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"InvalidRequest","message":"Record already exists"}`))
		return true
	}
	if r, err = b.p.Publish(context.Background(), i); err != nil || r.Outcome != deliver.Accepted || r.Posted[0] != first {
		t.Fatalf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	refuse := b.before
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == getPath {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return refuse(w, r)
	}
	if r, err = b.p.Publish(context.Background(), i); err != nil || r.Outcome != deliver.Unknown {
		t.Fatalf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	b.before = nil
	other := b.intent("otra cosa")
	b.fake.Post(ourDID, keyOf(other.ID, other.At, 0), map[string]any{"text": "de otro", "createdAt": "2023-01-01T00:00:00Z"})
	if r, err = b.p.Find(context.Background(), other); err != nil || r.Outcome != deliver.Refused {
		t.Errorf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
}

// TestLimits: what the network does not take is not sent, with the numbers.
func TestLimits(t *testing.T) {
	b := newBench(t, ourKey)
	for name, tc := range map[string]struct {
		change func(*post.Post)
		want   string
	}{
		"bytes":      {func(p *post.Post) { p.Parts[0].Text = strings.Repeat("👩‍👩‍👧‍👦", 150) }, "3750 bytes, and the network takes 3000"},
		"a warning":  {func(p *post.Post) { p.Warning, p.Parts[0].Text = "Ruido", strings.Repeat("é", 294) }, "301 characters"},
		"for a few":  {func(p *post.Post) { p.Visibility = post.Direct }, "everybody"},
		"no picture": {func(p *post.Post) { p.Parts[0].Images = []post.Image{{Data: []byte("%PDF-1.7")}} }, "no PNG"},
	} {
		i := b.intent("hola")
		tc.change(&i.Post)
		r, err := b.p.Publish(context.Background(), i)
		if err != nil || r.Outcome != deliver.Refused || !strings.Contains(r.Reply, tc.want) {
			t.Errorf("%s: it is %s %s: %v", name, r.Outcome, r.Reply, err)
		}
	}
	if len(b.asked) > 0 {
		t.Errorf("it asked for %v", b.asked)
	}
}

// TestWarning: the network has no words for a warning, so they stand before the text.
func TestWarning(t *testing.T) {
	b := newBench(t, ourKey)
	i := b.intent("Bum")
	i.Post.Warning = "Ruido"
	b.accept(i)
	if got := b.last(); got.Text != "Ruido\n\nBum" || got.CreatedAt != "2026-11-22T10:00:00.123Z" {
		t.Errorf("it is %+v", got)
	}
}

func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for n := range 2000 {
		id := "intent-" + string(rune('a'+n%26)) + strings.Repeat("x", n/26)
		for part := range 5 {
			key := keyOf(id, now, part)
			if len(key) != 13 || strings.Trim(key, "234567abcdefghijklmnopqrstuvwxyz") != "" || seen[key] || key != keyOf(id, now, part) {
				t.Fatalf("the key of %s, part %d, is %s", id, part, key)
			}
			seen[key] = true
			// As text they follow their time (https://atproto.com/specs/tid).
			if key < encodeTID(uint64(now.Add(-3*time.Minute).UnixMicro())<<10) || key > encodeTID(uint64(now.UnixMicro())<<10) { //nolint:gosec // after 1970
				t.Fatalf("the key %s is of another time", key)
			}
		}
	}
}
