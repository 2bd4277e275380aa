package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// modelled is what is to be known of a post, by a model that takes one post at a time and looks at nothing but the rules.
type modelled struct {
	author    string
	editions  []modelEdition // in the order in which they came, each once
	forgotten bool
	sources   map[string]bool
}

type modelEdition struct {
	at         int
	text       string
	label      sentiment.Label
	engagement int64
}

// counts is the edition that counts.
func (m *modelled) counts() modelEdition {
	best := m.editions[0]
	for _, e := range m.editions[1:] {
		if e.at >= best.at {
			best = e
		}
	}
	return best
}

// Whatever comes in, in whatever order and however cut into batches, what is stored is what the rules say, and the counts of topics are those of
// what is stored.
func TestWhateverComesIn(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { comesIn(t, rand.New(rand.NewPCG(seed, 11))) })
	}
}

func comesIn(t *testing.T, random *rand.Rand) {
	l := newListening(t, "a", "b")
	l.exec("insert into monitor (name) values ('velo')")
	l.exec("insert into topic (monitor_id, name, role, definition) select m.id, t, 'Brand', '{}' from monitor m cross join unnest(array['Velo', 'Pedalia']) t")
	model := map[string]*modelled{}
	gone := map[string]bool{}
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(24 * time.Hour) // of when the test begins: a post is not dated anew at midnight
	for range 60 {
		source := []string{"a", "b"}[random.IntN(2)]
		var b listen.Batch
		var posts []store.Judged
		for range random.IntN(8) {
			id, at := fmt.Sprint(random.IntN(25)), random.IntN(4)
			e := modelEdition{at, fmt.Sprintf("%s, edition %d", id, at), sentiment.Labels()[at%3], int64(at)}
			author := fmt.Sprint("a", len(id)*3+int(id[len(id)-1])%4)
			posts = append(posts, post(id, by(author), edited(time.Duration(at)*time.Minute, fmt.Sprint("r", at), e.text), func(j *store.Judged) {
				j.CreatedAt = yesterday.Add(time.Duration(id[0]) * time.Minute)
				if at > 0 {
					j.EditedAt = j.CreatedAt.Add(time.Duration(at) * time.Minute)
				}
				j.Sentiment.Label, j.Engagement = e.label, &listen.Engagement{Likes: e.engagement}
				for _, topic := range modelTopics(id, at) {
					j.Topics = append(j.Topics, store.TopicMatch{Topic: topic, Terms: []string{fmt.Sprint("edition ", at)}})
				}
			}))
		}
		if random.IntN(6) == 0 {
			b.Deleted = append(b.Deleted, listen.Deletion{PostID: fmt.Sprint(random.IntN(25))})
		}
		if random.IntN(30) == 0 {
			b.Deleted = append(b.Deleted, listen.Deletion{AuthorID: fmt.Sprint("https://social.example/users/a", random.IntN(10))})
		}
		modelBatch(model, gone, source, b, posts)
		l.batch(l.lease(source), b, posts...)
	}
	var want []string
	for id, m := range model {
		if m.forgotten {
			continue
		}
		var sources, texts []string
		for s := range m.sources {
			sources = append(sources, s)
		}
		for _, e := range m.editions {
			texts = append(texts, fmt.Sprint(e.at))
		}
		slices.Sort(sources)
		slices.Sort(texts)
		c := m.counts()
		about := ""
		for _, topic := range modelTopics(id, c.at) {
			if topic < 3 { // there is no third
				about += fmt.Sprintf(", about %d for edition %d", topic, c.at)
			}
		}
		want = append(want, fmt.Sprintf("%s: %s, %s, %d, of %s, by %s%s",
			id, c.text, c.label, c.engagement, strings.Join(texts, ""), strings.Join(sources, ""), about))
	}
	slices.Sort(want)
	got := query(t, l.DB, `
		select native_id || ': ' || text || ', ' || label || ', ' || likes || ', of '
			|| (select string_agg(e, '' order by e) from (select right(r.revision, 1) e from mention_revision r where r.mention_id = m.id union all select right(m.revision, 1)) e)
			|| ', by ' || (select string_agg(s.name, '' order by s.name) from mention_source x join social_source s on s.id = x.source_id where x.mention_id = m.id)
			|| coalesce((select string_agg(', about ' || o.topic_id || ' for ' || o.terms[1], '' order by o.topic_id) from mention_topic o where o.mention_id = m.id), '')
		from mention m where forgotten_at is null`)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	counts := "topic_id || ' ' || source_id || ' ' || step || ' ' || mentions || ' ' || negatives || ' ' || positives || ' ' || engagement"
	stored := query(t, l.DB, "select "+counts+` from (
		select x.topic_id, x.source_id, date_bin('5 minutes', m.created_at, '2000-01-01 00:00:00+00') step, count(*) mentions,
			count(*) filter (where m.label = 'negative') negatives, count(*) filter (where m.label = 'positive') positives,
			sum(coalesce(m.likes + m.reposts + m.replies, 0)) engagement
		from mention_topic x join mention m on m.id = x.mention_id group by 1, 2, 3) t order by topic_id, source_id, step`)
	if diff := cmp.Diff(stored, query(t, l.DB, "select "+counts+" from monitor_tally where mentions <> 0 order by topic_id, source_id, step")); diff != "" {
		t.Errorf("counts (-of what is stored +kept):\n%s", diff)
	}
	if len(stored) < 4 {
		t.Errorf("only these are counted: %s", stored)
	}
}

