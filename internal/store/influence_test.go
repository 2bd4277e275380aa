package store_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/monitor/influence"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// influenced is a database with two sources and a monitor, whose topics 1, 2 and 3 are of the brand, a product and a competitor.
type influenced struct{ listening }

func newInfluenced(t testing.TB) influenced {
	t.Helper()
	l := newListening(t, "a", "b")
	if _, err := l.SaveTenant(t.Context(), store.Tenant{ID: "velo", Namespace: "velo", TimeZone: storetest.NoonZone(), Locales: []string{"es"}}); err != nil {
		t.Fatal(err)
	}
	l.exec("insert into monitor (name, accounts) values ('velo', array['@velo@social.example'])")
	l.exec(`insert into topic (monitor_id, name, role, definition) select m.id, t, t, '{}' from monitor m
		cross join unnest(array['Brand', 'Product', 'Competitor']) t`)
	return influenced{l}
}

// takes up others, about some of the topics.
func takesUp(kind listen.Kind, at time.Time, topics []int64, others ...string) func(*store.Judged) {
	return func(j *store.Judged) {
		j.Kind, j.CreatedAt = kind, at
		for _, o := range others {
			j.Mentions = append(j.Mentions, listen.Account{ID: "https://social.example/users/" + o, Handle: o + "@social.example"})
		}
		for _, topic := range topics {
			j.Topics = append(j.Topics, store.TopicMatch{Topic: topic, Terms: []string{"velo"}})
		}
	}
}

func (l influenced) add() {
	l.t.Helper()
	for {
		added, err := l.AddInfluence(context.Background())
		if err != nil {
			l.t.Fatal(err)
		}
		if !added.More {
			return
		}
	}
}

// refresh computes what is due, as if no topic had been tried before, and returns which topics that were.
func (l influenced) refresh() (done []string) {
	l.t.Helper()
	l.exec("update influence_topic set tried_at = now() - interval '1 hour'")
	due, err := l.InfluenceDue(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, d := range due {
		if _, err := l.RefreshInfluence(context.Background(), d); err != nil {
			l.t.Fatal(err)
		}
		done = append(done, fmt.Sprint(d.Name, " ", d.Build))
	}
	slices.Sort(done)
	return done
}

func (l influenced) night() {
	l.t.Helper()
	l.exec("update influence_topic set built_at = built_at - interval '2 days'")
	if got := fmt.Sprint(l.refresh()); got != "[Brand true Product true]" {
		l.t.Errorf("in the night: %s", got)
	}
}

func (l influenced) influence(topic string) store.Influence {
	l.t.Helper()
	found, err := l.Influence(context.Background(), store.InfluenceQuery{Monitor: "velo", Topic: topic, Limit: store.MaxInfluence})
	if err != nil {
		l.t.Fatal(err)
	}
	return found
}

type edgeKey struct{ topic, from, to int64 }

// edges are those that are stored, as they weigh at a time.
func (l influenced) edges(at time.Time) map[edgeKey]float64 {
	l.t.Helper()
	edges := map[edgeKey]float64{}
	l.each("select topic_id, from_author, to_author, weight from influence_edge", func(k edgeKey, weight float64) {
		edges[k] = weight * math.Exp2(-at.Sub(store.InfluenceEpoch).Hours()/influence.HalfLife.Hours())
	})
	return edges
}

func (l influenced) each(sql string, f func(edgeKey, float64)) {
	l.t.Helper()
	rows, err := l.Pool.Query(context.Background(), sql)
	if err != nil {
		l.t.Fatal(err)
	}
	var k edgeKey
	var weight float64
	if _, err := pgx.ForEachRow(rows, []any{&k.topic, &k.from, &k.to, &weight}, func() error { f(k, weight); return nil }); err != nil {
		l.t.Fatal(err)
	}
}

// wanted are the edges that what is stored makes, by the library's own weights.
func (l influenced) wanted(at time.Time) map[edgeKey]float64 {
	l.t.Helper()
	kinds := map[string]influence.Kind{"Reply": influence.Reply, "Repost": influence.Spread, "Quote": influence.Spread}
	edges := map[edgeKey]float64{}
	rows, err := l.Pool.Query(context.Background(), `
		select o.topic_id, m.author_id, c.author_id, m.kind, m.created_at from mention m join mention_topic o on o.mention_id = m.id
			join mention_account c on c.mention_id = m.id
		where m.author_id <> c.author_id and m.forgotten_at is null and o.topic_id <= 2`)
	if err != nil {
		l.t.Fatal(err)
	}
	var k edgeKey
	var kind string
	var written time.Time
	_, err = pgx.ForEachRow(rows, []any{&k.topic, &k.from, &k.to, &kind, &written}, func() error {
		if age := at.Sub(written); age < influence.Window {
			edges[k] += kinds[kind].Weight(age)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return edges
}

func (l influenced) wantEdges(when string) {
	l.t.Helper()
	at := time.Now()
	close := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(a, b) })
	if diff := cmp.Diff(l.wanted(at), l.edges(at), close); diff != "" {
		l.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// Whatever comes in, in small parts and large ones, is added as if all had been computed anew; what is edited and deleted meanwhile is seen in the
// night, and what comes after the night is added once.
func TestInfluenceIsAddedAsItIsBuilt(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 6))
			l := newInfluenced(t)
			l.refresh()
			people := strings.Fields("ana bea carla dani eva fran gala hugo")
			kinds := []listen.Kind{listen.Original, listen.Reply, listen.Repost, listen.Quote, listen.Review}
			invent := func(id int) store.Judged {
				at := time.Now().Add(-time.Duration(random.IntN(200*24)) * time.Hour).Truncate(time.Millisecond)
				topics := [][]int64{{1}, {2}, {1, 2}, {3}, {}}[random.IntN(5)]
				return post(fmt.Sprint(id), by(people[random.IntN(8)]), takesUp(kinds[random.IntN(5)], at, topics, people[random.IntN(8)], people[random.IntN(8)]))
			}
			id := 0
			come := func(rounds int) {
				for range rounds {
					var posts []store.Judged
					for range 1 + random.IntN(8) {
						id++
						posts = append(posts, invent(id))
					}
					l.take(l.lease([]string{"a", "b"}[random.IntN(2)]), posts...)
					if random.IntN(2) == 0 {
						l.add()
					}
				}
				l.add()
			}
			come(12)
			l.wantEdges("added")
			before := l.edges(store.InfluenceEpoch)
			l.night()
			if diff := cmp.Diff(before, l.edges(store.InfluenceEpoch)); diff != "" {
				t.Errorf("the night changed what had not changed (-before +after):\n%s", diff)
			}
			for range 12 {
				again := invent(1 + random.IntN(id)) // another text, other accounts, other topics
				again.Revision, again.EditedAt = "r2", time.Now()
				deleted := []listen.Deletion{{PostID: fmt.Sprint(1 + random.IntN(id))}}
				if random.IntN(8) == 0 {
					deleted = append(deleted, listen.Deletion{AuthorID: "https://social.example/users/" + people[random.IntN(8)]})
				}
				l.batch(l.lease("a"), listen.Batch{Deleted: deleted}, again)
				come(1)
			}
			l.exec("update mention set created_at = created_at - interval '30 days' where id % 7 = 0")
			l.exec("update mention_topic set created_at = created_at - interval '30 days' where mention_id % 7 = 0")
			id++
			l.take(l.lease("a"), invent(id)) // and not added before
			l.night()
			l.add()
			l.wantEdges("after the night")
			come(3)
			l.wantEdges("after the day")
		})
	}
}

