package work_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// TestWorkersRaiseTheAlarm waits for what two workers make of a crisis under way when a monitor is declared, with the rights of the runtime role
// and no more: history is compared and learned, one incident is told of, once, and the question of that time has its answer.
func TestWorkersRaiseTheAlarm(t *testing.T) {
	h := newHouse(t, 1)
	ctx := context.Background()
	if _, _, err := h.db.SaveSource(ctx, store.Source{Name: "mastodon", Type: "Mastodon", Settings: json.RawMessage("{}"), Interval: time.Minute}); err != nil {
		t.Fatal(err)
	}
	h.exec("update social_source_state set next_at = now() + interval '1 day', listened_at = now()")
	h.exec(`insert into author (key, network, native_id, handle)
		select decode(md5('a' || n), 'hex'), 'test', 'a' || n, 'a' || n from generate_series(1, 500) n`)
	// Ten days of two mentions in each five minutes, of which one in six is negative, and two hours of six negative ones besides.
	h.exec(`
		with said as (
			select date_bin('5 minutes', now(), 'epoch') - i * interval '5 minutes' + n * interval '20 seconds' as written, n, i,
				n > 2 or n = 1 and i % 3 = 0 as negative from generate_series(1, 10 * 288) i, generate_series(1, 8) n where n <= 2 or i <= 24
		), new as (
			insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, received_at, text,
				label, polarity, confidence, engine)
			select decode(md5(random()::text || n || i), 'hex'), 'test', i || '/' || n, s.id, a.id,
				case when i = 20 and n = 1 then 'Message' else 'Post' end, 'Public',
				d.written, d.written + interval '2 seconds', case when n > 2 then 'La Velo arde' else 'Hoy con la Velo' end,
				case when negative then 'negative' else 'neutral' end, 0, 1, 'test'
			from said d cross join social_source s join author a on a.native_id = 'a' || ((d.i * 8 + d.n) % 499 + 1) returning id, source_id, created_at
		) insert into mention_source (mention_id, source_id, created_at) select * from new`)
	_, _, err := h.db.SaveMonitor(ctx, store.Monitor{Name: "brand", Accounts: []string{"a500"}, Topics: []store.MonitorTopic{
		{Role: store.BrandTopic, Definition: match.Topic{Name: "velo", Any: []match.Term{{Word: "velo"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.exec("update topic set changed_at = changed_at - interval '2 minutes'") // so that nobody writes by the topics of before
	o := h.options()
	o.MonitorPoll, o.MeasurePoll, o.Metrics = 20*time.Millisecond, 20*time.Millisecond, work.NewMetrics()
	registry := prometheus.NewRegistry()
	if err := o.Metrics.Register(registry); err != nil {
		t.Fatal(err)
	}
	h.worker(o)
	second := h.options()
	second.MonitorPoll = 20 * time.Millisecond
	h.worker(second)
	var events []store.IncidentEvent
	h.eventually("an incident is told of", func() bool {
		if events, err = h.db.IncidentEvents(ctx, 0, 10); err != nil {
			t.Fatal(err)
		}
		return len(events) > 0
	})
	first := events[0]
	if first.Kind != monitor.Opened || first.Incident.Monitor != "brand" || first.Incident.Topic != "velo" || len(first.Incident.Drivers.Terms) == 0 ||
		first.Incident.Drivers.Terms[0].Term != "arde" {
		t.Errorf("it told %+v", first)
	}
	h.eventually("the metrics show it", func() bool {
		got, err := testutil.GatherAndCount(registry, "tertulia_incidents_open")
		if err != nil {
			t.Fatal(err)
		}
		want := "# HELP tertulia_incidents_open Bursts of negative mentions that are going on.\n# TYPE tertulia_incidents_open gauge\n" +
			fmt.Sprintf("tertulia_incidents_open{monitor=%q,tenant=%q} 1\n", "brand", tenantID)
		return got == 1 && testutil.GatherAndCompare(registry, strings.NewReader(want), "tertulia_incidents_open") == nil
	})
	h.eventually("the question is noted", func() bool {
		r, err := h.db.ResponseTimes(ctx, store.WindowQuery{Monitor: "brand", From: time.Now().Add(-24 * time.Hour), To: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return r.Asked == 1 && r.Answered == 0
	})
	if events, err = h.db.IncidentEvents(ctx, first.ID, 10); err != nil || len(events) > 0 && events[0].Kind == monitor.Opened {
		t.Errorf("then it told %+v, %v", events, err)
	}
}
