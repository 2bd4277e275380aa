package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// watched has two sources, a monitor with two topics, and some mentions.
func watchedMentions(t *testing.T) listening {
	t.Helper()
	l := newListening(t, "a", "b")
	l.exec("insert into monitor (name) values ('velo'), ('other')")
	l.exec("insert into topic (monitor_id, name, role, definition) select m.id, t, 'Brand', '{}' from monitor m cross join unnest(array['Velo', 'Pedalia']) t where m.name = 'velo'")
	about := func(topics ...int64) func(*store.Judged) {
		return func(j *store.Judged) {
			for _, topic := range topics {
				j.Topics = append(j.Topics, store.TopicMatch{Topic: topic, Terms: []string{`word "velo"`}})
			}
		}
	}
	says := func(language, text string, polarity float64) func(*store.Judged) {
		return func(j *store.Judged) {
			j.Language, j.Text, j.Sentiment.Polarity, j.Sentiment.Label = language, text, polarity, sentiment.LabelOf(polarity)
		}
	}
	at := func(minutes int) func(*store.Judged) {
		return func(j *store.Judged) {
			j.CreatedAt = time.Date(2026, 10, 1, 12, minutes, 0, 0, time.UTC)
		}
	}
	answers := func(id, thread string) func(*store.Judged) {
		return func(j *store.Judged) { j.Kind, j.Parent, j.Thread = listen.Reply, id, thread }
	}
	l.exec("update social_source set keep = '3000 days'")
	l.take(l.lease("a"),
		post("1", at(1), about(1), says("es", "La educación de los niños y sus bicicletas", 0.5)),
		post("2", at(2), about(1, 2), says("en", "The bikes were repaired, great nations", 0.8), by("bob")),
		post("3", at(3), says("es", "Educacion gratis, pero el año que viene", -0.4), answers("1", "1")),
		post("4", at(4), about(2), says("und", "Bicicleta! repairing", 0)),
	)
	l.take(l.lease("b"),
		post("3", at(3), says("es", "Educacion gratis, pero el año que viene", -0.4), answers("1", "1")),
		post("5", at(5), about(2), says("es", "Pésima avería, nunca más", -0.9), answers("3", "1"), by("eva"), func(j *store.Judged) {
			j.Kind, j.Title = listen.Review, "Un título"
			j.Rating, j.Engagement = &listen.Rating{Value: 1, Best: 5}, &listen.Engagement{Likes: 3}
			j.Media = []listen.Media{{Type: listen.Image, URL: "https://social.example/1.png", Description: "La rueda"}}
			j.Tags, j.Links = []string{"velo"}, []string{"https://velo.example"}
			j.Mentions = []listen.Account{{ID: "https://social.example/users/velo", Handle: "velo@social.example"}}
		}),
	)
	return l
}

func natives(list []store.Mention) string {
	var ids []string
	for _, m := range list {
		ids = append(ids, m.NativeID)
	}
	return strings.Join(ids, " ")
}

