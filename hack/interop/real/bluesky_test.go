//go:build interop

package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// The servers, as the table names them. No Jetstream is among them: its program comes from no registry. What the relay's stream says is given the
// form that a Jetstream gives it by network.js.
const (
	theirServers = "PDS, AppView (npm)"
	theirStream  = "PDS (npm), own Jetstream"
)

func (n *atNetwork) settings(keywords ...string) bluesky.Settings {
	s := bluesky.Settings{Service: n.Service, AppView: n.AppView, Jetstream: n.Stream}
	for _, k := range keywords {
		s.Keywords = append(s.Keywords, match.Term{Word: k})
	}
	return s
}

func credentials(identifier, password string) map[string]string {
	return map[string]string{bluesky.CredentialIdentifier: identifier, bluesky.CredentialPassword: password}
}

func TestBluesky(t *testing.T) {
	n := startNetwork(t)
	velo, ana := n.join("velo"), n.join("ana")
	verifyStream(t, n, ana, n.join("bob"), n.join("eva"))
	verifyInbox(t, n, velo, ana)
}

// begin streams until the function that it returns is called.
func (r *reader) begin() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.c.(listen.Streamer).Stream(ctx, r.at, r.take) }()
	return func() {
		r.t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			r.t.Errorf("the stream ends with: %v", err)
		}
	}
}

func (r *reader) await(text string) listen.Post {
	r.t.Helper()
	eventually(r.t, text, func() {}, func() bool { _, there := r.find(text); return there })
	p, _ := r.find(text)
	return p
}

func (r *reader) isDeleted(d listen.Deletion) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.deleted {
		if other == d {
			return true
		}
	}
	return false
}

// firstPost streams until something comes: a stream tells what is new, and does not say when it has begun.
func (r *reader) firstPost(author *person) (stop func()) {
	stop = r.begin()
	tries := 0
	eventually(r.t, "the stream to begin", func() {
		tries++
		author.post(map[string]any{"text": fmt.Sprintf("velo, intento %d", tries)})
	}, func() bool { _, there := r.find("velo, intento"); return there })
	return stop
}

func verifyStream(t *testing.T, n *atNetwork, ana, bob, eva *person) {
	report := report{"Bluesky", theirStream}
	r := newReader(t, open(t, "Bluesky", options(t, n.settings("velo"), nil)), nil)
	stop := r.firstPost(ana)
	var posted written
	report.holds(t, "a keyword: text, language, link, hashtag, mention, picture, card", func(t *testing.T) {
		verifyRecord(t, n, r, ana, bob, &posted)
	})
	report.holds(t, "an author's name by getProfiles without a log-in", func(t *testing.T) {
		if a := r.await("nuevo velo").Author; a.Handle != "ana.test" || a.Name != "Ana" || a.Followers == nil {
			t.Errorf("the author is %+v", a)
		}
	})
	report.holds(t, "an edit (putRecord) as another edition", func(t *testing.T) {
		edited := ana.edit(posted, map[string]any{"text": "Mi velo, corregido"})
		if p := r.await("velo, corregido"); p.ID != posted.URI || p.Revision != edited.CID || p.EditedAt.IsZero() {
			t.Errorf("the edition is %+v", p)
		}
	})
	report.holds(t, "a deletion (deleteRecord)", func(t *testing.T) {
		ana.remove(posted)
		eventually(t, "the deletion", func() {}, func() bool { return r.isDeleted(listen.Deletion{PostID: posted.URI}) })
	})
	report.holds(t, "an account taken down, and one deleted: all they wrote is forgotten", func(t *testing.T) {
		n.call(nil, http.MethodPost, "com.atproto.admin.deleteAccount", "", map[string]any{"did": eva.DID}, nil)
		n.call(nil, http.MethodPost, "com.atproto.admin.updateSubjectStatus", "", map[string]any{
			"subject":  map[string]any{"$type": "com.atproto.admin.defs#repoRef", "did": bob.DID},
			"takedown": map[string]any{"applied": true, "ref": "1"},
		}, nil)
		eventually(t, "both accounts' deletion", func() {}, func() bool {
			return r.isDeleted(listen.Deletion{AuthorID: bob.DID}) && r.isDeleted(listen.Deletion{AuthorID: eva.DID})
		})
	})
	stop()
	report.holds(t, "replay by cursor after a break, without a gap", func(t *testing.T) {
		ana.post(map[string]any{"text": "velo, mientras nadie oía"})
		again := newReader(t, open(t, "Bluesky", options(t, n.settings("velo"), nil)), r.at)
		defer again.begin()()
		again.await("mientras nadie oía")
		if len(again.gaps) > 0 {
			t.Errorf("gaps: %+v", again.gaps)
		}
	})
}

