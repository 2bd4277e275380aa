package store_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// crisisAt is when the crisis of the generated weeks begins.
func crisisAt(m monitored) time.Time { return m.start.Add(33*24*time.Hour + 4*time.Hour) }

// weeks stores five weeks of talk with one crisis.
func weeks(m monitored) {
	m.t.Helper()
	at := crisisAt(m)
	m.say(talk(m.start, m.start.Add(35*24*time.Hour), 6, 1)...)
	m.say(slices.Concat(crisis(at, at.Add(2*time.Hour), 5), crisis(at.Add(2*time.Hour), at.Add(3*time.Hour), 14))...)
}

// wantOneIncident checks what five weeks with one crisis leave behind.
func wantOneIncident(m monitored) store.Incident {
	m.t.Helper()
	events := m.events()
	if len(events) < 3 || events[0].Kind != monitor.Opened || events[len(events)-1].Kind != monitor.Closed {
		m.t.Fatalf("it went %q", told(events))
	}
	for i, e := range events {
		if e.Incident.ID != events[0].Incident.ID || i > 0 && (e.ID <= events[i-1].ID || e.At.Before(events[i-1].At)) ||
			i > 0 && i < len(events)-1 && e.Kind != monitor.Updated {
			m.t.Fatalf("it went %q", told(events))
		}
	}
	list := m.incidents()
	if len(list) != 1 || list[0].FromHistory || list[0].Ending != monitor.Calmed {
		m.t.Fatalf("%d incidents: %+v", len(list), list)
	}
	at := crisisAt(m)
	if i := list[0]; i.Opened.Before(at) || i.Opened.After(at.Add(30*time.Minute)) || i.Began.Sub(at).Abs() > time.Hour || i.Peak < 100 ||
		i.Closed.Sub(i.LastUnusual) != 6*time.Hour {
		m.t.Errorf("it began %v, opened %v, was unusual until %v and closed %v, with a peak of %d", i.Began.Sub(at), i.Opened.Sub(at), i.LastUnusual.Sub(at), i.Closed.Sub(at), i.Peak)
	}
	return list[0]
}

func TestACrisisIsOneIncident(t *testing.T) {
	m := newMonitored(t)
	weeks(m)
	m.monitor(nil)
	m.prepare()
	m.liveFrom(m.start.Add(28 * 24 * time.Hour))
	m.evaluate()
	i := wantOneIncident(m)
	var terms []string
	for _, term := range i.Drivers.Terms {
		terms = append(terms, term.Term)
		if term.Authors < 3 {
			t.Errorf("%+v is said by too few", term)
		}
	}
	if !slices.Contains(terms, "bateria explota") || slices.Contains(terms, "tienda") {
		t.Errorf("it is driven by %q", terms)
	}
	if len(i.Drivers.Sources) != 1 || i.Drivers.Sources[0].Source != "mastodon-velo" || i.Drivers.Sources[0].Negatives < 200 || len(i.Drivers.Samples) != 10 {
		t.Errorf("its drivers are %+v", i.Drivers)
	}
	for _, id := range i.Drivers.Samples {
		if n := scan[int](m, "select count(*) from mention where public_id::text = $1 and text ~ '(bater|battery)'", id); n != 1 {
			t.Errorf("example %s is no mention of the crisis", id)
		}
	}
	text, err := json.Marshal(m.events())
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`(?i)persona\d|handle\d|cuidado con`).FindString(string(text)); found != "" {
		t.Errorf("the log says %q", found)
	}
	state, err := m.LoadMonitorState(t.Context(), "brand")
	if err != nil || !state.Ready || state.OpenIncidents != 0 || state.Preparing != 0 || state.Topics != 1 || state.Mentions24h == 0 || state.Negatives24h == 0 {
		t.Errorf("its state is %+v, %v", state, err)
	}
	if changes := m.evaluate(); len(changes) > 0 {
		t.Errorf("evaluated once more it says %+v", changes)
	}
}

