package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// publishing is a tenant with a channel of Mastodon and a campaign "tour" that publishes in two languages.
type publishing struct {
	sending
	rules *store.Rules
}

func newPublishing(t *testing.T) publishing {
	t.Helper()
	s := newSending(t, 0)
	s.exec(`insert into channel (name, type, settings) values ('mastodon', 'Mastodon', '{"server": "https://velo.example"}')`)
	return publishing{s, store.NewRules(s.DB)}
}

func (p publishing) config() store.SendConfig {
	return store.SendConfig{
		SendKey: "tour-2027", Campaign: "tour", Channel: "mastodon", MaxRecipients: 2, StartsAt: noon, Deadline: noon.Add(6 * time.Hour),
		Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}},
		Publication: &publication.Plan{
			Locales: []string{"es", "en"}, Images: []publication.Image{{Digest: "d1", Part: 1, Alt: map[string]string{"es": "Una bici", "en": "A bike"}}},
		},
		Images: map[string][]byte{"d1": {1, 2, 3}},
	}
}

func (p publishing) posts() []publication.Post {
	image := func(alt string) []publication.Described { return []publication.Described{{Digest: "d1", Alt: alt}} }
	return []publication.Post{
		{Locale: "es", Parts: []publication.Part{{Text: "Hola", Images: image("Una bici")}, {Text: "y adiós"}}},
		{Locale: "en", Parts: []publication.Part{{Text: "Hello", Images: image("A bike")}}},
	}
}

// publish begins the only open send.
func (p publishing) publish() campaign.State {
	p.t.Helper()
	ctx := context.Background()
	p.move(campaign.Freezing)
	open := p.open()
	if !open.Publishes {
		p.t.Fatal("the send is not known as a publication")
	}
	job, err := p.LoadPublicationJob(ctx, open.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	state, err := p.PublishSend(ctx, open, job, p.posts(), noon)
	if err != nil {
		p.t.Fatal(err)
	}
	return state
}

// begin declares the campaign and publishes it.
func (p publishing) begin() int64 {
	p.t.Helper()
	applied := p.upsert(p.config())
	if state := p.publish(); state != campaign.Sending {
		p.t.Fatalf("the send is %s, not Sending", state)
	}
	return applied.ID
}

// take leases what may leave, in the order in which it was put there.
func (p publishing) take() []store.Posting {
	p.t.Helper()
	p.exec("update outbox set not_before = now()")
	list, err := p.rules.TakeOutbox(context.Background(), "mastodon", 10, time.Minute)
	if err != nil {
		p.t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b store.Posting) int { return int(a.ID - b.ID) })
	return list
}

func (p publishing) intend(posting store.Posting) store.Posting {
	p.t.Helper()
	intended, err := p.rules.IntendPosting(context.Background(), posting, store.WrittenPost{}, true)
	if err != nil {
		p.t.Fatal(err)
	}
	return intended
}

func (p publishing) settleAs(posting store.Posting, state store.PostingState, parts ...store.PostedPart) {
	p.t.Helper()
	posting.Parts = parts
	if err := p.rules.SettleOutbox(context.Background(), []store.Posted{{Posting: posting, State: state, Reply: "said"}}); err != nil {
		p.t.Fatal(err)
	}
}

func (p publishing) ambiguous() []store.Posting {
	p.t.Helper()
	var all []store.Posting
	for _, posting := range p.take() {
		posting = p.intend(posting)
		p.settleAs(posting, store.PostingAmbiguous)
		all = append(all, posting)
	}
	return all
}

func (p publishing) tour() store.SendStatus {
	p.t.Helper()
	status, err := p.SendStatus(context.Background(), "tour")
	if err != nil {
		p.t.Fatal(err)
	}
	return status
}