// verifyRecord writes a post with all that posts have, and finds all of it.
func verifyRecord(t *testing.T, n *atNetwork, r *reader, ana, bob *person, posted *written) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	var uploaded struct{ Blob map[string]any }
	n.call(ana, http.MethodPost, "com.atproto.repo.uploadBlob", "", picture.Bytes(), &uploaded)
	const text = "¡Mi nuevo velo! @bob.test velo.example #bici"
	part := func(of string, feature map[string]any) map[string]any {
		at := strings.Index(text, of)
		return map[string]any{"index": map[string]any{"byteStart": at, "byteEnd": at + len(of)}, "features": []any{feature}}
	}
	*posted = ana.post(map[string]any{
		"text": text,
		"facets": []any{
			part("@bob.test", map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": bob.DID}),
			part("velo.example", map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": "https://velo.example/tienda"}),
			part("#bici", map[string]any{"$type": "app.bsky.richtext.facet#tag", "tag": "bici"}),
		},
		"embed": map[string]any{"$type": "app.bsky.embed.images", "images": []any{map[string]any{"alt": "un velo gris", "image": uploaded.Blob}}},
	})
	ana.post(map[string]any{"text": "velo, con tarjeta", "embed": map[string]any{
		"$type": "app.bsky.embed.external", "external": map[string]any{"uri": "https://velo.example/otra", "title": "Otra", "description": "página"},
	}})
	p := r.await("nuevo velo")
	if p.ID != posted.URI || p.Revision != posted.CID || p.Text != text || p.Language != "es" || p.Author.ID != ana.DID || p.Kind != listen.Original {
		t.Errorf("the post is %+v", p)
	}
	if len(p.Mentions) != 1 || p.Mentions[0].ID != bob.DID || len(p.Links) != 1 || p.Links[0] != "https://velo.example/tienda" || len(p.Tags) != 1 || p.Tags[0] != "bici" {
		t.Errorf("mentions %+v, links %v, tags %v", p.Mentions, p.Links, p.Tags)
	}
	link, _ := uploaded.Blob["ref"].(map[string]any)
	if len(p.Media) != 1 || p.Media[0].Description != "un velo gris" || !strings.Contains(p.Media[0].URL, fmt.Sprint(link["$link"])) {
		t.Errorf("media %+v", p.Media)
	}
	if card := r.await("con tarjeta"); len(card.Links) != 1 || card.Links[0] != "https://velo.example/otra" {
		t.Errorf("the card is %+v", card)
	}
}

func verifyInbox(t *testing.T, n *atNetwork, velo, ana *person) {
	report := report{"Bluesky", theirServers}
	settings := n.settings()
	settings.Mentions = true
	password := velo.appPassword("tertulia")
	c := open(t, "Bluesky", options(t, settings, credentials("velo.test", password)))
	r := newReader(t, c, nil)
	report.holds(t, "a log-in with an app password", func(*testing.T) { r.poll() })
	ours := velo.post(map[string]any{"text": "Abrimos a las diez"})
	velo.awaitShown(ours)
	reply := ana.post(map[string]any{"text": "¿También el sábado?", "reply": map[string]any{"root": ours.reference(), "parent": ours.reference()}})
	report.holds(t, "a mention, an answer with thread and parent, a quote", func(t *testing.T) {
		verifyReasons(t, r, velo, ana, ours)
	})
	report.holds(t, "author, name and engagement by getPosts", func(t *testing.T) {
		if p, _ := r.find("¿También el sábado?"); p.Author.Handle != "ana.test" || p.Author.Name != "Ana" || p.Engagement == nil {
			t.Errorf("the answer is %+v", p)
		}
	})
	report.holds(t, "what was said long ago, and came only now", func(t *testing.T) {
		ana.post(map[string]any{"text": "dicho en 2023", "createdAt": "2023-11-22T10:00:00Z", "reply": map[string]any{"root": ours.reference(), "parent": ours.reference()}})
		eventually(t, "the old one", r.poll, func() bool { _, there := r.find("dicho en 2023"); return there })
	})
	report.holds(t, "nothing twice", func(t *testing.T) {
		before := r.editions
		for range 3 {
			r.poll()
		}
		if r.editions != before {
			t.Errorf("%d came again", r.editions-before)
		}
	})
	report.holds(t, "an edit, seen by a poll", func(t *testing.T) {
		edited := ana.edit(reply, map[string]any{"text": "¿También el domingo?", "reply": map[string]any{"root": ours.reference(), "parent": ours.reference()}})
		eventually(t, "the edition", r.poll, func() bool { _, there := r.find("el domingo"); return there })
		if p, _ := r.find("el domingo"); p.ID != reply.URI || p.Revision != edited.CID {
			t.Errorf("the edition is %+v", p)
		}
	})
	report.holds(t, "a deletion, seen by a poll", func(t *testing.T) {
		ana.remove(reply)
		eventually(t, "the deletion", r.poll, func() bool { return r.isDeleted(listen.Deletion{PostID: reply.URI}) })
	})
	verifySession(t, n, velo, settings, password)
}

func verifyReasons(t *testing.T, r *reader, velo, ana *person, ours written) {
	ana.post(map[string]any{"text": "Hola @velo.test", "facets": []any{map[string]any{
		"index":    map[string]any{"byteStart": 5, "byteEnd": 15},
		"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": velo.DID}},
	}}})
	ana.post(map[string]any{"text": "Mirad esto", "embed": map[string]any{"$type": "app.bsky.embed.record", "record": ours.reference()}})
	eventually(t, "all three", r.poll, func() bool {
		_, mention := r.find("Hola @velo.test")
		_, answer := r.find("¿También el sábado?")
		_, quote := r.find("Mirad esto")
		return mention && answer && quote
	})
	if p, _ := r.find("¿También el sábado?"); p.Kind != listen.Reply || p.Parent != ours.URI || p.Thread != ours.URI || p.URL == "" {
		t.Errorf("the answer is %+v", p)
	}
	if p, _ := r.find("Mirad esto"); p.Kind != listen.Quote || p.Subject != ours.URI {
		t.Errorf("the quote is %+v", p)
	}
	if p, _ := r.find("Hola @velo.test"); len(p.Mentions) != 1 || p.Mentions[0].ID != velo.DID {
		t.Errorf("the mention is %+v", p)
	}
}