// Workers that are killed at any moment, two of them at once, leave behind what one that lives on does.
func TestACrisisIsOneIncidentHoweverOftenWorkersAreKilled(t *testing.T) {
	m := newMonitored(t)
	weeks(m)
	m.monitor(nil)
	m.prepare()
	m.liveFrom(m.start.Add(28 * 24 * time.Hour))
	var workers sync.WaitGroup
	killed := make([]int, 2)
	for worker := range killed {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 11))
			for latest := 20 * time.Millisecond; ; {
				ctx, cancel := context.WithCancel(context.Background())
				timer := time.AfterFunc(time.Duration(r.Int64N(int64(latest))), cancel)
				topics, err := m.TopicsToWatch(ctx)
				if err == nil && len(topics) == 0 {
					timer.Stop()
					cancel()
					return
				}
				var e store.EvaluatedTopic
				if err == nil {
					e, err = m.EvaluateTopic(ctx, topics[0])
				}
				if err != nil {
					killed[worker]++
				}
				if !e.Busy {
					latest += latest / 10 // later and later, so that it ends, however long an evaluation takes
				}
				timer.Stop()
				cancel()
			}
		})
	}
	workers.Wait()
	if killed[0]+killed[1] < 10 {
		t.Errorf("only %v were killed", killed)
	}
	wantOneIncident(m)
}

func TestABurstOfPraiseIsSilent(t *testing.T) {
	m := newMonitored(t)
	m.say(talk(m.start, m.start.Add(35*24*time.Hour), 6, 2)...)
	praise := crisis(crisisAt(m), crisisAt(m).Add(3*time.Hour), 14)
	for i := range praise {
		praise[i].label, praise[i].text = "positive", "¡Qué gran Velo!"
	}
	m.say(praise...)
	m.monitor(nil)
	m.prepare()
	m.liveFrom(m.start.Add(28 * 24 * time.Hour))
	m.evaluate()
	for _, i := range m.incidents() {
		if i.Opened.After(crisisAt(m)) && i.Opened.Before(crisisAt(m).Add(4*time.Hour)) {
			t.Errorf("praise raised an alarm: %+v", i)
		}
	}
	if n := scan[int](m, "select positives from monitor_tally where step = $1", crisisAt(m)); n < 14 {
		t.Errorf("%d positive mentions were counted", n)
	}
}

// What lies before the monitor was declared raises no alarm, and is no example of the usual either.
func TestHistoryIsLearnedInSilence(t *testing.T) {
	m := newMonitored(t)
	weeks(m)
	if state := m.monitor(nil); state.Preparing != 1 || state.Ready {
		t.Errorf("a new monitor is %+v", state)
	}
	if topics, err := m.TopicsToWatch(t.Context()); err != nil || len(topics) > 0 {
		t.Errorf("topics are evaluated before they are prepared: %v, %v", topics, err)
	}
	m.prepare()
	m.evaluate()
	if events := m.events(); len(events) > 0 {
		t.Errorf("it told %q", told(events))
	}
	list := m.incidents()
	if len(list) != 1 || !list[0].FromHistory || list[0].Closed.IsZero() || len(list[0].Drivers.Terms) == 0 {
		t.Fatalf("history has %+v", list)
	}
	if state, _ := m.LoadMonitorState(t.Context(), "brand"); !state.Ready {
		t.Errorf("the monitor is not ready at once: %+v", state)
	}
	// Learned again, it finds the same: there is still one.
	m.exec("update monitor_detector set relearn = true")
	m.evaluate()
	if again := m.incidents(); len(again) != 1 || again[0].PublicID != list[0].PublicID {
		t.Errorf("learned again it has %+v", again)
	}
	// When its mentions were none of ours, it is gone.
	m.exec("delete from monitor_tally where step between $1 and $1 + interval '4 hours'", crisisAt(m))
	m.exec("update monitor_detector set relearn = true")
	m.evaluate()
	if again := m.incidents(); len(again) != 0 {
		t.Errorf("without its mentions it has %+v", again)
	}
}

