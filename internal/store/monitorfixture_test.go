package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// monitored is a tenant with a source and what it brought.
type monitored struct {
	t testing.TB
	*store.DB
	start time.Time // the beginning of the hour that is five weeks ago
}

func newMonitored(t testing.TB) monitored {
	t.Helper()
	m := monitored{t: t, DB: storetest.New(t), start: time.Now().UTC().Truncate(time.Hour).Add(-35 * 24 * time.Hour)}
	if _, err := m.SaveTenant(t.Context(), store.Tenant{ID: "velo", Namespace: "velo", TimeZone: "UTC", Locales: []string{"es"}}); err != nil {
		t.Fatal(err)
	}
	m.source("mastodon-velo")
	return m
}

// source declares a source that rests as it should: nobody waits for it.
func (m monitored) source(name string) {
	m.t.Helper()
	_, _, err := m.SaveSource(context.Background(), store.Source{Name: name, Type: "Mastodon", Settings: json.RawMessage(`{}`), Interval: time.Minute})
	if err != nil {
		m.t.Fatal(err)
	}
	m.exec("update social_source_state set next_at = now() + interval '1 day', listened_at = now()")
}

func (m monitored) exec(sql string, arguments ...any) {
	m.t.Helper()
	if _, err := m.Pool.Exec(context.Background(), sql, arguments...); err != nil {
		m.t.Fatalf("%s: %v", sql, err)
	}
}