// spoiler gives requests a token that is no good, as one is that has expired.
type spoiler struct {
	listen.HTTPClient
	spoil bool
	asked []string
}

// Do implements listen.HTTPClient.
func (s *spoiler) Do(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.URL.Path[strings.LastIndexByte(r.URL.Path, '.')+1:])
	if s.spoil && r.Method == http.MethodGet {
		s.spoil = false
		r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 40))
	}
	return s.HTTPClient.Do(r)
}

func verifySession(t *testing.T, n *atNetwork, velo *person, settings bluesky.Settings, password string) {
	report := report{"Bluesky", theirServers}
	report.holds(t, "a session renewed (refreshSession) when its token is over", func(t *testing.T) {
		o := options(t, settings, credentials(velo.DID, password))
		s := &spoiler{HTTPClient: o.Client}
		o.Client = s
		r := newReader(t, open(t, "Bluesky", o), nil)
		r.poll()
		s.spoil, s.asked = true, nil
		r.poll()
		if got := strings.Join(s.asked, " "); !strings.HasPrefix(got, "listNotifications refreshSession listNotifications") {
			t.Errorf("it asked for %s", got)
		}
	})
	expect := func(t *testing.T, identifier, password string, want listen.Reason) {
		t.Helper()
		o := options(t, settings, credentials(identifier, password))
		o.Client = &spoiler{HTTPClient: o.Client, spoil: true} // a token that was given out before a password was revoked holds for two hours more
		_, err := open(t, "Bluesky", o).(listen.Poller).Poll(t.Context(), nil)
		var trouble *listen.Trouble
		if !errors.As(err, &trouble) || trouble.Reason != want || strings.Contains(trouble.Message, password) {
			t.Errorf("it says: %v", err)
		}
	}
	report.holds(t, "a wrong password, and a revoked one: Unauthorized", func(t *testing.T) {
		expect(t, "velo.test", "nope-nope-nope-nope", listen.Unauthorized)
		n.call(velo, http.MethodPost, "com.atproto.server.revokeAppPassword", "", map[string]string{"name": "tertulia"}, nil)
		expect(t, "velo.test", password, listen.Unauthorized)
	})
	report.holds(t, "an account that is deactivated: Forbidden", func(t *testing.T) {
		other := velo.appPassword("other")
		n.call(velo, http.MethodPost, "com.atproto.server.deactivateAccount", "", map[string]any{}, nil)
		expect(t, "velo.test", other, listen.Forbidden)
	})
}