// A source may bring its history when the monitor has been watching for a while.
func TestHistoryThatComesLaterIsLearnedToo(t *testing.T) {
	m := newMonitored(t)
	m.monitor(nil)
	m.prepare()
	m.evaluate()
	if state, _ := m.LoadMonitorState(t.Context(), "brand"); state.Ready {
		t.Fatalf("it is ready without a history: %+v", state)
	}
	weeks(m)
	// They are counted as what a source brings is, and not because the topic is another one.
	m.exec(`insert into mention_topic (mention_id, topic_id, source_id, created_at, terms) select m.id, t.id, m.source_id, m.created_at, '{velo}' from mention m, topic t`)
	m.exec(`insert into monitor_tally (topic_id, source_id, step, mentions, negatives)
		select o.topic_id, o.source_id, date_bin('5 minutes', m.created_at, 'epoch'), count(*), count(*) filter (where label = 'negative')
		from mention_topic o join mention m on m.id = o.mention_id group by 1, 2, 3`)
	m.exec("update monitor_detector set evaluated_to = evaluated_to - interval '5 minutes'")
	m.evaluate()
	list := m.incidents()
	if state, _ := m.LoadMonitorState(t.Context(), "brand"); !state.Ready || len(list) != 1 || !list[0].FromHistory || len(m.events()) > 0 {
		t.Errorf("it is %+v, history has %+v, and it told %q", state, list, told(m.events()))
	}
}

// A crisis that has begun when the monitor is declared is told of at once.
func TestACrisisUnderWayIsToldOf(t *testing.T) {
	m := newMonitored(t)
	now := time.Now().UTC().Truncate(5 * time.Minute)
	m.say(talk(m.start, now, 6, 3)...)
	m.say(crisis(now.Add(-2*time.Hour), now, 6)...)
	m.monitor(nil)
	m.prepare()
	m.evaluate()
	events := m.events()
	if len(events) != 1 || events[0].Kind != monitor.Opened || events[0].Incident.FromHistory {
		t.Fatalf("it told %q", told(events))
	}
	if state, _ := m.LoadMonitorState(t.Context(), "brand"); state.OpenIncidents != 1 {
		t.Errorf("the state is %+v", state)
	}
	if changed, err := m.TakeStatusChanges(t.Context()); err != nil || !slices.Contains(changed, store.StatusChange{Kind: store.MonitorKind, Name: "brand"}) {
		t.Errorf("the operator is not told: %v, %v", changed, err)
	}
}

// until is up to when the topic could be evaluated at this moment.
func (m monitored) until() time.Time {
	m.t.Helper()
	m.exec("update monitor_detector set evaluated_to = date_bin('5 minutes', now() - interval '5 hours', 'epoch')")
	m.evaluate()
	return scan[time.Time](m, "select evaluated_to from monitor_detector").UTC()
}

func TestLateMentionsAreWaitedFor(t *testing.T) {
	m := newMonitored(t)
	now := time.Now().UTC()
	m.say(talk(m.start, now.Add(-time.Hour), 6, 4)...)
	m.monitor(nil)
	m.prepare()
	m.evaluate()
	for name, tt := range map[string]struct {
		late        time.Duration
		least, most time.Duration // how far behind now
	}{
		"at once":                         {late: time.Second, least: 30 * time.Second, most: 5*time.Minute + 30*time.Second},
		"four minutes":                    {late: 4 * time.Minute, least: 4 * time.Minute, most: 9 * time.Minute},
		"half an hour is not waited for":  {late: 30 * time.Minute, least: 10 * time.Minute, most: 15 * time.Minute},
		"from history is not late at all": {late: 26 * time.Hour, least: 30 * time.Second, most: 6 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			m.exec("update mention set received_at = created_at + $1::interval", tt.late)
			before := time.Now() // it is evaluated between this moment and the one behind it
			until := m.until()
			if time.Since(until) < tt.least || before.Sub(until) > tt.most {
				t.Errorf("it is evaluated up to %v ago, want %v to %v", before.Sub(until), tt.least, tt.most)
			}
		})
	}
}

