package mastodon_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/mastodon"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
)

// now is when these tests are.
var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// bench is a server and a publisher for it.
type bench struct {
	t    *testing.T
	fake *mastodontest.Server
	p    *mastodon.Publisher
	now  time.Time
	// before is asked before the server; true where it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newBench(t *testing.T, change func(*mastodontest.Options)) *bench {
	t.Helper()
	b := &bench{t: t, now: now}
	o := mastodontest.Options{Now: func() time.Time { return b.now }}
	if change != nil {
		change(&o)
	}
	b.fake = mastodontest.New(o)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.before == nil || !b.before(w, r) {
			b.fake.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	b.fake.Change(func(o *mastodontest.Options) { o.URL = server.URL })
	p, err := mastodon.New(mastodon.Options{
		Server: wire.Options{
			Base: server.URL, Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Now: func() time.Time { return b.now },
			TLS: server.Client().Transport.(*http.Transport).TLSClientConfig,
		},
		Token: mastodontest.Token, Poll: time.Millisecond, Processing: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	b.p = p
	return b
}

func (b *bench) intent(text string) *post.Intent {
	return &post.Intent{ID: text, At: b.now, Tried: b.now, Post: post.Post{Parts: []post.Part{{Text: text}}, Language: "es-MX"}}
}

func (b *bench) publish(i *post.Intent) (post.Result, error) {
	b.t.Helper()
	return b.p.Publish(context.Background(), i)
}

func (b *bench) accept(i *post.Intent) post.Result {
	b.t.Helper()
	r, err := b.publish(i)
	if err != nil || r.Outcome != deliver.Accepted {
		b.t.Fatalf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	return r
}

// last is our latest post.
func (b *bench) last() mastodontest.Posted {
	b.t.Helper()
	all := b.fake.Posted()
	if len(all) == 0 {
		b.t.Fatal("nothing was posted")
	}
	return all[len(all)-1]
}

// TestAnswerIsSeenByNoMore: an answer names who is answered, and is seen by no more people than what it answers.
func TestAnswerIsSeenByNoMore(t *testing.T) {
	for name, tc := range map[string]struct {
		theirs string // visibility of what is answered, as the server knows it
		known  post.Visibility
		ours   post.Visibility
		want   string
	}{
		"public":             {"public", "", "", "public"},
		"ours is narrower":   {"public", post.Public, post.Unlisted, "unlisted"},
		"unlisted":           {"unlisted", "", post.Public, "unlisted"},
		"followers":          {"private", "", post.Unlisted, "private"},
		"direct":             {"direct", "", post.Public, "direct"},
		"direct as we heard": {"public", post.Direct, post.Public, "direct"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			id := b.fake.Publish(mastodontest.Post{Author: "ana@ana.example", Text: "Hola", Extra: map[string]any{"visibility": tc.theirs}})
			i := b.intent("Hola, ¿qué tal @bea?")
			i.Post.Visibility, i.Post.ReplyTo = tc.ours, &post.Target{ID: id, Visibility: tc.known}
			i.Post.Mentions = []post.Mention{{Handle: "bea"}, {Handle: "eva@otro.example"}, {Handle: "Ana@ana.example"}, {Handle: "no name\n@all"}}
			b.accept(i)
			want := mastodontest.Posted{
				ID: b.last().ID, Text: "@ana@ana.example @eva@otro.example Hola, ¿qué tal @bea?", InReplyTo: id, Visibility: tc.want, Language: "es",
			}
			if diff := cmp.Diff(want, b.last()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRestOfAThread: what is published later of a thread is seen by no more people than its beginning.
func TestRestOfAThread(t *testing.T) {
	b := newBench(t, nil)
	id := b.fake.Publish(mastodontest.Post{Author: "ana@ana.example", Text: "Entre nosotros", Extra: map[string]any{"visibility": "direct"}})
	i := b.intent("Entre nosotros, sí")
	i.Post.ReplyTo = &post.Target{ID: id}
	i.Posted = b.accept(i).Posted
	i.Post.Parts = append(i.Post.Parts, post.Part{Text: "Y nadie más"})
	b.accept(i)
	if got := b.last(); got.Visibility != "direct" || got.Text != "Y nadie más" || got.InReplyTo != i.Posted[0].ID {
		t.Errorf("it is %+v", got)
	}
	b.fake.Delete(i.Posted[0].ID)
	i.Post.Parts = append(i.Post.Parts, post.Part{Text: "Ni eso"})
	if r, err := b.publish(i); err != nil || r.Outcome != deliver.Refused || !strings.Contains(r.Reply, "deleted") {
		t.Errorf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
}

// TestCounts: a text fits exactly as far as the server says, which strictly counts addresses, names and warnings as it does.
func TestCounts(t *testing.T) {
	b := newBench(t, func(o *mastodontest.Options) { o.MaxCharacters = 60 })
	const text = "🇪🇸 @ana@muy.largo.ejemplo.example https://velo.example/" // 2 + 5 + 23, with a blank and the warning 39
	for extra, want := range map[int]deliver.Outcome{21: deliver.Accepted, 22: deliver.Refused} {
		i := b.intent(text + strings.Repeat("x", 40) + " " + strings.Repeat("é", extra))
		i.Post.Warning = "Velo: 8."
		r, err := b.publish(i)
		if err != nil || r.Outcome != want {
			t.Errorf("with %d more it is %s %s: %v", extra, r.Outcome, r.Reply, err)
		}
	}
	if got := b.last().Warning; got != "Velo: 8." {
		t.Errorf("the warning is %q", got)
	}
}

// TestWhatMayBeIt: a post that is like ours and not the same is left to a person, and nothing is sent.
func TestWhatMayBeIt(t *testing.T) {
	const text = "Abrimos el sábado -- por la mañana... y el domingo también"
	for name, tc := range map[string]struct {
		change func(*mastodontest.Options)
		after  func(b *bench, id string, i *post.Intent)
		want   deliver.Outcome
		wait   bool
	}{
		"it is the same": {want: deliver.Accepted},
		"a server of another kind writes it in another way": {
			change: func(o *mastodontest.Options) { o.Plain = true }, want: deliver.Unknown,
		},
		"somebody mended it": {
			after: func(b *bench, id string, _ *post.Intent) { b.fake.Edit(id, text+". ¡Venid!", b.now) }, want: deliver.Unknown,
		},
		"somebody put something else into it": {
			after: func(b *bench, id string, _ *post.Intent) { b.fake.Edit(id, "Cerrado por obras", b.now) }, want: deliver.Untouched,
		},
		"it is another's": {
			after: func(_ *bench, id string, i *post.Intent) { i.Taken = func(other string) bool { return other == id } }, want: deliver.Untouched,
		},
		"it was there before": {
			after: func(b *bench, _ string, i *post.Intent) { i.At = b.now.Add(-10 * time.Minute) }, want: deliver.Untouched,
		},
		"the request may be under way": {
			after: func(b *bench, id string, i *post.Intent) { b.fake.DeleteQuietly(id); i.Tried = b.now.Add(-time.Minute) }, want: deliver.Unknown, wait: true,
		},
		"with another warning": {
			after: func(_ *bench, _ string, i *post.Intent) { i.Post.Warning = "Horarios" }, want: deliver.Unknown,
		},
		"with other images": {
			after: func(b *bench, _ string, i *post.Intent) {
				i.Post.Parts[0].Images = []post.Image{{Data: picture(b.t), Alt: "Bici"}}
			}, want: deliver.Unknown,
		},
		"it answers something": {
			after: func(_ *bench, _ string, i *post.Intent) { i.Post.ReplyTo = &post.Target{ID: "77"} }, want: deliver.Unknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, tc.change)
			i := b.intent(text)
			id := b.accept(i).Posted[0].ID
			b.now = b.now.Add(30 * time.Minute)
			if tc.after != nil {
				tc.after(b, id, i)
			}
			r, err := b.p.Find(context.Background(), i)
			if err != nil || r.Outcome != tc.want || (r.RetryIn > 0) != tc.wait {
				t.Fatalf("it is %s (%s, again in %s): %v", r.Outcome, r.Reply, r.RetryIn, err)
			}
			if tc.want == deliver.Unknown && !tc.wait && !strings.Contains(r.Reply, "https://") {
				t.Errorf("it does not tell where to look: %s", r.Reply)
			}
		})
	}
}

// TestDeletedByAPerson: a server that keeps keys does not publish again what somebody has taken back.
func TestDeletedByAPerson(t *testing.T) {
	b := newBench(t, nil)
	i := b.intent("Mejor no")
	b.fake.Delete(b.accept(i).Posted[0].ID)
	b.now = b.now.Add(10 * time.Minute)
	if r, err := b.p.Find(context.Background(), i); err != nil || r.Outcome != deliver.Untouched {
		t.Fatalf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	if r, err := b.publish(i); err != nil || r.Outcome != deliver.Refused || !strings.Contains(r.Reply, "deleted") {
		t.Errorf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	if len(b.fake.Posted()) > 0 {
		t.Error("it was published again")
	}
}

// TestFindsAmongMany: the account has written more since than a page holds, and at last more than anybody looks through.
func TestFindsAmongMany(t *testing.T) {
	for more, want := range map[int]deliver.Outcome{90: deliver.Accepted, 401: deliver.Unknown} {
		b := newBench(t, nil)
		i := b.intent("La primera de todas")
		b.accept(i)
		for n := range more {
			b.now = b.now.Add(time.Second)
			b.fake.Publish(mastodontest.Post{Author: mastodontest.Account, Text: fmt.Sprintf("Otra más, número %d", n)})
		}
		b.now = b.now.Add(time.Hour)
		r, err := b.p.Find(context.Background(), i)
		if err != nil || r.Outcome != want || r.RetryIn != 0 {
			t.Errorf("after %d it is %s %s: %v", more, r.Outcome, r.Reply, err)
		}
	}
}

// TestForbidden: what the account may not is the channel's trouble; what this post may not is its own.
func TestForbidden(t *testing.T) {
	for name, tc := range map[string]struct {
		words   string
		account int // status of verify_credentials after it
		want    deliver.Outcome
		trouble string
	}{
		"scopes":      {"This action is outside the authorized scopes", 0, deliver.Untouched, "write:statuses"},
		"suspended":   {"Your account is suspended", http.StatusForbidden, deliver.Untouched, "suspended"},
		"this post":   {"This action is not allowed", 0, deliver.Refused, ""},
		"revoked now": {"", http.StatusUnauthorized, deliver.Untouched, "Secret"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			refused := false
			b.before = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.URL.Path == "/api/v1/statuses":
					refused = true
					w.WriteHeader(http.StatusForbidden)
					_, _ = fmt.Fprintf(w, `{"error":%q}`, tc.words)
				case refused && tc.account != 0 && strings.HasSuffix(r.URL.Path, "verify_credentials"):
					w.WriteHeader(tc.account)
				default:
					return false
				}
				return true
			}
			r, err := b.publish(b.intent("Hola"))
			if r.Outcome != tc.want || (err != nil) != (tc.trouble != "") {
				t.Fatalf("it is %s %s: %v", r.Outcome, r.Reply, err)
			}
			if err != nil && !strings.Contains(err.Error(), tc.trouble) {
				t.Errorf("it does not tell %q: %v", tc.trouble, err)
			}
		})
	}
}

// TestImagesOfTheServer: what a server says of images that are too much for it, or never ready.
func TestImagesOfTheServer(t *testing.T) {
	b := newBench(t, func(o *mastodontest.Options) { o.Processing = 1 << 30 })
	i := b.intent("Mirad")
	i.Post.Parts[0].Images = []post.Image{{Data: picture(t), Alt: "Bici"}}
	if r, err := b.publish(i); err != nil || r.Outcome != deliver.Deferred {
		t.Errorf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	i.Post.Parts[0].Images[0].Alt = strings.Repeat("é", 1501)
	if r, err := b.publish(i); err != nil || r.Outcome != deliver.Refused || !strings.Contains(r.Reply, "1501") {
		t.Errorf("it is %s %s: %v", r.Outcome, r.Reply, err)
	}
	if len(b.fake.Posted()) > 0 {
		t.Error("it was posted")
	}
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]mastodon.Options{
		"no token":       {Server: wire.Options{Base: "https://social.example"}},
		"a broken token": {Server: wire.Options{Base: "https://social.example"}, Token: "a\r\nb"},
		"no address":     {Token: "t"},
		"another scheme": {Server: wire.Options{Base: "ftp://social.example", TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, Token: "t"},
		"a user":         {Server: wire.Options{Base: "https://s3cret@social.example"}, Token: "t"},
		"a path":         {Server: wire.Options{Base: "https://social.example/@velo"}, Token: "t"},
	} {
		if _, err := mastodon.New(o); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