// scan reads one value.
func scan[T any](m monitored, sql string, arguments ...any) (value T) {
	m.t.Helper()
	if err := m.Pool.QueryRow(context.Background(), sql, arguments...).Scan(&value); err != nil {
		m.t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// said is a mention that is stored.
type said struct {
	at      time.Time
	label   string
	text    string
	author  int
	likes   int64
	source  string
	arrived time.Time // zero: a second after it was written
}

// say stores mentions, past everything that judges them.
func (m monitored) say(list ...said) {
	m.t.Helper()
	authors := map[int]bool{}
	for _, s := range list {
		authors[s.author] = true
	}
	numbers := slices.Sorted(maps.Keys(authors))
	m.exec(`insert into author (key, network, native_id, handle, name)
		select decode(md5('a' || n), 'hex'), 'test', 'a' || n, 'handle' || n || '@social.example', 'Persona' || n from unnest($1::int[]) n on conflict do nothing`, numbers)
	var at, arrived []time.Time
	var labels, texts, sources []string
	var by []int
	var likes []int64
	for _, s := range list {
		if s.arrived.IsZero() {
			s.arrived = s.at.Add(time.Second)
		}
		if s.source == "" {
			s.source = "mastodon-velo"
		}
		at, arrived, labels, texts, by, likes = append(at, s.at), append(arrived, s.arrived), append(labels, s.label), append(texts, s.text),
			append(by, s.author), append(likes, s.likes)
		sources = append(sources, s.source)
	}
	m.exec(`
		with new as (
			insert into mention (key, network, native_id, source_id, author_id, kind, visibility, created_at, received_at, text, likes, label, polarity, confidence, engine)
			select decode(md5(gen_random_uuid()::text), 'hex'), 'test', gen_random_uuid(), s.id, a.id, 'Post', 'Public', d.at, d.arrived, d.text, d.likes, d.label, 0, 1, 'test'
			from unnest($1::timestamptz[], $2::timestamptz[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::text[]) with ordinality
					d (at, arrived, label, text, author, likes, source, n)
				join author a on a.network = 'test' and a.native_id = 'a' || d.author join social_source s on s.name = d.source order by d.n
			returning id, source_id, created_at)
		insert into mention_source (mention_id, source_id, created_at) select * from new`, at, arrived, labels, texts, by, likes, sources)
}

// talk are mentions of Velo over a time: so many negative ones an hour on average, in the middle of the day more than at night, and three others
// for each of them. They come as evenly as they can, and say one thing after the other: none of it is a burst, and nothing is said more on one day
// than on others, whatever the hour and the season in which a test runs.
func talk(from, to time.Time, perHour float64, seed uint64) (list []said) {
	r := rand.New(rand.NewPCG(seed, 6))
	negative := []string{"La tienda de Velo no contesta", "Otra vez el pedido de Velo tarde", "El casco de Velo es un robo", "Velo support is slow"}
	other := []string{"Hoy salimos con la Velo", "Velo abre tienda en Gijón", "Me encanta mi Velo", "Velo sponsors the race"}
	var negatives, others float64
	var complaints, remarks int
	for at := from; at.Before(to); at = at.Add(5 * time.Minute) {
		mean := perHour / 12 * (1 - 0.5*math.Cos(2*math.Pi*float64(at.Hour()-2)/24))
		for negatives += mean; negatives >= 1; negatives-- {
			list = append(list, said{at: spreadOver(at, len(list)), label: "negative", text: negative[complaints%len(negative)], author: r.IntN(5000)})
			complaints++
		}
		for others += 3 * mean; others >= 1; others-- {
			label := []string{"neutral", "positive"}[r.IntN(2)]
			list = append(list, said{at: spreadOver(at, len(list)), label: label, text: other[remarks%len(other)], author: r.IntN(5000), likes: 2})
			remarks++
		}
	}
	return list
}

func spreadOver(step time.Time, i int) time.Time {
	return step.Add(time.Duration(i*17%290) * time.Second)
}

// crisis are so many mentions about a battery in each step of a time, each by somebody else.
func crisis(from, to time.Time, each int) (list []said) {
	author := 10_000
	for at := from; at.Before(to); at = at.Add(5 * time.Minute) {
		for i := range each {
			author++
			list = append(list, said{at: spreadOver(at, i), label: "negative", author: author, likes: int64(author % 7), text: []string{
				"La batería explota, cuidado con la Velo", "Se quemó la batería de mi Velo, la batería explota", "Velo: the battery caught fire",
			}[i%3]})
		}
	}
	return list
}

var velo = match.Topic{Name: "velo", Any: []match.Term{{Word: "velo"}}}

func (m monitored) monitor(change func(*store.Monitor)) store.MonitorState {
	m.t.Helper()
	d := store.Monitor{Name: "brand", Topics: []store.MonitorTopic{{Role: store.BrandTopic, Definition: velo}}, TimeZone: "Europe/Madrid"}
	if change != nil {
		change(&d)
	}
	_, state, err := m.SaveMonitor(context.Background(), d)
	if err != nil {
		m.t.Fatal(err)
	}
	return state
}

// find compares posts with topics.
func find(topics []match.Topic, posts []match.Post) ([][][]string, error) {
	matcher, err := match.Compile(topics)
	if err != nil {
		return nil, err
	}
	found := make([][][]string, len(topics))
	for t := range found {
		found[t] = make([][]string, len(posts))
	}
	for i := range posts {
		for _, f := range matcher.Match(&posts[i], nil) {
			for _, h := range f.Hits {
				term := matcher.Term(f.Topic, h)
				if label := match.Label(&term); !slices.Contains(found[f.Topic][i], label) {
					found[f.Topic][i] = append(found[f.Topic][i], label)
				}
			}
		}
	}
	return found, nil
}

// prepare compares what is stored with topics until that is done.
func (m monitored) prepare() (changed int) {
	m.t.Helper()
	for range 1000 {
		done, err := m.MatchStored(context.Background(), 5000, find)
		if err != nil {
			m.t.Fatal(err)
		}
		changed += done.Changed
		if !done.More && scan[int](m, "select count(*) from topic where matched_to is not null and dropped_at is null") == 0 {
			m.wantTallied()
			return changed
		}
	}
	m.t.Fatal("it does not end")
	return 0
}

// wantTallied says that every count is that of its mentions.
func (m monitored) wantTallied() {
	m.t.Helper()
	rows, err := m.Pool.Query(context.Background(), `
		with mentions as (
			select o.topic_id, o.source_id, date_bin('5 minutes', m.created_at, 'epoch') step, count(*) mentions, count(*) filter (where label = 'negative') negatives,
				count(*) filter (where label = 'positive') positives, sum(coalesce(likes, 0) + coalesce(reposts, 0) + coalesce(replies, 0)) engagement
			from mention_topic o join mention m on m.id = o.mention_id group by 1, 2, 3)
		select coalesce(t.step, m.step)::text || ': ' || coalesce(t.mentions, 0) || ' counted, ' || coalesce(m.mentions, 0) || ' stored'
		from (select * from monitor_tally where source_id > 0) t full join mentions m using (topic_id, source_id, step)
		where (coalesce(t.mentions, 0), coalesce(t.negatives, 0), coalesce(t.positives, 0), coalesce(t.engagement, 0))
			is distinct from (coalesce(m.mentions, 0), coalesce(m.negatives, 0), coalesce(m.positives, 0), coalesce(m.engagement, 0)) limit 10`)
	if err != nil {
		m.t.Fatal(err)
	}
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(wrong) > 0 {
		m.t.Errorf("counts are not those of the mentions: %v, %v", wrong, err)
	}
}

// evaluate evaluates all topics until nothing is left.
func (m monitored) evaluate() (changes []monitor.Change) {
	m.t.Helper()
	for range 1000 {
		topics, err := m.TopicsToWatch(context.Background())
		if err != nil {
			m.t.Fatal(err)
		}
		if len(topics) == 0 {
			return changes
		}
		e, err := m.EvaluateTopic(context.Background(), topics[0])
		if err != nil {
			m.t.Fatal(err)
		}
		changes = append(changes, e.Changes...)
	}
	m.t.Fatal("it does not end")
	return nil
}

// liveFrom says since when the topics raise alarms.
func (m monitored) liveFrom(at time.Time) {
	m.t.Helper()
	m.exec("update topic set live_from = $1", at)
}

func (m monitored) events() []store.IncidentEvent {
	m.t.Helper()
	events, err := m.IncidentEvents(context.Background(), 0, 500)
	if err != nil {
		m.t.Fatal(err)
	}
	return events
}

func (m monitored) incidents() []store.Incident {
	m.t.Helper()
	list, err := m.ListIncidents(context.Background(), store.IncidentQuery{Monitor: "brand"})
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// told is what happened, in a line.
func told(events []store.IncidentEvent) (lines []string) {
	for _, e := range events {
		lines = append(lines, fmt.Sprintf("%s %d %s %s", e.Kind, e.Incident.ID, e.Incident.Topic, e.At.Format(time.RFC3339)))
	}
	return lines
}
