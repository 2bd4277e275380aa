package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

const social = "mastodon:social.example"

// listening is a database with sources.
type listening struct {
	*store.DB
	t testing.TB
}

func newListening(t testing.TB, sources ...string) listening {
	t.Helper()
	l := listening{storetest.New(t), t}
	for _, name := range sources {
		l.save(store.Source{Name: name, Type: "Mastodon", Settings: json.RawMessage(`{"instance": "https://social.example"}`), Interval: time.Minute})
	}
	return l
}

func (l listening) save(s store.Source) store.SourceState {
	l.t.Helper()
	_, state, err := l.SaveSource(context.Background(), s)
	if err != nil {
		l.t.Fatal(err)
	}
	return state
}

func (l listening) exec(statement string, arguments ...any) {
	l.t.Helper()
	if _, err := l.Pool.Exec(context.Background(), statement, arguments...); err != nil {
		l.t.Fatalf("%s: %v", statement, err)
	}
}

// lease leases a source, which nobody holds.
func (l listening) lease(name string) store.SourceLease {
	l.t.Helper()
	l.exec("update social_source_state set next_at = now() - interval '1 s', leased_until = null where source_id = (select id from social_source where name = $1)", name)
	l.exec("update social_source_state set next_at = now() + interval '1 h' where source_id <> (select id from social_source where name = $1)", name)
	leases, err := l.LeaseSources(context.Background(), "worker", time.Minute, 1)
	if err != nil || len(leases) != 1 || leases[0].Name != name {
		l.t.Fatalf("lease %s: %+v, %v", name, leases, err)
	}
	return leases[0]
}

// take stores posts that a source brings.
func (l listening) take(lease store.SourceLease, posts ...store.Judged) store.TakenMentions {
	l.t.Helper()
	return l.batch(lease, listen.Batch{}, posts...)
}

func (l listening) batch(lease store.SourceLease, b listen.Batch, posts ...store.Judged) store.TakenMentions {
	l.t.Helper()
	b.Network = social
	taken, err := l.TakeMentions(context.Background(), lease, b, posts)
	if err != nil {
		l.t.Fatal(err)
	}
	return taken
}

// post is a post of ana's, as it is once it is judged.
func post(id string, change ...func(*store.Judged)) store.Judged {
	j := store.Judged{
		Post: listen.Post{
			ID: id, Kind: listen.Original, Visibility: listen.Public, Text: "La bicicleta " + id + " de Velo es estupenda", URL: "https://social.example/@ana/" + id,
			CreatedAt: time.Now().Add(-time.Hour).Truncate(time.Millisecond),
			Author:    listen.Account{ID: "https://social.example/users/ana", Handle: "ana@social.example", Name: "Ana"},
		},
		Language: "es", Engine: "lexicon",
		Sentiment: sentiment.Verdict{Label: sentiment.Positive, Polarity: 0.5, Confidence: 0.8, Words: []sentiment.Word{{Text: "estupenda", Weight: 2}}},
	}
	j.Author.Identifier = listen.Identifier{Type: "mastodon", Value: j.Author.ID}
	for _, f := range change {
		f(&j)
	}
	return j
}

func edited(after time.Duration, revision, text string) func(*store.Judged) {
	return func(j *store.Judged) {
		j.Revision, j.Text = revision, text
		if after > 0 {
			j.EditedAt = j.CreatedAt.Add(after)
		}
	}
}

// texts are all mentions by native id: what counts, and the editions that do not.
func (l listening) texts() string {
	l.t.Helper()
	return fmt.Sprint(query(l.t, l.DB, `
		select native_id || ': ' || text || coalesce((select ' < ' || string_agg(r.text, ', ' order by r.edited_at nulls first, r.id) from mention_revision r where r.mention_id = m.id), '')
		from mention m where forgotten_at is null order by native_id`))
}