// A mention that is committed late is added too, and once.
func TestInfluenceOfWhatIsCommittedLate(t *testing.T) {
	ctx := context.Background()
	l := newInfluenced(t)
	l.refresh()
	now := time.Now()
	l.take(l.lease("a"), post("0", by("eva")))
	quick, slow := l.lease("b"), l.lease("a")
	blocker, err := l.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = blocker.Rollback(ctx) }()
	if _, err := blocker.Exec(ctx, "select from author for update"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		renamed := post("1", by("eva"), takesUp(listen.Reply, now, []int64{1}, "ana"))
		renamed.Author.Name = "Eva María"
		_, err := l.TakeMentions(ctx, slow, listen.Batch{Network: social}, []store.Judged{renamed})
		done <- err
	}()
	l.waits()
	l.take(quick, post("2", by("bea"), takesUp(listen.Reply, now, []int64{1}, "ana")))
	l.add()
	if n := len(l.edges(now)); n != 0 {
		t.Errorf("%d edges behind a gap", n)
	}
	if err := blocker.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	l.add()
	l.add()
	l.wantEdges("at the end")
	if n := len(l.edges(now)); n != 2 {
		t.Errorf("%d edges", n)
	}
}

// Several workers at once add everything once.
func TestTwoWorkersAddInfluenceOnce(t *testing.T) {
	ctx := context.Background()
	l := newInfluenced(t)
	l.refresh()
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := l.AddInfluence(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	lease := l.lease("a")
	for i := range 40 {
		l.take(lease, post(fmt.Sprint(i), by(fmt.Sprint("p", i%5)), takesUp(listen.Quote, time.Now(), []int64{1, 2}, "ana")))
		if i == 20 {
			l.night()
		}
	}
	close(stop)
	workers.Wait()
	l.add()
	l.wantEdges("by three workers")
	// The heavy part is one worker's.
	ran, err := l.WithInfluenceLock(ctx, func(ctx context.Context) error {
		if ran, err := l.WithInfluenceLock(ctx, func(context.Context) error { return nil }); ran || err != nil {
			t.Errorf("a second worker computes too: %v", err)
		}
		return nil
	})
	if !ran || err != nil {
		t.Errorf("the first one did not: %v", err)
	}
}