func TestSourcesThatAreDueAreWaitedFor(t *testing.T) {
	m := newMonitored(t)
	m.source("feed-velo")
	m.say(talk(m.start, time.Now().Add(-time.Hour), 6, 4)...)
	m.monitor(func(d *store.Monitor) { d.Sources = []string{"mastodon-velo"} })
	m.prepare()
	m.evaluate()
	const id = "(select id from social_source where name = $1)"
	for name, tt := range map[string]struct {
		sql  string
		late bool
	}{
		"it rests until it is due":       {"update social_source_state set next_at = now() + interval '1 hour', listened_at = now() - interval '50 minutes', trouble = null where source_id = " + id, false},
		"nobody has read it for an hour": {"update social_source_state set next_at = now() - interval '59 minutes', listened_at = now() - interval '1 hour', trouble = null where source_id = " + id, true},
		"it cannot be read":              {"update social_source_state set next_at = now() - interval '1 hour', listened_at = now() - interval '1 hour', trouble = 'Unreachable' where source_id = " + id, false},
		"a stream is heard":              {"update social_source_state set next_at = now() - interval '1 hour', listened_at = now() - interval '8 seconds', trouble = null where source_id = " + id, false},
	} {
		t.Run(name, func(t *testing.T) {
			m.exec(tt.sql, "mastodon-velo")
			if behind := time.Since(m.until()); (behind > 50*time.Minute) != tt.late {
				t.Errorf("it is evaluated up to %v ago", behind)
			}
		})
	}
	m.exec("update social_source_state set next_at = now() + interval '1 hour', trouble = null")
	m.exec("update social_source_state set next_at = now() - interval '1 hour', listened_at = null where source_id = "+id, "feed-velo")
	if behind := time.Since(m.until()); behind > 20*time.Minute {
		t.Errorf("it waits for another monitor's source, %v", behind)
	}
}

func TestGapsAreNeitherQuietNorUsual(t *testing.T) {
	m := newMonitored(t)
	m.say(talk(m.start, m.start.Add(34*24*time.Hour), 6, 5)...)
	m.monitor(nil)
	m.prepare()
	day := m.start.Add(33 * 24 * time.Hour)
	m.exec("insert into source_gap (source_id, from_at, to_at, reason) select id, $1, $2, 'test' from social_source", day.Add(10*time.Hour), day.Add(12*time.Hour))
	m.exec("insert into source_gap (source_id, from_at, to_at, reason) select id, $1, $2, 'test' from social_source", day.Add(14*time.Hour), day.Add(14*time.Hour+20*time.Second))
	m.exec("insert into source_gap (source_id, to_at, reason) select id, $1, 'test' from social_source", day.Add(16*time.Hour))
	var got []string
	for _, c := range store.LoadedCounts(t, m.DB, day, day.Add(24*time.Hour)) {
		got = append(got, c.Start.Format("15:04"))
	}
	missing := func(clock time.Duration) bool { return !slices.Contains(got, day.Add(clock).Format("15:04")) }
	if len(got) != 288-24-1 || !missing(10*time.Hour) || !missing(12*time.Hour-5*time.Minute) || missing(12*time.Hour) || missing(14*time.Hour) ||
		!missing(16*time.Hour-5*time.Minute) {
		t.Errorf("%d steps are known: %s", len(got), strings.Join(got, " "))
	}
}

func TestASuspendedMonitorIsSilent(t *testing.T) {
	m := newMonitored(t)
	weeks(m)
	m.monitor(nil)
	m.prepare()
	m.liveFrom(m.start.Add(28 * 24 * time.Hour))
	suspend := func(d *store.Monitor) { d.Suspended = true }
	m.monitor(suspend)
	if changes := m.evaluate(); len(changes) > 0 || scan[int](m, "select count(*) from monitor_detector where evaluated_at is not null") > 0 {
		t.Errorf("it was evaluated: %+v", changes)
	}
	if topics, _, err := m.Topics(t.Context()); err != nil || len(topics) != 0 {
		t.Errorf("its topics are looked for: %+v, %v", topics, err)
	}
	// What came meanwhile is counted when it wakes, and raises no alarm any more.
	m.say(said{at: crisisAt(m), label: "negative", text: "Velo dormida", author: 1})
	m.monitor(nil)
	if changed := m.prepare(); changed != 1 {
		t.Errorf("%d mentions were found", changed)
	}
	m.evaluate()
	if events := m.events(); len(events) != 0 {
		t.Errorf("it told %q", told(events))
	}
}