// single is a single value of the database.
func single[T any](p publishing, sql string) (value T) {
	p.t.Helper()
	if err := p.Pool.QueryRow(context.Background(), sql).Scan(&value); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func TestAPublicationStandsInTheLedger(t *testing.T) {
	p := newPublishing(t)
	p.begin()
	if sends, _, err := p.SendableSends(t.Context()); err != nil || len(sends) != 0 {
		t.Errorf("a worker would lease the posts: %+v, %v", sends, err)
	}
	taken := p.take()
	if len(taken) != 2 {
		t.Fatalf("%d posts may leave, not 2", len(taken))
	}
	body, err := taken[0].ReadPost()
	if err != nil {
		t.Fatal(err)
	}
	want := &store.PostDocument{Language: "es", Parts: []store.PostPart{
		{Text: "Hola", Images: []store.PostImage{{Digest: "d1", Alt: "Una bici"}}}, {Text: "y adiós"},
	}}
	if diff := cmp.Diff(want, body.Post); diff != "" {
		t.Errorf("what leaves: -want +got:\n%s", diff)
	}
	images, err := p.LoadPublicationImages(t.Context(), body.Post.Digests())
	if diff := cmp.Diff(map[string][]byte{"d1": {1, 2, 3}}, images); err != nil || diff != "" {
		t.Errorf("its pictures: %v -want +got:\n%s", err, diff)
	}
	spanish, english := p.intend(taken[0]), p.intend(taken[1])
	if diff := cmp.Diff(campaign.Counts{Planned: 2, Pending: 2}, p.tour().Counts); diff != "" {
		t.Errorf("under way: -want +got:\n%s", diff)
	}
	p.checkLedger()
	if swept, err := p.SweepIntents(t.Context(), 0); err != nil || len(swept) != 0 {
		t.Errorf("the sweep takes intents of the outbox for lost ones: %v, %v", swept, err)
	}
	p.settleAs(spanish, store.PostingSent, store.PostedPart{ID: "11", URL: "https://velo.example/11"}, store.PostedPart{ID: "12", URL: "https://velo.example/12"})
	p.checkLedger()
	p.settleAs(english, store.PostingFailed)
	p.checkLedger()
	status := p.tour()
	if diff := cmp.Diff(campaign.Counts{Planned: 2, Sent: 1, Failed: 1}, status.Counts); diff != "" {
		t.Errorf("at the end: -want +got:\n%s", diff)
	}
	if len(status.Posts) != 1 || status.Posts[0].Locale != "es" || status.Posts[0].URL != "https://velo.example/11" {
		t.Errorf("the posts that are there: %+v", status.Posts)
	}
	if got := single[string](p, "select string_agg(network || ' ' || native_id, ', ' order by part) from publication_part"); got != "mastodon:velo.example 11, mastodon:velo.example 12" {
		t.Errorf("by what listeners know them: %s", got)
	}
	p.move(campaign.Completed)
	if got := single[int64](p, "select sum(intents)::bigint from send_chunk"); got != 2 {
		t.Errorf("the ledger's mark counts %d intents", got)
	}
}

func TestAPublicationIsPublishedOnce(t *testing.T) {
	p := newPublishing(t)
	p.begin()
	open := p.open()
	job, err := p.LoadPublicationJob(t.Context(), open.ID)
	if err != nil {
		t.Fatal(err)
	}
	open.State = campaign.Freezing
	if state, err := p.PublishSend(t.Context(), open, job, p.posts(), noon); err != nil || state != campaign.Freezing {
		t.Errorf("a second worker: %s, %v", state, err)
	}
	if got := single[int64](p, "select count(*) from outbox"); got != 2 {
		t.Errorf("%d posts are to leave", got)
	}
	// Its object comes back in another cluster, or is applied again.
	if err := p.DormantSend(t.Context(), "tour"); err != nil {
		t.Fatal(err)
	}
	if taken := p.take(); len(taken) != 0 {
		t.Errorf("%d posts of a campaign that was deleted may leave", len(taken))
	}
	p.upsert(p.config())
	if taken := p.take(); len(taken) != 2 {
		t.Errorf("%d posts of the campaign that came back may leave", len(taken))
	}
}

func TestAPublicationFollowsPeople(t *testing.T) {
	p := newPublishing(t)
	p.begin()
	pause := command(campaign.Pause)
	if err := p.CommandSend(t.Context(), "tour", pause); err != nil {
		t.Fatal(err)
	}
	if taken := p.take(); len(taken) != 0 {
		t.Fatal("posts of a paused campaign may leave")
	}
	if err := p.CommandSend(t.Context(), "tour", command(campaign.Resume)); err != nil {
		t.Fatal(err)
	}
	taken := p.take()
	if err := p.CommandSend(t.Context(), "tour", pause); err != nil {
		t.Fatal(err)
	}
	if _, err := p.rules.IntendPosting(t.Context(), taken[0], store.WrittenPost{}, true); !errors.Is(err, store.ErrPostingLost) {
		t.Errorf("a pause that came between: %v", err)
	}
	if err := p.CommandSend(t.Context(), "tour", command(campaign.Resume)); err != nil {
		t.Fatal(err)
	}
	under := p.intend(taken[0])
	if err := p.CommandSend(t.Context(), "tour", command(campaign.Abort)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.EndAbortedSends(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.checkLedger()
	if err := p.SweepPublications(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := single[string](p, "select string_agg(state, ' ' order by id) from outbox"); got != "intent failed" {
		t.Errorf("the outbox of an aborted campaign: %s", got)
	}
	p.settleAs(under, store.PostingSent, store.PostedPart{ID: "11"})
	if _, err := p.EndAbortedSends(t.Context()); err != nil {
		t.Fatal(err)
	}
	status := p.tour()
	if diff := cmp.Diff(campaign.Counts{Planned: 2, Sent: 1, Skipped: 1}, status.Counts); diff != "" || status.FinishedAt == nil {
		t.Errorf("what was under way is settled: finished %v -want +got:\n%s", status.FinishedAt, diff)
	}
}

func TestAmbiguousPostsArePublishedAgain(t *testing.T) {
	p := newPublishing(t)
	p.begin()
	before := p.ambiguous()
	if diff := cmp.Diff(campaign.Counts{Planned: 2, Ambiguous: 2}, p.tour().Counts); diff != "" {
		t.Fatalf("nobody knows: -want +got:\n%s", diff)
	}
	p.move(campaign.Completed)
	n, err := p.ResendAmbiguous(t.Context(), "tour", command(campaign.ResendAmbiguous))
	if err != nil || n != 2 {
		t.Fatalf("again: %d, %v", n, err)
	}
	p.checkLedger()
	p.move(campaign.Sending)
	again := p.take()
	if len(again) != 2 {
		t.Fatalf("%d posts leave again", len(again))
	}
	first := p.intend(again[0])
	if first.DedupID != before[0].DedupID || !first.IntentAt.Equal(before[0].IntentAt) || again[0].Look {
		t.Errorf("it leaves under another name: %+v, before %+v", first, before[0])
	}
	p.settleAs(first, store.PostingSent, store.PostedPart{ID: "11"})
	p.checkLedger()
	// A late answer of the attempt that was given up is believed once.
	if diff := cmp.Diff(campaign.Counts{Planned: 2, Sent: 1, Pending: 1}, p.tour().Counts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAPublicationTakesTheDeclarationOfItsMoment(t *testing.T) {
	changes := map[string]func(publishing, *store.SendConfig){
		"another language": func(_ publishing, c *store.SendConfig) { c.Publication.Locales = []string{"en"} },
		"another channel":  func(_ publishing, c *store.SendConfig) { c.Channel = "newsletter" },
		"another template": func(_ publishing, c *store.SendConfig) { c.Variants[0].Template = "summer" },
		"another text":     func(p publishing, _ *store.SendConfig) { p.exec("update template set digest = 'y'") },
		"suspended":        func(_ publishing, c *store.SendConfig) { c.Suspended = true },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			p := newPublishing(t)
			p.upsert(p.config())
			p.move(campaign.Freezing)
			open := p.open()
			job, err := p.LoadPublicationJob(t.Context(), open.ID)
			if err != nil {
				t.Fatal(err)
			}
			c := p.config()
			change(p, &c)
			p.upsert(c)
			if state, err := p.PublishSend(t.Context(), open, job, p.posts(), noon); err != nil || state != campaign.Freezing {
				t.Errorf("it was published as it was declared before: %s, %v", state, err)
			}
			if got := single[int64](p, "select count(*) from outbox"); got != 0 {
				t.Errorf("%d posts are to leave", got)
			}
		})
	}
}

func TestVariantsOfAPublicationTakeTurns(t *testing.T) {
	p := newPublishing(t)
	p.exec("insert into template (name, default_locale, content, digest) values ('summer', 'es', '[]', 'x')")
	c := p.config()
	c.Timing = campaign.Timing{Cron: "0 9 * * *", TimeZone: "UTC"}
	c.StartsAt, c.Deadline, c.NextOccurrence = noon, noon.Add(time.Hour), "2027-03-21T09:00"
	c.Variants = append(c.Variants, store.SendVariant{Name: "b", Template: "summer", Weight: 1})
	declaration := p.upsert(c).ID
	var turns []string
	for day := range 3 {
		at := time.Date(2027, 3, 21+day, 9, 1, 0, 0, time.UTC)
		if err := p.AdvanceDeclaration(t.Context(), declaration, at); err != nil {
			t.Fatal(err)
		}
		open := p.open()
		job, err := p.LoadPublicationJob(t.Context(), open.ID)
		if err != nil {
			t.Fatal(err)
		}
		turns = append(turns, job.Occurrence+" "+job.Template.Name)
		p.move(campaign.Freezing)
		if state, err := p.PublishSend(t.Context(), p.open(), job, p.posts(), at); err != nil || state != campaign.Sending {
			t.Fatalf("occurrence %d: %s, %v", day, state, err)
		}
		for _, posting := range p.take() {
			p.settleAs(p.intend(posting), store.PostingSent, store.PostedPart{ID: posting.DedupID})
		}
		p.move(campaign.Completed)
	}
	if diff := cmp.Diff([]string{"2027-03-21T09:00 spring", "2027-03-22T09:00 summer", "2027-03-23T09:00 spring"}, turns); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPicturesAreKeptWhileTheyAreDeclared(t *testing.T) {
	p := newPublishing(t)
	p.upsert(p.config())
	p.exec("update publication_image set used_at = now() - interval '2 days'")
	c := p.config()
	c.Publication.Images[0].Digest, c.Images = "d2", map[string][]byte{"d2": {4}}
	p.upsert(c)
	if got := single[string](p, "select string_agg(digest, ' ' order by digest) from publication_image"); got != "d1 d2" {
		t.Errorf("the picture was forgotten before its campaign had another: %s", got)
	}
	c.Publication.Images[0].Digest, c.Images = "d3", map[string][]byte{"d3": {5}}
	p.upsert(c)
	if got := single[string](p, "select string_agg(digest, ' ' order by digest) from publication_image"); got != "d2 d3" {
		t.Errorf("pictures: %s", got)
	}
	c.Publication.Images[0].Digest = "d4"
	if _, err := p.UpsertSend(t.Context(), c); err == nil {
		t.Error("a picture without bytes was declared")
	}
}

func TestWhatPeopleMadeOfAPublication(t *testing.T) {
	p := newPublishing(t)
	p.exec(`update channel set settings = '{"server": "https://social.example"}' where name = 'mastodon'`)
	if _, err := p.ReportPublication(t.Context(), "tour"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before it is published: %v", err)
	}
	p.begin()
	taken := p.take()
	p.settleAs(p.intend(taken[0]), store.PostingSent, store.PostedPart{ID: "11", URL: "https://social.example/11"}, store.PostedPart{ID: "12"})
	p.settleAs(p.intend(taken[1]), store.PostingFailed)
	l := listening{p.DB, t}
	l.save(store.Source{Name: "social", Type: "Mastodon", Settings: json.RawMessage(`{}`), Interval: time.Minute})
	answers := func(id, parent string, label sentiment.Label) store.Judged {
		return post(id, func(j *store.Judged) { j.Kind, j.Parent, j.Sentiment.Label = listen.Reply, parent, label })
	}
	own := post("11", func(j *store.Judged) { j.Engagement = &listen.Engagement{Likes: 7, Reposts: 2, Replies: 3} })
	second := answers("12", "11", sentiment.Neutral)
	second.Engagement = &listen.Engagement{Likes: 1}
	l.take(l.lease("social"), own, second, answers("20", "11", sentiment.Positive), answers("21", "12", sentiment.Negative), answers("22", "20", sentiment.Negative))
	reports, err := p.ReportPublication(t.Context(), "tour")
	if err != nil {
		t.Fatal(err)
	}
	n := func(n int64) *int64 { return &n }
	want := []store.PublicationReport{
		{
			Locale: "es", Template: "spring", State: campaign.RowSent, Reply: "said", Likes: n(8), Reposts: n(2), Replies: n(3),
			Parts:   []store.PublishedPart{{Network: social, ID: "11", URL: "https://social.example/11"}, {Network: social, ID: "12"}},
			Answers: store.AnswerCounts{Total: 2, Negative: 1, Positive: 1},
		},
		{Locale: "en", Template: "spring", State: campaign.RowFailed, Reply: "said", Parts: []store.PublishedPart{}},
	}
	for i := range reports {
		if reports[i].At == nil {
			t.Errorf("nobody knows when %s was published", reports[i].Locale)
		}
		reports[i].At = nil
	}
	if diff := cmp.Diff(want, reports); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