func TestAPostIsStoredOnce(t *testing.T) {
	l := newListening(t, "a", "b")
	a := l.lease("a")
	want := store.TakenMentions{Stored: 2}
	if diff := cmp.Diff(want, l.batch(a, listen.Batch{Next: json.RawMessage(`{"min_id": "2"}`)}, post("1"), post("2"))); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(store.TakenMentions{Stored: 1, Doubled: 2}, l.take(a, post("1"), post("3"), post("3"))); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	b := l.lease("b")
	if diff := cmp.Diff(store.TakenMentions{Seen: 2}, l.take(b, post("1"), post("2"))); diff != "" {
		t.Errorf("by another source (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(store.TakenMentions{Doubled: 1}, l.take(b, post("1"))); diff != "" {
		t.Errorf("by it again (-want +got):\n%s", diff)
	}
	got := query(t, l.DB, `select m.native_id || ' ' || string_agg(s.name, ' ' order by s.name) from mention m join mention_source ms on ms.mention_id = m.id
		join social_source s on s.id = ms.source_id group by m.id order by m.native_id`)
	if diff := cmp.Diff([]string{"1 a b", "2 a b", "3 a"}, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if again := l.lease("a"); string(again.Cursor) != `{"min_id": "2"}` {
		t.Errorf("the cursor is %s", again.Cursor)
	}
	state, err := l.LoadSourceState(context.Background(), "b")
	if err != nil || state.Brought != 2 || state.LastBrought == nil {
		t.Errorf("%+v, %v", state, err)
	}
	// Who wrote is known by an identifier, and no contact.
	if diff := cmp.Diff([]string{"ana@social.example mastodon https://social.example/users/ana"},
		query(t, l.DB, "select a.handle || ' ' || i.type || ' ' || i.value from author a join identifier i on i.id = a.identifier_id")); diff != "" {
		t.Error(diff)
	}
	if contacts := query(t, l.DB, "select id::text from contact"); len(contacts) != 0 {
		t.Errorf("contacts: %s", contacts)
	}
}

func TestEditions(t *testing.T) {
	first, second, third := post("1", edited(0, "r1", "uno")), post("1", edited(time.Minute, "r2", "dos")), post("1", edited(2*time.Minute, "r3", "tres"))
	sameTime := post("1", edited(2*time.Minute, "r4", "cuatro"))
	for name, c := range map[string]struct {
		batches [][]store.Judged
		want    string
		last    store.TakenMentions
	}{
		"in order":                  {[][]store.Judged{{first}, {second}, {third}}, "[1: tres < uno, dos]", store.TakenMentions{Revised: 1}},
		"twice":                     {[][]store.Judged{{first}, {second}, {second}}, "[1: dos < uno]", store.TakenMentions{Doubled: 1}},
		"an older one comes late":   {[][]store.Judged{{first}, {third}, {second}}, "[1: tres < uno, dos]", store.TakenMentions{Revised: 1}},
		"the first comes last":      {[][]store.Judged{{third}, {first}}, "[1: tres < uno]", store.TakenMentions{Revised: 1}},
		"all in one batch":          {[][]store.Judged{{second, first, third}}, "[1: tres < uno, dos]", store.TakenMentions{Stored: 1, Revised: 2}},
		"all in one, known":         {[][]store.Judged{{first}, {third, second, first}}, "[1: tres < uno, dos]", store.TakenMentions{Revised: 2, Doubled: 1}},
		"everything is replayed":    {[][]store.Judged{{first}, {second}, {third}, {first, second}}, "[1: tres < uno, dos]", store.TakenMentions{Doubled: 2}},
		"of one time the last":      {[][]store.Judged{{third}, {sameTime}}, "[1: cuatro < tres]", store.TakenMentions{Revised: 1}},
		"of one time, replayed":     {[][]store.Judged{{third}, {sameTime}, {third}}, "[1: cuatro < tres]", store.TakenMentions{Doubled: 1}},
		"without names, by time":    {[][]store.Judged{{post("1", edited(0, "", "uno"))}, {post("1", edited(time.Minute, "", "dos"))}}, "[1: dos < uno]", store.TakenMentions{Revised: 1}},
		"without names and times":   {[][]store.Judged{{post("1", edited(0, "", "uno"))}, {post("1", edited(0, "", "dos"))}}, "[1: uno]", store.TakenMentions{Doubled: 1}},
		"a name is one edition":     {[][]store.Judged{{second}, {post("1", edited(time.Hour, "r2", "otro"))}}, "[1: dos]", store.TakenMentions{Doubled: 1}},
		"of one time, in one batch": {[][]store.Judged{{third, sameTime}}, "[1: cuatro < tres]", store.TakenMentions{Stored: 1, Revised: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListening(t, "a")
			lease := l.lease("a")
			var last store.TakenMentions
			for _, batch := range c.batches {
				last = l.take(lease, batch...)
			}
			if got := l.texts(); got != c.want {
				t.Errorf("%s; want %s", got, c.want)
			}
			if diff := cmp.Diff(c.last, last); diff != "" {
				t.Errorf("the last batch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALostLeaseWritesNothing(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	stale := l.lease("a")
	l.take(stale, post("1"))
	lease := l.lease("a")
	if lease.Epoch != stale.Epoch+1 {
		t.Errorf("epoch %d after %d", lease.Epoch, stale.Epoch)
	}
	_, err := l.TakeMentions(ctx, stale, listen.Batch{Network: social, Next: json.RawMessage(`"stale"`)}, []store.Judged{post("2")})
	for what, err := range map[string]error{
		"take": err, "extend": l.ExtendSource(ctx, stale, time.Minute), "release": l.ReleaseSource(ctx, stale, store.SourceRest{}),
		"note": l.NoteSource(ctx, stale, store.SourceRest{}),
	} {
		if !errors.Is(err, store.ErrSourceLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := l.texts(); got != "[1: La bicicleta 1 de Velo es estupenda]" {
		t.Error(got)
	}
	l.take(lease, post("2"))
	// What is declared anew is read anew.
	l.save(store.Source{Name: "a", Type: "Mastodon", Settings: json.RawMessage(`{"instance": "https://other.example"}`), Interval: time.Minute})
	if _, err := l.TakeMentions(ctx, lease, listen.Batch{Network: social}, []store.Judged{post("3")}); !errors.Is(err, store.ErrSourceLost) {
		t.Errorf("after another declaration: %v", err)
	}
}

// What is as long as it may be, and what identifies nobody, is stored as anything else.
func TestLargeAndStrangePosts(t *testing.T) {
	l := newListening(t, "a")
	var posts []store.Judged
	for i := range 20 {
		words := make([]byte, 0, listen.MaxText+16)
		for n := 0; len(words) < listen.MaxText; n++ {
			words = fmt.Appendf(words, "ñandú%dó%d ", i, n)
		}
		posts = append(posts, post(fmt.Sprint(i), func(j *store.Judged) {
			j.Text, j.Title, j.Language = strings.ToValidUTF8(string(words[:listen.MaxText]), ""), `"\{},' `+"\t\n", sentiment.Unknown
			j.Author = listen.Account{ID: fmt.Sprint(i), Identifier: listen.Identifier{Type: []string{"email", "mastodon", "nothing"}[i%3], Value: "no address at all"}}
			j.Mentions = make([]listen.Account, listen.MaxMembers)
			for n := range j.Mentions {
				j.Mentions[n] = listen.Account{ID: fmt.Sprint("m", n*i)}
			}
			j.Tags, j.Links = []string{`a,"b`, "{c}"}, []string{"https://velo.example/?a=,&b={}"}
			j.Sentiment.Words = []sentiment.Word{{Text: `"\`, Weight: 1, Because: []string{"negated by no"}}}
		}))
	}
	if diff := cmp.Diff(store.TakenMentions{Stored: 20}, l.take(l.lease("a"), posts...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found := query(t, l.DB, "select value from identifier"); len(found) != 0 {
		t.Errorf("identifiers: %s", found)
	}
	page, err := l.Mentions(context.Background(), store.MentionQuery{Text: "nandu7o1"})
	if err != nil || len(page.Mentions) != 0 {
		t.Errorf("ñ is an n: %d, %v", len(page.Mentions), err)
	}
	if page, err = l.Mentions(context.Background(), store.MentionQuery{Text: "ñandu7o1"}); err != nil || len(page.Mentions) != 1 {
		t.Fatalf("%d, %v", len(page.Mentions), err)
	}
	got, want := page.Mentions[0], posts[7]
	if diff := cmp.Diff([]any{want.Text, want.Title, want.Tags, want.Links, want.Sentiment.Words}, []any{got.Text, got.Title, got.Tags, got.Links, got.Words}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