func TestADefinitionThatIsEditedCountsAnew(t *testing.T) {
	m := newMonitored(t)
	m.say(talk(m.start, m.start.Add(30*24*time.Hour), 4, 8)...)
	m.say(said{at: m.start, label: "negative", text: "El velo de novia", author: 1}, said{at: m.start, label: "positive", text: "Rodamar también", author: 2, likes: 9})
	m.monitor(nil)
	m.prepare()
	all := scan[int](m, "select sum(mentions)::int from monitor_tally")
	before, err := m.TopicVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	edited := velo
	edited.Except = []match.Term{{Phrase: "velo de novia"}}
	change := func(d *store.Monitor) {
		d.Topics[0].Definition = edited
		d.Topics = append(d.Topics, store.MonitorTopic{Role: store.CompetitorTopic, Definition: match.Topic{Name: "rodamar", Any: []match.Term{{Word: "rodamar"}}}})
	}
	if state := m.monitor(change); state.Preparing != 2 {
		t.Errorf("an edited monitor is %+v", state)
	}
	topics, after, err := m.Topics(t.Context())
	if err != nil || after == before || len(topics) != 2 || cmp.Diff(edited, topics[0].Definition) != "" || topics[1].Role != store.CompetitorTopic {
		t.Errorf("version %d became %d, topics %+v, %v", before, after, topics, err)
	}
	if changed := m.prepare(); changed != 2 {
		t.Errorf("%d matches changed, want the bride's and the competitor's", changed)
	}
	if now := scan[int](m, "select sum(mentions)::int from monitor_tally"); now != all-1+1 {
		t.Errorf("%d mentions are counted, and were %d", now, all)
	}
	changed, state, err := m.SaveMonitor(t.Context(), store.Monitor{Name: "brand", TimeZone: "Europe/Madrid", Topics: []store.MonitorTopic{{Role: store.BrandTopic, Definition: edited}}})
	if err != nil || !changed || state.Topics != 1 || state.Preparing != 0 {
		t.Errorf("without the competitor: %t, %+v, %v", changed, state, err)
	}
}

// An incident whose topic is not declared any more is closed, and told of: nobody waits for its end for ever.
func TestAnIncidentThatNobodyWatchesIsClosed(t *testing.T) {
	now := time.Now().UTC().Truncate(5 * time.Minute)
	for name, end := range map[string]func(m monitored){
		"the topic is dropped": func(m monitored) {
			m.monitor(func(d *store.Monitor) { d.Topics[0].Definition.Name = "other" })
		},
		"the monitor is deleted": func(m monitored) {
			if err := m.DormantMonitor(t.Context(), "brand"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMonitored(t)
			m.say(talk(now.Add(-10*24*time.Hour), now, 6, 3)...)
			m.say(crisis(now.Add(-2*time.Hour), now, 6)...)
			m.monitor(nil)
			m.prepare()
			m.evaluate()
			if closed, err := m.CloseUnwatched(t.Context()); err != nil || closed != 0 || len(m.events()) != 1 {
				t.Fatalf("%d were closed of %q, %v", closed, told(m.events()), err)
			}
			end(m)
			for i, want := range []int{1, 0} {
				if closed, err := m.CloseUnwatched(t.Context()); err != nil || closed != want {
					t.Errorf("call %d closed %d, %v", i+1, closed, err)
				}
			}
			events := m.events()
			if len(events) != 2 || events[1].Kind != monitor.Closed || events[1].Incident.Ending != monitor.Unwatched || m.incidents()[0].Closed.IsZero() {
				t.Errorf("it told %q", told(events))
			}
		})
	}
}