// modelTopics are what an edition of a post is about.
func modelTopics(id string, at int) (topics []int64) {
	for topic := int64(1); topic <= 3; topic++ {
		if (at+int(id[0]))%int(topic+1) != 0 {
			topics = append(topics, topic)
		}
	}
	return topics
}

func modelBatch(model map[string]*modelled, gone map[string]bool, source string, b listen.Batch, posts []store.Judged) {
	refused := map[string]bool{}
	for _, d := range b.Deleted {
		refused[d.PostID] = true
		if name, ok := strings.CutPrefix(d.AuthorID, "https://social.example/users/"); ok {
			// Only somebody who is known can be forgotten.
			for _, m := range model {
				gone[name] = gone[name] || m.author == name
			}
		}
	}
	batchGone := func(author string) bool {
		return slices.ContainsFunc(b.Deleted, func(d listen.Deletion) bool { return d.AuthorID == "https://social.example/users/"+author })
	}
	for _, p := range posts {
		if refused[p.ID] || gone[p.Author.Name] || batchGone(p.Author.Name) || model[p.ID] != nil && model[p.ID].forgotten {
			continue
		}
		m := model[p.ID]
		if m == nil {
			m = &modelled{author: p.Author.Name, sources: map[string]bool{}}
			model[p.ID] = m
		}
		m.sources[source] = true
		at := int(p.EditedAt.Sub(p.CreatedAt) / time.Minute)
		if p.EditedAt.IsZero() {
			at = 0
		}
		e := modelEdition{at, p.Text, p.Sentiment.Label, p.Engagement.Likes}
		if !slices.Contains(m.editions, e) {
			m.editions = append(m.editions, e)
		}
	}
	for id, m := range model {
		m.forgotten = m.forgotten || refused[id] || gone[m.author]
	}
}

// A batch takes no more round trips than it would with one post, whatever is in it.
func TestABatchTakesFewRoundTrips(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a", "b")
	l.exec("insert into monitor (name) values ('velo')")
	l.exec("insert into topic (monitor_id, name, role, definition) select id, 'Velo', 'Brand', '{}' from monitor")
	trips := 0
	db, err := store.Open(ctx, storetest.URL(t, l.DB), store.Options{MaxConns: 1, Observe: func(string) { trips++ }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	random := rand.New(rand.NewPCG(5, 6))
	lease := l.lease("a")
	for n, most := range []int{100, 4, 4} { // the first learns the statements
		posts := manyPosts(random, 250*n, 400, 1) // half of them again
		for i := range 100 {
			p := posts[i]
			p.Revision, p.EditedAt, p.Text = "r2", p.CreatedAt.Add(time.Second), "edited"
			posts = append(posts, p)
		}
		b := listen.Batch{
			Network: social, Next: json.RawMessage("1"), Gaps: []listen.Gap{{To: time.Now(), Reason: "test"}}, Rejected: map[string]int{"test": 1},
			Deleted: []listen.Deletion{{PostID: fmt.Sprint(250*n + 7)}, {PostID: fmt.Sprint(250*n - 7)}, {AuthorID: fmt.Sprint("https://social.example/users/a", n)}},
		}
		trips = 0
		taken, err := db.TakeMentions(ctx, lease, b, posts)
		if err != nil {
			t.Fatal(err)
		}
		if trips > most || taken.Stored < 200 || taken.Revised < 90 || n > 0 && taken.Forgotten == 0 {
			t.Errorf("batch %d: %d round trips, %+v", n, trips, taken)
		}
	}
}
