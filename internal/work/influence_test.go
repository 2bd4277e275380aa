package work_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// TestWorkersComputeInfluence waits for what two workers make of what people wrote before a monitor was declared and after it, with the rights of the
// runtime role and no more.
func TestWorkersComputeInfluence(t *testing.T) {
	h := newHouse(t, 1)
	ctx := context.Background()
	if _, _, err := h.db.SaveSource(ctx, store.Source{Name: "mastodon", Type: "Mastodon", Settings: json.RawMessage("{}"), Interval: time.Minute}); err != nil {
		t.Fatal(err)
	}
	h.exec("update social_source_state set next_at = now() + interval '1 day', listened_at = now()")
	h.exec(`insert into author (key, network, native_id, handle)
		select decode(md5('a' || n), 'hex'), 'test', 'a' || n, 'a' || n from generate_series(1, 10) n`)
	// Everybody from $1 to $2 answers the first, about Velo.
	say := func(from, to int) {
		h.exec(`
			with said as (
				insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, text, label, polarity, confidence, engine)
				select decode(md5('m' || a.id), 'hex'), 'test', 'm' || a.id, s.id, a.id, 'Reply', 'Public', now() - interval '1 hour', 'Hoy con la Velo',
					'neutral', 0, 1, 'test'
				from author a cross join social_source s where substr(a.native_id, 2)::int between $1 and $2 returning id, source_id, created_at
			), named as (insert into mention_account (mention_id, author_id) select d.id, a.id from said d join author a on a.native_id = 'a1'),
			about as (insert into mention_topic (mention_id, topic_id, source_id, created_at, terms) select d.id, t.id, source_id, created_at, '{velo}' from said d cross join topic t)
			insert into mention_source (mention_id, source_id, created_at) select * from said`, from, to)
	}
	say(2, 5)
	_, _, err := h.db.SaveMonitor(ctx, store.Monitor{Name: "brand", Topics: []store.MonitorTopic{
		{Role: store.BrandTopic, Definition: match.Topic{Name: "velo", Any: []match.Term{{Word: "velo"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.exec("update topic set changed_at = changed_at - interval '2 minutes'") // so that nobody writes by the topics of before
	var scraped []*work.Metrics
	for range 2 {
		o := h.options()
		o.MonitorPoll, o.MeasurePoll, o.Metrics = 20*time.Millisecond, 20*time.Millisecond, work.NewMetrics()
		h.worker(o)
		scraped = append(scraped, o.Metrics)
	}
	amplified := func(want int) func() bool {
		return func() bool {
			found, err := h.db.Influence(ctx, store.InfluenceQuery{Monitor: "brand"})
			if err != nil {
				t.Fatal(err)
			}
			return len(found.Top) == want+1 && found.Top[0].Handle == "a1" && found.Top[0].Amplifiers == want
		}
	}
	h.eventually("what was stored before is computed", amplified(4))
	say(6, 10)
	h.exec("update influence_topic set tried_at = tried_at - interval '1 hour'")
	h.eventually("what came is added", func() bool {
		h.exec("update influence_topic set tried_at = tried_at - interval '1 hour'")
		return amplified(9)()
	})
	h.eventually("it is measured", func() bool {
		for _, m := range scraped {
			told := gathered(t, m)
			if age, there := told["tertulia_influence_age_seconds brand "+tenantID]; !there || age > 3600 || told["tertulia_influence_edges brand "+tenantID] != 9 {
				return false
			}
		}
		return true
	})
}
