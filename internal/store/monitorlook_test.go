package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestASettledMonitorIsNotWritten(t *testing.T) {
	m := newMonitored(t)
	d := store.Monitor{
		Name: "brand", Sources: []string{"b", "a"}, Accounts: []string{"@velo"}, TimeZone: "Europe/Madrid",
		Crisis: store.CrisisConfig{MinNegatives: 9, CoolDown: 3 * time.Hour},
		Topics: []store.MonitorTopic{
			{Role: store.BrandTopic, Definition: match.Topic{Name: "velo", Any: []match.Term{{Near: &match.Near{Words: []string{"a", "b"}, Within: 3}}, {Word: "x", Case: true}}}},
			{Role: store.ProductTopic, Definition: match.Topic{Name: "casco", Any: []match.Term{{Word: "casco"}}, None: []match.Term{{Author: "@velo"}}}},
		},
	}
	save := func(d store.Monitor) bool {
		t.Helper()
		changed, _, err := m.SaveMonitor(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	rows := func() string {
		return scan[string](m, "select string_agg(x, ' ') from (select xmin::text x from monitor union all select xmin::text from topic union all select xmin::text from topic_version) r")
	}
	if !save(d) {
		t.Error("a new monitor is no change")
	}
	m.prepare()
	before := rows()
	if save(d) || rows() != before {
		t.Error("a settled monitor was written")
	}
	for _, edit := range []struct {
		name string
		do   func()
	}{
		{"crisis", func() { d.Crisis.MinAuthors = 4 }},
		{"time zone", func() { d.TimeZone = "" }},
		{"role", func() { d.Topics[1].Role = store.CompetitorTopic }},
		{"accounts", func() { d.Accounts = nil }},
		{"sources", func() { d.Sources = nil }},
		{"suspended", func() { d.Suspended = true }},
		{"awake", func() { d.Suspended = false }},
		{"a term", func() { d.Topics[0].Definition.Any[0].Near.Within = 4 }},
		{"dropped", func() { d.Topics = d.Topics[:1] }},
	} {
		if edit.do(); !save(d) {
			t.Errorf("%s: no change", edit.name)
		}
		if save(d) {
			t.Errorf("%s: written again", edit.name)
		}
	}
	if err := m.DormantMonitor(t.Context(), "brand"); err != nil {
		t.Fatal(err)
	}
	if topics, _, err := m.Topics(t.Context()); err != nil || len(topics) > 0 {
		t.Errorf("asleep it looks for %+v, %v", topics, err)
	}
	if !save(d) {
		t.Error("a dormant one was not woken")
	}
	if n := scan[int](m, "select count(*) from monitor"); n != 1 {
		t.Errorf("there are %d monitors", n)
	}
	d.Topics = append(d.Topics, d.Topics[0])
	if _, _, err := m.SaveMonitor(t.Context(), d); err == nil || !strings.Contains(err.Error(), "give it one of its own") {
		t.Errorf("two topics of one name: %v", err)
	}
}

func TestEditsAndDeletionsChangeTheCounts(t *testing.T) {
	m := newMonitored(t)
	m.monitor(nil)
	m.prepare()
	topic := scan[int64](m, "select id from topic")
	m.exec("update social_source_state set next_at = now() - interval '1 s'")
	leases, err := m.LeaseSources(t.Context(), "worker", time.Minute, 1)
	if err != nil || len(leases) != 1 {
		t.Fatalf("%+v, %v", leases, err)
	}
	at := time.Now().UTC().Add(-time.Hour).Truncate(5 * time.Minute)
	take := func(b listen.Batch, posts ...store.Judged) {
		t.Helper()
		b.Network = "mastodon:social.example"
		if _, err := m.TakeMentions(t.Context(), leases[0], b, posts); err != nil {
			t.Fatal(err)
		}
		m.wantTallied()
	}
	post := func(id, revision string, label sentiment.Label, likes int64, topics ...int64) store.Judged {
		p := store.Judged{Post: listen.Post{
			ID: id, Kind: listen.Original, Visibility: listen.Public, Author: listen.Account{ID: "https://social.example/users/ana"}, CreatedAt: at,
			Revision: revision, Text: "Velo", Engagement: &listen.Engagement{Likes: likes},
		}, Sentiment: sentiment.Verdict{Label: label}}
		if revision != "" {
			p.EditedAt = at.Add(time.Minute)
		}
		for _, topic := range topics {
			p.Topics = append(p.Topics, store.TopicMatch{Topic: topic, Terms: []string{"velo"}})
		}
		return p
	}
	counted := func() string {
		return scan[string](m, "select coalesce(string_agg(concat_ws('/', mentions, negatives, positives, engagement), ' '), '') from monitor_tally where mentions <> 0")
	}
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"two come", func() {
			take(listen.Batch{}, post("1", "", sentiment.Negative, 3, topic), post("2", "", sentiment.Positive, 1, topic))
		}, "2/1/1/4"},
		{"they come again", func() { take(listen.Batch{}, post("1", "", sentiment.Negative, 3, topic)) }, "2/1/1/4"},
		{"one is edited", func() { take(listen.Batch{}, post("1", "b", sentiment.Neutral, 5, topic)) }, "2/0/1/6"},
		{"and is about something else", func() { take(listen.Batch{}, post("2", "b", sentiment.Positive, 1)) }, "1/0/0/5"},
		{"one is about a topic that is gone", func() { take(listen.Batch{}, post("3", "", sentiment.Negative, 0, 999)) }, "1/0/0/5"},
		{"one is deleted", func() { take(listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}}) }, ""},
	} {
		step.do()
		if got := counted(); got != step.want {
			t.Errorf("%s: %q is counted, want %q", step.name, got, step.want)
		}
	}
}