func TestMentionsAreFound(t *testing.T) {
	ctx := context.Background()
	l := watchedMentions(t)
	public := func(native string) string {
		return query(t, l.DB, "select public_id::text from mention where native_id = '"+native+"'")[0]
	}
	author := query(t, l.DB, "select public_id::text from author where handle = 'bob@social.example'")[0]
	yes, no, low, high := true, false, -0.5, 0.5
	minute := func(m int) time.Time { return time.Date(2026, 10, 1, 12, m, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		query store.MentionQuery
		want  string
	}{
		"all":                      {store.MentionQuery{}, "5 4 3 2 1"},
		"of a source":              {store.MentionQuery{Source: "b"}, "5 3"},
		"of a monitor":             {store.MentionQuery{Monitor: "velo"}, "5 4 2 1"},
		"of a topic":               {store.MentionQuery{Monitor: "velo", Topic: "Velo"}, "2 1"},
		"of a monitor, a source":   {store.MentionQuery{Monitor: "velo", Source: "b"}, "5"},
		"of a topic, a source":     {store.MentionQuery{Monitor: "velo", Topic: "Pedalia", Source: "a"}, "4 2"},
		"about something":          {store.MentionQuery{Matched: &yes}, "5 4 2 1"},
		"about nothing":            {store.MentionQuery{Matched: &no}, "3"},
		"of a network":             {store.MentionQuery{Network: social, Limit: 2}, "5 4"},
		"of another network":       {store.MentionQuery{Network: "bluesky"}, ""},
		"reviews":                  {store.MentionQuery{Kind: listen.Review}, "5"},
		"negative ones":            {store.MentionQuery{Label: sentiment.Negative}, "5 3"},
		"in a language":            {store.MentionQuery{Language: "en"}, "2"},
		"from a polarity on":       {store.MentionQuery{MinPolarity: &high}, "2 1"},
		"up to a polarity":         {store.MentionQuery{MaxPolarity: &low}, "5"},
		"of an author":             {store.MentionQuery{Author: author}, "2"},
		"of a conversation":        {store.MentionQuery{Thread: public("1")}, "5 3 1"},
		"of it, by one of it":      {store.MentionQuery{Thread: public("5")}, "5 3 1"},
		"within times":             {store.MentionQuery{From: minute(2), To: minute(4)}, "3 2"},
		"of a topic, within times": {store.MentionQuery{Monitor: "velo", From: minute(2), To: minute(5)}, "4 2"},
		"in other forms":           {store.MentionQuery{Text: "bicicleta"}, "4 1"},
		"in English":               {store.MentionQuery{Text: "repair"}, "4 2"},
		"in English, -ion":         {store.MentionQuery{Text: "nation"}, "2"},
		"without accents":          {store.MentionQuery{Text: "averia pesima"}, "5"},
		"with accents":             {store.MentionQuery{Text: "educación"}, "3 1"},
		"without, plural":          {store.MentionQuery{Text: "educaciones"}, "3 1"},
		"capitals":                 {store.MentionQuery{Text: "EDUCACIÓN"}, "3 1"},
		"ñ is no n":                {store.MentionQuery{Text: "ano"}, ""},
		"ñ":                        {store.MentionQuery{Text: "AÑO"}, "3"},
		"without a word":           {store.MentionQuery{Text: "educación -gratis"}, "1"},
		"one or the other":         {store.MentionQuery{Text: "gratis or repaired"}, "4 3 2"},
		"a phrase":                 {store.MentionQuery{Text: `"nunca más"`}, "5"},
		"another phrase":           {store.MentionQuery{Text: `"más nunca"`}, ""},
		"in a title":               {store.MentionQuery{Text: "titulos"}, "5"},
		"a tag":                    {store.MentionQuery{Text: "#velo"}, "5"},
		"words that all have":      {store.MentionQuery{Text: "the"}, ""},
		"text of a topic":          {store.MentionQuery{Text: "bicicleta", Monitor: "velo", Topic: "Velo"}, "1"},
		"text of a monitor":        {store.MentionQuery{Text: "bicicleta", Monitor: "velo"}, "4 1"},
		"signs":                    {store.MentionQuery{Text: `' " & | ! ( <->`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := l.Mentions(ctx, c.query)
			if err != nil || natives(page.Mentions) != c.want {
				t.Errorf("%q, %v; want %q", natives(page.Mentions), err, c.want)
			}
			// One by one they are the same.
			var pages []store.Mention
			q := c.query
			q.Limit = 1
			for range 10 {
				page, err := l.Mentions(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				pages = append(pages, page.Mentions...)
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if c.query.Limit == 0 && natives(pages) != c.want {
				t.Errorf("page by page %q; want %q", natives(pages), c.want)
			}
			// So are those that come in.
			var list []store.Mention
			if list, _, err = l.MentionsSince(ctx, 0, c.query, 100); err != nil || c.query.Limit == 0 && len(list) != len(page.Mentions) {
				t.Errorf("as a stream %q, %v; want as many as %q", natives(list), err, c.want)
			}
		})
	}
	for name, q := range map[string]store.MentionQuery{
		"source": {Source: "c"}, "monitor": {Monitor: "x"}, "topic": {Monitor: "velo", Topic: "x"}, "author": {Author: "x"}, "thread": {Thread: "x"},
		"other author": {Author: "7b7f4a0e-0000-4000-8000-000000000000"}, "monitor without topics": {Monitor: "other"},
	} {
		if _, err := l.Mentions(ctx, q); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown %s: %v", name, err)
		}
	}
	for _, cursor := range []string{"x", "%%", "MTIz", "OTk5OTk5OTk5OTk5OTk5OTk5OS4x"} {
		if _, err := l.Mentions(ctx, store.MentionQuery{Cursor: cursor}); !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("cursor %s: %v", cursor, err)
		}
	}
}

func TestAMentionIsShownWhole(t *testing.T) {
	ctx := context.Background()
	l := watchedMentions(t)
	lease := l.lease("b")
	again := func(j *store.Judged) {
		by("eva")(j)
		j.Kind, j.Parent, j.Thread, j.Rating = listen.Reply, "3", "1", &listen.Rating{Value: 5, Best: 5}
		j.Topics = []store.TopicMatch{{Topic: 1, Terms: []string{"a", "b"}}}
		j.CreatedAt = time.Date(2026, 10, 1, 12, 5, 0, 0, time.UTC)
		edited(time.Minute, "r2", "Ya está arreglada")(j)
		j.Mentions = []listen.Account{{ID: "https://social.example/users/velo", Handle: "velo@social.example"}, {Handle: "Ana@social.example"}}
	}
	l.take(lease, post("5", again))
	id := query(t, l.DB, "select public_id::text from mention where native_id = '5'")[0]
	got, err := l.Mention(ctx, strings.ToUpper(id))
	if err != nil {
		t.Fatal(err)
	}
	if natives(got.Thread) != "1 3" || len(got.Revisions) != 1 || got.Revisions[0].Text != "Pésima avería, nunca más" || got.Revisions[0].Label != sentiment.Negative {
		t.Errorf("thread %q, revisions %+v", natives(got.Thread), got.Revisions)
	}
	if fmt.Sprint(got.Named[0].Handle, got.Named[1].Handle, got.Author.Handle) != "Ana@social.examplevelo@social.exampleeva@social.example" {
		t.Errorf("%+v wrote to %+v", got.Author, got.Named)
	}
	created := time.Date(2026, 10, 1, 12, 5, 0, 0, time.UTC)
	changed := created.Add(time.Minute)
	want := store.Mention{
		ID: got.ID, PublicID: id, Network: social, NativeID: "5", Source: "b", Sources: []string{"b"}, Kind: listen.Reply, Visibility: listen.Public,
		CreatedAt: created, ReceivedAt: got.ReceivedAt, EditedAt: &changed, URL: "https://social.example/@ana/5", Text: "Ya está arreglada", Language: "es",
		Thread: "1", Parent: "3", Tags: []string{}, Links: []string{}, Media: []listen.Media{}, Engagement: &listen.Engagement{Likes: 3},
		Rating: &listen.Rating{Value: 5, Best: 5}, Author: got.Author, Label: sentiment.Positive, Polarity: 0.5, Confidence: float64(float32(0.8)),
		Words: []sentiment.Word{{Text: "estupenda", Weight: 2}}, Engine: "lexicon",
		Topics: []store.MentionTopic{{ID: 1, Monitor: "velo", Name: "Velo", Terms: []string{"a", "b"}}},
	}
	if diff := cmp.Diff(want, got.Mention); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.batch(lease, listen.Batch{Deleted: []listen.Deletion{{PostID: "5"}}})
	for _, id := range []string{id, "x", ""} {
		if _, err := l.Mention(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// What somebody looks at is found by its index, also where all that there is is little, and the planner knows it.
func TestMentionsAreNotReadThrough(t *testing.T) {
	const many = 4000
	ctx := context.Background()
	l := newListening(t, "a", "rare")
	l.exec("insert into monitor (name) values ('velo')")
	l.exec("insert into topic (monitor_id, name, role, definition) select m.id, t, 'Brand', '{}' from monitor m cross join unnest(array['Velo', 'Pedalia', 'Rare']) t")
	random := rand.New(rand.NewPCG(3, 4))
	lease := l.lease("a")
	for first := 0; first < many; first += 500 {
		l.take(lease, manyPosts(random, first, 500, int64(1+first/500%2))...)
	}
	rare := manyPosts(random, many, 10, 3)
	rare[0].Text, rare[0].Language = "un almirante", "es"
	l.take(l.lease("rare"), rare...)
	public := query(t, l.DB, "select public_id::text from mention where native_id = '3'")[0]
	author := query(t, l.DB, "select a.public_id::text from author a join mention m on m.author_id = a.id where m.native_id = '3'")[0]
	l.exec("analyze")
	last, err := l.MentionsNow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// One connection is enough, also for the first question that a process has.
	another := l.onOne()
	if _, err := another.Mention(ctx, public); err != nil {
		t.Fatal(err)
	}
	another.Close()
	endConnections(t, l.DB)
	one := l.onOne()
	list := func(q store.MentionQuery) func() error {
		q.Limit = 20
		return func() error {
			page, err := one.Mentions(ctx, q)
			if err == nil && len(page.Mentions) == 0 {
				err = errors.New("nothing was found")
			}
			return err
		}
	}
	first, err := one.Mentions(ctx, store.MentionQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	fresh := manyPosts(random, many+10, 20, 1)
	for name, c := range map[string]struct {
		most int64
		do   func() error
	}{
		"the newest":       {200, list(store.MentionQuery{})},
		"a later page":     {200, list(store.MentionQuery{Cursor: first.Next})},
		"of a topic":       {300, list(store.MentionQuery{Monitor: "velo", Topic: "Velo"})},
		"of a rare topic":  {300, list(store.MentionQuery{Monitor: "velo", Topic: "Rare"})},
		"of a monitor":     {500, list(store.MentionQuery{Monitor: "velo"})},
		"of a source":      {300, list(store.MentionQuery{Source: "a"})},
		"of a rare source": {300, list(store.MentionQuery{Source: "rare"})},
		"of an author":     {200, list(store.MentionQuery{Author: author})},
		"a rare word":      {200, list(store.MentionQuery{Text: "almirante"})},
		"a conversation":   {200, list(store.MentionQuery{Thread: public})},
		"one mention":      {300, func() error { _, err := one.Mention(ctx, public); return err }},
		"what is new":      {200, func() error { _, _, err := one.MentionsSince(ctx, last-10, store.MentionQuery{}, 20); return err }},
		"storing": {600, func() error {
			_, err := one.TakeMentions(ctx, lease2(l, one), listen.Batch{Network: social}, fresh)
			return err
		}},
		"storing again": {900, func() error {
			_, err := one.TakeMentions(ctx, lease2(l, one), listen.Batch{Network: social}, manyPosts(rand.New(rand.NewPCG(9, 9)), 100, 20, 1))
			return err
		}},
		"forgetting": {600, func() error {
			_, err := one.TakeMentions(ctx, lease2(l, one), listen.Batch{Network: social, Deleted: []listen.Deletion{{PostID: "100"}, {PostID: "nobody"}}}, nil)
			return err
		}},
		"sweeping": {100, func() error { _, err := one.SweepMentions(ctx, 100); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			before := one.mentionReads()
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			if n := one.mentionReads() - before; n > c.most {
				t.Errorf("%d rows were read; want at most %d: %s", n, c.most, query(t, l.DB, `select relname || ' ' || seq_tup_read || ' ' || coalesce(idx_tup_fetch, 0)
					from pg_stat_user_tables where relname like 'mention%' or relname in ('author', 'identifier')`))
			}
		})
	}
}

// lease2 is a lease that one holds.
func lease2(l, one listening) store.SourceLease { return listening{one.DB, l.t}.lease("a") }

// onOne opens the database once more, with one connection, whose own counts of what it reads are told.
func (l listening) onOne() listening {
	l.t.Helper()
	db, err := store.Open(context.Background(), l.Pool.Config().ConnString(), store.Options{MaxConns: 1})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(db.Close)
	return listening{db, l.t}
}

// mentionReads counts the rows that the only connection has read of mentions and what hangs on them.
func (l listening) mentionReads() (n int64) {
	l.t.Helper()
	l.exec("select pg_stat_force_next_flush()")
	err := l.Pool.QueryRow(context.Background(), `
		select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables where relname like 'mention%' or relname in ('author', 'identifier')`).Scan(&n)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}
