//go:build interop

package real

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	publish "github.com/tertulia-crm/tertulia/internal/deliver/bluesky"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// cutter stands before the real server, and ends connections when that has answered a request to publish.
type cutter struct {
	*httptest.Server
	cut atomic.Bool
}

func newCutter(t *testing.T, service string) *cutter {
	t.Helper()
	at, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{}
	proxy := httputil.NewSingleHostReverseProxy(at)
	proxy.ModifyResponse = func(r *http.Response) error {
		if strings.HasSuffix(r.Request.URL.Path, ".createRecord") && c.cut.Swap(false) {
			_, _ = io.Copy(io.Discard, r.Body)
			return errCut
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	c.Server = httptest.NewServer(proxy)
	t.Cleanup(c.Close)
	return c
}

var errCut = errors.New("the answer is kept back")

// publishing is what tests of publishing share.
type publishing struct {
	n   *atNetwork
	us  *person
	p   *publish.Publisher
	via *cutter
}

// recordOf is a post as the repository has it.
type recordOf struct {
	Text   string
	Reply  struct{ Root, Parent written }
	Facets []struct{ Features []map[string]any }
	Embed  struct {
		Images []struct {
			Alt         string
			AspectRatio struct{ Width, Height int }
		}
	}
}

func (p *publishing) intent(id string, texts ...string) *post.Intent {
	i := &post.Intent{ID: id, At: time.Now(), Post: post.Post{Language: "es"}}
	for _, text := range texts {
		i.Post.Parts = append(i.Post.Parts, post.Part{Text: text})
	}
	return i
}

func (p *publishing) publish(t *testing.T, i *post.Intent, want deliver.Outcome) post.Result {
	t.Helper()
	r, err := p.p.Publish(t.Context(), i)
	if err != nil || r.Outcome != want {
		t.Fatalf("it is %s (%d %s): %v", r.Outcome, r.Code, r.Reply, err)
	}
	i.Posted = r.Posted
	return r
}

func (p *publishing) find(t *testing.T, i *post.Intent, want deliver.Outcome) post.Result {
	t.Helper()
	r, err := p.p.Find(t.Context(), i)
	if err != nil || r.Outcome != want {
		t.Fatalf("the look-up tells %s (%d %s): %v", r.Outcome, r.Code, r.Reply, err)
	}
	i.Posted = r.Posted
	return r
}

// posts are all of ours, as the server lists them, the newest first.
func (p *publishing) posts(t *testing.T) (all []recordOf) {
	t.Helper()
	var answer struct {
		Records []struct{ Value json.RawMessage }
	}
	p.n.call(p.us, http.MethodGet, "com.atproto.repo.listRecords", "?collection=app.bsky.feed.post&repo="+url.QueryEscape(p.us.DID), nil, &answer)
	for _, one := range answer.Records {
		var r recordOf
		if err := json.Unmarshal(one.Value, &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func (p *publishing) count(t *testing.T, text string) (found recordOf, n int) {
	t.Helper()
	for _, r := range p.posts(t) {
		if r.Text == text {
			found = r
			n++
		}
	}
	return found, n
}

func TestBlueskyPublish(t *testing.T) {
	n := startNetwork(t)
	us, ana := n.join("tienda"), n.join("ana")
	via := newCutter(t, n.Service)
	o := publish.Options{
		Server:     wire.Options{Base: via.URL, Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}},
		Identifier: us.Handle, Password: us.appPassword("publicar"),
	}
	publisher, err := publish.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &publishing{n: n, us: us, p: publisher, via: via}
	report := report{"Bluesky, out", theirServers}
	report.holds(t, "an answer in a thread: root and parent with their CIDs, seen by the AppView", func(t *testing.T) { p.verifyAnswer(t, ana) })
	report.holds(t, "the answer cut after createRecord: getRecord finds the post, and a second createRecord writes none", func(t *testing.T) { p.verifyCut(t) })
	report.holds(t, "a thread of three, cut in the middle and finished", func(t *testing.T) { p.verifyThread(t) })
	report.holds(t, "an image with its description; link, tag and mention by resolveHandle", func(t *testing.T) { p.verifyImage(t, ana) })
	report.holds(t, "an answer to a post that was deleted: Refused", func(t *testing.T) { p.verifyGone(t, ana) })
	report.holds(t, "300 graphemes with 3,000 bytes are taken, and more not sent", func(t *testing.T) { p.verifyLimits(t) })
	report.holds(t, "an app password that was revoked: the channel's trouble", func(t *testing.T) {
		n.call(us, http.MethodPost, "com.atproto.server.revokeAppPassword", "", map[string]string{"name": "publicar"}, nil)
		again, err := publish.New(o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := again.Publish(t.Context(), p.intent("revoked", "Ya no"))
		var trouble *deliver.Trouble
		if r.Outcome != deliver.Untouched || !errors.As(err, &trouble) || strings.Contains(err.Error(), o.Password) {
			t.Errorf("it is %s %s: %v", r.Outcome, r.Reply, err)
		}
	})
}

func (p *publishing) verifyAnswer(t *testing.T, ana *person) {
	first := ana.post(map[string]any{"text": "¿Alguien conoce una tienda?"})
	second := ana.post(map[string]any{"text": "De bicis", "reply": map[string]any{"root": first.reference(), "parent": first.reference()}})
	ana.awaitShown(second)
	i := p.intent("answer", "Sí: la nuestra.")
	i.Post.ReplyTo = &post.Target{ID: second.URI}
	r := p.publish(t, i, deliver.Accepted)
	got, n := p.count(t, "Sí: la nuestra.")
	if n != 1 || got.Reply.Root != first || got.Reply.Parent != second {
		t.Errorf("%d posts, and it answers %+v", n, got.Reply)
	}
	p.us.awaitShown(written{URI: r.Posted[0].ID, CID: r.Posted[0].CID})
}

func (p *publishing) verifyCut(t *testing.T) {
	i := p.intent("cut", "Una sola vez")
	p.find(t, i, deliver.Untouched)
	p.via.cut.Store(true)
	p.publish(t, i, deliver.Unknown)
	r := p.publish(t, i, deliver.Unknown) // by a caller that does not look: the server refuses the key
	if r.Code != http.StatusInternalServerError {
		t.Logf("a second record of the key is refused with %d %s", r.Code, r.Reply)
	}
	p.find(t, i, deliver.Accepted)
	if _, n := p.count(t, "Una sola vez"); n != 1 {
		t.Errorf("%d posts", n)
	}
}

func (p *publishing) verifyThread(t *testing.T) {
	i := p.intent("thread", "Uno", "Dos", "Tres")
	p.via.cut.Store(true)
	p.publish(t, i, deliver.Unknown)
	p.find(t, i, deliver.Untouched)
	p.via.cut.Store(true)
	p.publish(t, i, deliver.Unknown)
	p.find(t, i, deliver.Untouched)
	p.publish(t, i, deliver.Accepted)
	for n, text := range []string{"Uno", "Dos", "Tres"} {
		got, count := p.count(t, text)
		if count != 1 || n > 0 && (got.Reply.Root.URI != i.Posted[0].ID || got.Reply.Parent.URI != i.Posted[n-1].ID || got.Reply.Parent.CID != i.Posted[n-1].CID) {
			t.Errorf("%s: %d posts, and it answers %+v", text, count, got.Reply)
		}
	}
}

func (p *publishing) verifyImage(t *testing.T, ana *person) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 16, 9))); err != nil {
		t.Fatal(err)
	}
	const text = "¡Mira, @ana.test! https://velo.example/ñ #bici"
	i := p.intent("image", text)
	i.Post.Parts[0].Images = []post.Image{{Data: picture.Bytes(), Alt: "una bici gris"}}
	p.publish(t, i, deliver.Accepted)
	got, n := p.count(t, text)
	if n != 1 || len(got.Embed.Images) != 1 || got.Embed.Images[0].Alt != "una bici gris" || got.Embed.Images[0].AspectRatio.Width != 16 {
		t.Fatalf("%d posts, with %+v", n, got.Embed)
	}
	if len(got.Facets) != 3 || got.Facets[0].Features[0]["did"] != ana.DID {
		t.Errorf("it has %+v", got.Facets)
	}
}

func (p *publishing) verifyGone(t *testing.T, ana *person) {
	w := ana.post(map[string]any{"text": "Lo borro"})
	ana.remove(w)
	i := p.intent("gone", "¿El qué?")
	i.Post.ReplyTo = &post.Target{ID: w.URI}
	if r := p.publish(t, i, deliver.Refused); !strings.Contains(r.Reply, "deleted") {
		t.Errorf("it says %s", r.Reply)
	}
	i.Post.ReplyTo = &post.Target{ID: "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/3lbaaaaaaaa2a"}
	if r := p.publish(t, i, deliver.Refused); !strings.Contains(r.Reply, "deleted") {
		t.Errorf("of nobody's post it says %s", r.Reply)
	}
}

func (p *publishing) verifyLimits(t *testing.T) {
	const family = "👨‍👩‍👧‍👦" // one grapheme of 25 bytes
	text := strings.Repeat(family, 111) + strings.Repeat("é", 36) + strings.Repeat("x", 153)
	p.publish(t, p.intent("longest", text), deliver.Accepted)
	p.publish(t, p.intent("too long", text+"z"), deliver.Refused)
	if _, n := p.count(t, text); n != 1 {
		t.Errorf("%d posts", n)
	}
}
