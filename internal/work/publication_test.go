package work_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/posttest"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// publishes declares the campaign "spring" as a publication over a channel: in Spanish a thread of two with a picture, in English one post.
func (w *town) publishes(channel string, change func(*store.SendConfig)) {
	w.t.Helper()
	_, err := w.db.SaveTemplate(context.Background(), store.Template{Name: "tour", DefaultLocale: "es", Digest: "tour", Content: []store.TemplateContent{
		{Locale: "es", Text: "La vuelta de {{ tenant.display_name }}\n---\nhttps://velo.example/vuelta"}, {Locale: "en", Text: "The tour"},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(picture.Bytes())
	digest := hex.EncodeToString(sum[:])
	w.campaign(func(c *store.SendConfig) {
		c.Purpose, c.Segments, c.Channel, c.MaxRecipients = "", nil, channel, 2
		c.Variants = []store.SendVariant{{Name: "a", Template: "tour", Weight: 1}}
		c.Publication = &publication.Plan{
			Locales: []string{"es", "en"}, Images: []publication.Image{{Digest: digest, Part: 1, Alt: map[string]string{"es": "Una bici", "en": "A bike"}}},
		}
		c.Images = map[string][]byte{digest: picture.Bytes()}
		if change != nil {
			change(c)
		}
	})
}

func TestAPublicationIsPublishedAtItsTime(t *testing.T) {
	w := newTown(t)
	w.publishes("fediverse", nil)
	w.worker(w.options())
	w.worker(w.options())
	w.becomes("Completed planned 2 sent 2 failed 0 ambiguous 0 pending 0")
	posted := w.instance.Posted()
	if len(posted) != 3 {
		t.Fatalf("on the instance: %+v", posted)
	}
	// Two workers may publish two languages at a time: the thread of each is in its order.
	slices.SortStableFunc(posted, func(a, b mastodontest.Posted) int { return strings.Compare(b.Language, a.Language) })
	first := posted[0].ID
	for i := range posted {
		posted[i].ID = ""
	}
	want := []mastodontest.Posted{
		{Text: "La vuelta de Velo Ciclismo", Language: "es", Visibility: "public", Alts: []string{"Una bici"}},
		{Text: "https://velo.example/vuelta", Language: "es", Visibility: "public", InReplyTo: first},
		{Text: "The tour", Language: "en", Visibility: "public", Alts: []string{"A bike"}},
	}
	if diff := cmp.Diff(want, posted); diff != "" {
		t.Errorf("on the instance: -want +got:\n%s", diff)
	}
	status := w.status()
	if len(status.Posts) != 2 || status.Posts[0].Locale != "es" || !strings.HasPrefix(status.Posts[0].URL, "https://") {
		t.Errorf("what the campaign tells: %+v", status.Posts)
	}
	if got := w.ask("select string_agg(step || ' ' || part || ' ' || (native_id = '" + first + "'), ', ' order by seq, part) from publication_part join ledger using (send_id, seq)"); got != "es 1 true, es 2 false, en 1 false" {
		t.Errorf("the ledger has the ids %s", got)
	}
	// What answers them is a message to us.
	if got := w.ask("select string_agg(distinct (p.native_id is not null)::text || ' ' || o.n, '') from (select *, count(*) over () n from own_post) o left join publication_part p using (network, native_id)"); got != "true 3" {
		t.Errorf("of what was published is known to be ours: %s", got)
	}
}

// TestWhateverBreaksAPublicationIsThereOnce has the first request that publishes break in each way, on servers that keep no keys.
func TestWhateverBreaksAPublicationIsThereOnce(t *testing.T) {
	for _, fault := range []posttest.Fault{posttest.CutBefore, posttest.CutAfter, posttest.FailAfter, posttest.Throttle, posttest.HangAfter} {
		for _, channel := range []string{"fediverse", "sky"} {
			t.Run(string(fault)+" "+channel, func(t *testing.T) {
				t.Parallel()
				w := newTown(t)
				w.timeout = 5 * time.Second
				w.publishes(channel, nil)
				w.front.Break(fault, 1)
				w.skyFront.Break(fault, 1)
				w.worker(w.options())
				w.eventually("it is completed", func() bool {
					w.hurries()
					return w.status().State == campaign.Completed
				})
				if got := counts(w.status()); got != "Completed planned 2 sent 2 failed 0 ambiguous 0 pending 0" {
					t.Error(got)
				}
				if texts, _ := w.on(); len(texts) != 3 {
					t.Errorf("on the network are %q", texts)
				}
			})
		}
	}
}

// TestADeadWorkersPublicationIsLookedFor: the worker died after its intent, with the first part of the thread there or not; and perhaps a person aborted
// the campaign meanwhile: what is under way is found out all the same, and nothing else begins.
func TestADeadWorkersPublicationIsLookedFor(t *testing.T) {
	tests := map[string]struct {
		left, aborted bool
		posts         int
		want          string
	}{
		"it had left":              {true, false, 3, "Completed planned 2 sent 2 failed 0 ambiguous 0 pending 0"},
		"it had not":               {false, false, 3, "Completed planned 2 sent 2 failed 0 ambiguous 0 pending 0"},
		"it was aborted meanwhile": {false, true, 0, "Aborted planned 2 sent 0 failed 0 ambiguous 0 pending 0 Aborted 2"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			o := w.options()
			w.publishes("fediverse", nil)
			w.begins()
			ctx, rules := t.Context(), store.NewRules(w.db)
			taken, err := rules.TakeOutbox(ctx, "fediverse", 1, time.Minute)
			if err != nil || len(taken) != 1 {
				t.Fatalf("%+v, %v", taken, err)
			}
			body, err := taken[0].ReadPost()
			if err != nil {
				t.Fatal(err)
			}
			p, err := rules.IntendPosting(ctx, taken[0], store.WrittenPost{PostDocument: *body.Post}, true)
			if err != nil {
				t.Fatal(err)
			}
			if tc.left {
				w.publishFirst(p, body.Post)
			}
			if tc.aborted {
				if err := w.db.CommandSend(ctx, "spring", store.Command{Verb: campaign.Abort, Token: "t", By: "ana", Reason: "wrong"}); err != nil {
					t.Fatal(err)
				}
			}
			w.exec("update outbox set leased_until = now() - interval '1 second' where state = 'intent'")
			w.worker(o)
			w.eventually(tc.want, func() bool {
				w.hurries()
				return counts(w.status()) == tc.want
			})
			if texts, _ := w.on(); len(texts) != tc.posts {
				t.Errorf("on the network are %q", texts)
			}
		})
	}
}

// begins does what a worker does for a publication whose time has come, and hands nothing over.
func (w *town) begins() {
	w.t.Helper()
	ctx := context.Background()
	open, err := w.db.OpenSends(ctx)
	if err != nil || len(open) != 1 {
		w.t.Fatalf("%+v, %v", open, err)
	}
	if open[0].State != campaign.Freezing {
		if _, err := w.db.MoveSend(ctx, open[0], campaign.Freezing, ""); err != nil {
			w.t.Fatal(err)
		}
		open[0].State = campaign.Freezing
	}
	job, err := w.db.LoadPublicationJob(ctx, open[0].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	posts := []publication.Post{
		{Locale: "es", Parts: []publication.Part{{Text: "La vuelta de Velo"}, {Text: "https://velo.example/vuelta"}}},
		{Locale: "en", Parts: []publication.Part{{Text: "The tour"}}},
	}
	if state, err := w.db.PublishSend(ctx, open[0], job, posts, time.Now()); err != nil || state != campaign.Sending {
		w.t.Fatalf("%s, %v", state, err)
	}
}

// publishFirst publishes the first part of a thread, as a worker does that dies before it can tell.
func (w *town) publishFirst(p store.Posting, d *store.PostDocument) {
	w.t.Helper()
	publisher, err := w.options().Publisher(store.Channel{Type: store.MastodonType, Social: store.SocialSettings{Server: w.front.URL()}},
		credentials.Channel{AccessToken: mastodontest.Token})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := publisher.Publish(context.Background(), &post.Intent{
		ID: p.DedupID, At: p.IntentAt, Tried: p.TriedAt, Post: post.Post{Parts: []post.Part{{Text: d.Parts[0].Text}}, Language: d.Language},
	})
	if err != nil || len(r.Posted) != 1 {
		w.t.Fatalf("%+v, %v", r, err)
	}
}

// TestAPublicationThatDoesNotFitWaitsInWords: the template was edited just before its time.
func TestAPublicationThatDoesNotFitWaitsInWords(t *testing.T) {
	w := newTown(t)
	w.publishes("sky", nil)
	w.exec(`update template set content = jsonb_set(content, '{1,text}', to_jsonb(repeat('a', 301))) where name = 'tour'`)
	w.worker(w.options())
	w.eventually("it says why", func() bool {
		return strings.Contains(w.status().Message, "locale en cannot be published on Bluesky: the text has 301 characters")
	})
	if texts, _ := w.on(); len(texts) != 0 {
		t.Errorf("on the network are %q", texts)
	}
	w.exec(`update template set content = jsonb_set(content, '{1,text}', '"The tour"'), digest = 'mended' where name = 'tour'`)
	w.becomes("Completed planned 2 sent 2 failed 0 ambiguous 0 pending 0")
}