func TestMonitorSeries(t *testing.T) {
	m := newMonitored(t)
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	clock := func(day, hour, minute int) time.Time { return time.Date(2026, 10, day, hour, minute, 0, 0, time.UTC) }
	m.source("feed-velo")
	m.say(
		said{at: clock(24, 21, 59), label: "negative", text: "velo", author: 1},                      // the 24th in Madrid
		said{at: clock(24, 22, 0), label: "positive", text: "velo", author: 2, likes: 7},             // the 25th, on which clocks are set back
		said{at: clock(25, 0, 30), label: "neutral", text: "velo", author: 3},                        // 2:30
		said{at: clock(25, 1, 30), label: "negative", text: "velo", author: 4, likes: 1},             // 2:30 again
		said{at: clock(25, 22, 59), label: "negative", text: "velo", author: 5, source: "feed-velo"}, // 23:59
		said{at: clock(25, 23, 0), label: "negative", text: "velo y rodamar", author: 6},             // the 26th
	)
	m.monitor(func(d *store.Monitor) {
		d.Topics = append(d.Topics,
			store.MonitorTopic{Role: store.CompetitorTopic, Definition: match.Topic{Name: "rodamar", Any: []match.Term{{Word: "rodamar"}}}},
			store.MonitorTopic{Role: store.ProductTopic, Definition: match.Topic{Name: "casco", Any: []match.Term{{Word: "casco"}}}})
	})
	m.prepare()
	points := func(q store.SeriesQuery) (lines []string) {
		t.Helper()
		q.Monitor = "brand"
		s, err := m.MonitorSeries(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Points {
			lines = append(lines, fmt.Sprintf("%s %d/%d/%d/%d", p.Start.Format("2 15:04 -07"), p.Mentions, p.Negatives, p.Positives, p.Engagement))
		}
		return lines
	}
	for name, tt := range map[string]struct {
		q    store.SeriesQuery
		want []string
	}{
		"days, one of 25 hours": {
			store.SeriesQuery{From: clock(24, 12, 0), To: clock(26, 12, 0), Step: store.SeriesDays},
			[]string{"24 00:00 +02 1/1/0/0", "25 00:00 +02 4/2/1/8", "26 00:00 +01 1/1/0/0"},
		},
		"hours, of which one comes twice": {
			store.SeriesQuery{From: clock(25, 0, 10), To: clock(25, 2, 30), Step: store.SeriesHours},
			[]string{"25 02:00 +02 1/0/0/0", "25 02:00 +01 1/1/0/1", "25 03:00 +01 0/0/0/0"},
		},
		"steps": {
			store.SeriesQuery{From: clock(24, 21, 56), To: clock(24, 22, 5), Step: store.SeriesSteps},
			[]string{"24 23:55 +02 1/1/0/0", "25 00:00 +02 1/0/1/7"},
		},
		"another zone":  {store.SeriesQuery{From: clock(25, 0, 0), To: clock(26, 0, 0), Step: store.SeriesDays, TimeZone: "UTC"}, []string{"25 00:00 +00 4/3/0/1"}},
		"half an hour":  {store.SeriesQuery{From: clock(25, 0, 40), To: clock(25, 1, 0), Step: store.SeriesHours, TimeZone: "Asia/Kolkata"}, []string{"25 06:00 +05 1/0/0/0"}},
		"one source":    {store.SeriesQuery{From: clock(25, 0, 0), To: clock(26, 0, 0), Step: store.SeriesDays, Source: "feed-velo", TimeZone: "UTC"}, []string{"25 00:00 +00 1/1/0/0"}},
		"one topic":     {store.SeriesQuery{From: clock(25, 0, 0), To: clock(26, 0, 0), Step: store.SeriesDays, Topic: "rodamar", TimeZone: "UTC"}, []string{"25 00:00 +00 1/1/0/0"}},
		"nobody's post": {store.SeriesQuery{From: clock(25, 0, 0), To: clock(26, 0, 0), Step: store.SeriesDays, Source: "nobody", TimeZone: "UTC"}, []string{"25 00:00 +00 0/0/0/0"}},
	} {
		if diff := cmp.Diff(tt.want, points(tt.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, q := range map[string]store.SeriesQuery{
		"too many steps": {Monitor: "brand", From: clock(1, 0, 0), To: clock(1, 0, 0).AddDate(0, 2, 0), Step: store.SeriesSteps},
		"no step":        {Monitor: "brand", From: clock(1, 0, 0), To: clock(2, 0, 0)},
		"no time":        {Monitor: "brand", From: clock(2, 0, 0), To: clock(2, 0, 0), Step: store.SeriesHours},
		"no such zone":   {Monitor: "brand", From: clock(1, 0, 0), To: clock(2, 0, 0), Step: store.SeriesHours, TimeZone: "Madrid"},
		"no such topic":  {Monitor: "brand", Topic: "nothing", From: clock(1, 0, 0), To: clock(2, 0, 0), Step: store.SeriesHours},
	} {
		var wrong *store.QueryError
		if _, err := m.MonitorSeries(t.Context(), q); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.MonitorSeries(t.Context(), store.SeriesQuery{Monitor: "nothing", From: clock(1, 0, 0), To: clock(2, 0, 0), Step: store.SeriesHours}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such monitor: %v", err)
	}
	shares, err := m.ShareOfVoice(t.Context(), store.WindowQuery{Monitor: "brand", From: clock(24, 0, 0).In(madrid), To: clock(27, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	part := func(n float64) *float64 { return &n }
	want := []store.TopicShare{
		{Topic: "velo", Role: store.BrandTopic, Mentions: 6, Negatives: 4, Positives: 1, Engagement: 8, Share: part(6.0 / 7)},
		{Topic: "casco", Role: store.ProductTopic},
		{Topic: "rodamar", Role: store.CompetitorTopic, Mentions: 1, Negatives: 1, Share: part(1.0 / 7)},
	}
	if diff := cmp.Diff(want, shares); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	engagement, err := m.EngagementBySource(t.Context(), store.WindowQuery{Monitor: "brand", From: clock(24, 0, 0), To: clock(27, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	wantEngagement := []store.SourceEngagement{
		{Topic: "velo", Source: "mastodon-velo", Mentions: 5, Engagement: 8, PerMention: 1.6},
		{Topic: "rodamar", Source: "mastodon-velo", Mentions: 1},
		{Topic: "velo", Source: "feed-velo", Mentions: 1},
	}
	if diff := cmp.Diff(wantEngagement, engagement); diff != "" {
		t.Errorf("engagement (-want +got):\n%s", diff)
	}
}

func TestRisingTermsOfADay(t *testing.T) {
	m := newMonitored(t)
	weeks(m)
	m.monitor(nil)
	m.prepare()
	terms, err := m.RisingTerms(t.Context(), store.RisingQuery{Monitor: "brand", Day: crisisAt(m)})
	if err != nil || len(terms) == 0 || terms[0].Term != "bateria explota" {
		t.Errorf("on the day of the crisis rose %+v, %v", terms, err)
	}
	if terms, err := m.RisingTerms(t.Context(), store.RisingQuery{Monitor: "brand", Day: crisisAt(m).AddDate(0, 0, -4)}); err != nil || len(terms) > 0 {
		t.Errorf("on a usual day rose %+v, %v", terms, err)
	}
	var wrong *store.QueryError
	if _, err := m.RisingTerms(t.Context(), store.RisingQuery{Monitor: "brand", Limit: 51}); !errors.As(err, &wrong) {
		t.Errorf("51 terms: %v", err)
	}
}

// A new monitor is ready at once when counts of the past are filled in.
func TestBackfillCounts(t *testing.T) {
	for name, step := range map[string]time.Duration{"five minutes": 5 * time.Minute, "hours": time.Hour} {
		t.Run(name, func(t *testing.T) {
			m := newMonitored(t)
			m.monitor(nil)
			m.prepare()
			m.evaluate()
			if state, _ := m.LoadMonitorState(t.Context(), "brand"); state.Ready {
				t.Fatal("it is ready without a history")
			}
			h := &monitor.History{Step: step}
			mentions, negatives := 0, 0
			for at := m.start; at.Before(time.Now().Add(2 * time.Hour)); at = at.Add(step) {
				c := monitor.Count{Start: at, Mentions: 4, Negatives: 1, Authors: 1}
				if step == time.Hour {
					c = monitor.Count{Start: at, Mentions: 48, Negatives: 12, Authors: 12}
				}
				if burst := at.Sub(crisisAt(m)); burst >= 0 && burst < 3*time.Hour {
					c.Negatives, c.Mentions, c.Authors = 8*c.Negatives, c.Mentions+7*c.Negatives, 8*c.Authors
				}
				h.Counts = append(h.Counts, c)
				mentions, negatives = mentions+c.Mentions, negatives+c.Negatives
			}
			done, err := m.BackfillCounts(t.Context(), "brand", "", h)
			if err != nil || done.Topic != "velo" || done.Steps < 35*288 || done.Skipped == 0 || !done.From.Equal(m.start) {
				t.Fatalf("%+v, %v", done, err)
			}
			if again, err := m.BackfillCounts(t.Context(), "brand", "velo", h); err != nil || again != done {
				t.Errorf("filled in again: %+v, %v", again, err)
			}
			if step == time.Hour {
				got := scan[string](m, "select sum(mentions) || ' ' || sum(negatives) || ' ' || (max(mentions) > min(mentions)) from monitor_tally where step >= $1 and step < $1 + interval '10 hours'", m.start)
				if got != "480 120 true" {
					t.Errorf("ten hours are spread as %s", got)
				}
			}
			m.evaluate()
			if state, _ := m.LoadMonitorState(t.Context(), "brand"); !state.Ready {
				t.Errorf("it is not ready: %+v", state)
			}
			found := false
			for _, i := range m.incidents() {
				found = found || i.FromHistory && i.Opened.After(crisisAt(m)) && i.Opened.Before(crisisAt(m).Add(2*time.Hour))
			}
			if !found || len(m.events()) > 0 {
				t.Errorf("history has %+v, and told %q", m.incidents(), told(m.events()))
			}
			var wrong *store.QueryError
			if _, err := m.BackfillCounts(t.Context(), "brand", "nothing", h); !errors.As(err, &wrong) {
				t.Errorf("no such topic: %v", err)
			}
			if _, err := m.BackfillCounts(t.Context(), "brand", "", &monitor.History{Step: step}); !errors.As(err, &wrong) {
				t.Errorf("no counts: %v", err)
			}
		})
	}
}

// Counts that were filled in stand for what was counted of mentions in these steps.
func TestFilledInCountsStandForAllSources(t *testing.T) {
	m := newMonitored(t)
	at := m.start.Add(time.Hour)
	m.say(said{at: at, label: "negative", text: "velo", author: 1}, said{at: at.Add(5 * time.Minute), label: "negative", text: "velo", author: 1})
	m.monitor(nil)
	m.prepare()
	h := &monitor.History{Step: 5 * time.Minute, Counts: []monitor.Count{{Start: at, Mentions: 9, Negatives: 4, Authors: 3}}}
	if _, err := m.BackfillCounts(t.Context(), "brand", "velo", h); err != nil {
		t.Fatal(err)
	}
	s, err := m.MonitorSeries(t.Context(), store.SeriesQuery{Monitor: "brand", From: at, To: at.Add(10 * time.Minute), Step: store.SeriesSteps})
	if err != nil || s.Points[0].Mentions != 9 || s.Points[1].Mentions != 1 {
		t.Errorf("the series is %+v, %v", s.Points, err)
	}
	want := []monitor.Count{{Start: at, Mentions: 9, Negatives: 4, Authors: 3}, {Start: at.Add(5 * time.Minute), Mentions: 1, Negatives: 1, Authors: 1}}
	if diff := cmp.Diff(want, store.LoadedCounts(t, m.DB, at, at.Add(10*time.Minute))); diff != "" {
		t.Errorf("evaluated are (-want +got):\n%s", diff)
	}
}

func TestAnswersAreToldFromQuestions(t *testing.T) {
	m := newMonitored(t)
	m.exec("update social_source_state set next_at = now() - interval '1 s'")
	leases, err := m.LeaseSources(t.Context(), "worker", time.Minute, 1)
	if err != nil || len(leases) != 1 {
		t.Fatalf("%+v, %v", leases, err)
	}
	base := time.Now().UTC().Truncate(time.Hour).Add(-24 * time.Hour)
	ana, luis := listen.Account{ID: "https://a.example/ana", Handle: "ana@a.example"}, listen.Account{ID: "https://a.example/luis", Handle: "luis@a.example"}
	velo := listen.Account{ID: "https://social.example/velo", Handle: "Velo@social.example"}
	take := func(id string, minute int, kind listen.Kind, by listen.Account, parent, thread string, names ...listen.Account) {
		t.Helper()
		p := store.Judged{Post: listen.Post{
			ID: id, Kind: kind, Visibility: listen.Public, Author: by, CreatedAt: base.Add(time.Duration(minute) * time.Minute), Text: id,
			Parent: parent, Thread: thread, Mentions: names,
		}, Sentiment: sentiment.Verdict{Label: sentiment.Neutral}}
		if _, err := m.TakeMentions(t.Context(), leases[0], listen.Batch{Network: "mastodon:social.example"}, []store.Judged{p}); err != nil {
			t.Fatal(err)
		}
	}
	m.monitor(func(d *store.Monitor) { d.Accounts = []string{"@velo@social.example"} })
	note := func() {
		t.Helper()
		m.exec("update monitor set answers_to = answers_to - interval '20 s'")
		for {
			noted, err := m.NoteAnswers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !noted.More {
				break
			}
			m.exec("update monitor set answers_to = now() where answers_to > now() - interval '1 minute'")
		}
	}
	take("q1", 0, listen.Original, ana, "", "q1", velo)  // names us
	take("q2", 1, listen.Reply, luis, "q1", "q1", ana)   // talks with ana
	take("q3", 2, listen.Reply, ana, "q1", "q1", velo)   // asks again
	take("m1", 5, listen.Message, luis, "", "m1")        // writes to us
	take("m2", 6, listen.Message, luis, "m1", "m1")      // and once more
	take("o1", 7, listen.Original, velo, "", "", luis)   // what we write asks nothing
	take("r1", 8, listen.Repost, luis, "", "", velo)     // no words of its own
	take("e1", 90, listen.Reply, velo, "q5", "q5", luis) // an answer that comes in before its question
	note()
	take("a1", 30, listen.Reply, velo, "q3", "q1", ana)   // answers q3, and q1 with it
	take("a2", 60, listen.Reply, velo, "q1", "q1", ana)   // later: it changes nothing
	take("a3", 45, listen.Message, velo, "m2", "m1")      // answers both messages
	take("q4", 3, listen.Original, ana, "", "q4", velo)   // waits
	take("q5", 80, listen.Original, luis, "", "q5", velo) // was answered before it was seen
	note()
	rows := scan[string](m, `select string_agg(n.native_id || ' ' || coalesce(extract(epoch from r.answered_at - r.asked_at)::int / 60 || ' ' || a.native_id, '-'), ', ' order by n.native_id)
		from mention_response r join mention n on n.id = r.mention_id left join mention a on a.id = r.answer_id`)
	if want := "m1 40 a3, m2 39 a3, q1 30 a1, q3 28 a1, q4 -, q5 10 e1"; rows != want {
		t.Errorf("it is noted: %s\nwant %s", rows, want)
	}
	r, err := m.ResponseTimes(t.Context(), store.WindowQuery{Monitor: "brand", From: base, To: base.Add(2 * time.Hour)})
	if err != nil || r.Asked != 6 || r.Answered != 5 || r.Waiting != 1 || r.Median == nil || *r.Median != 30*time.Minute || *r.OldestWaiting < 20*time.Hour {
		t.Errorf("response times are %+v, %v", r, err)
	}
	m.exec("insert into mention_response (monitor_id, mention_id, asked_at, first_seen) select id, 0, now() - interval '401 days', now() from monitor")
	note()
	if n := scan[int](m, "select count(*) from mention_response"); n != 6 {
		t.Errorf("%d questions are kept", n)
	}
	if r, err := m.ResponseTimes(t.Context(), store.WindowQuery{Monitor: "brand", From: base.AddDate(0, 0, 5), To: base.AddDate(0, 0, 6)}); err != nil || r != (store.Responses{}) {
		t.Errorf("where nothing was asked they are %+v, %v", r, err)
	}
}

func TestMeasureMonitors(t *testing.T) {
	m := newMonitored(t)
	m.say(talk(m.start, time.Now().Add(-time.Hour), 2, 9)...)
	m.monitor(nil)
	measure := func() store.MonitorMeasures {
		t.Helper()
		found, err := m.MeasureMonitors(t.Context())
		if err != nil || len(found) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		return found["brand"]
	}
	if f := measure(); f.Preparing != 1 || f.Lag > time.Minute {
		t.Errorf("a new one is %+v", f)
	}
	m.prepare()
	m.evaluate()
	if f := measure(); f.Preparing != 0 || f.OpenIncidents != 0 || f.Lag > 6*time.Minute {
		t.Errorf("an evaluated one is %+v", f)
	}
	m.exec("update monitor_detector set evaluated_to = evaluated_to - interval '1 hour'")
	if f := measure(); f.Lag < time.Hour-5*time.Minute {
		t.Errorf("one that stands still is %+v", f)
	}
	m.monitor(func(d *store.Monitor) { d.Suspended = true })
	if f := measure(); f.Lag != 0 {
		t.Errorf("a suspended one is %+v", f)
	}
}

func TestMeasureInfluence(t *testing.T) {
	m := newMonitored(t)
	m.monitor(nil)
	measure := func() store.MonitorMeasures {
		t.Helper()
		found, err := m.MeasureMonitors(t.Context())
		if err != nil || len(found) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		return found["brand"]
	}
	m.exec("update topic set live_from = now() - interval '3 hours'")
	if f := measure(); f.InfluenceEdges != 0 || f.InfluenceAge < 3*time.Hour || f.InfluenceAge > 4*time.Hour {
		t.Errorf("one that was never ranked is %+v", f)
	}
	m.exec("insert into influence_topic (topic_id, ranked_at, authors, edges) select id, now() - interval '1 hour', 7, 12 from topic where role <> 'Competitor'")
	if f := measure(); f.InfluenceEdges < 12 || f.InfluenceAge < time.Hour || f.InfluenceAge > 2*time.Hour {
		t.Errorf("a ranked one is %+v", f)
	}
	m.monitor(func(d *store.Monitor) { d.Suspended = true })
	if f := measure(); f.InfluenceAge != 0 {
		t.Errorf("a suspended one is %+v", f)
	}
}
