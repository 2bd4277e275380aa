package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// topics declares topics of one monitor, which are found by a word each.
func (l listening) topics(words ...string) (version int64) {
	l.t.Helper()
	m := store.Monitor{Name: "velo"}
	for _, word := range words {
		m.Topics = append(m.Topics, store.MonitorTopic{Role: store.BrandTopic, Definition: match.Topic{Name: word, Any: []match.Term{{Word: word}}}})
	}
	_, _, err := l.SaveMonitor(context.Background(), m)
	if err == nil {
		version, err = l.TopicVersion(context.Background())
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return version
}

// found are the topics of all mentions, with the source for which each counts and the terms that were found.
func (l listening) found() string {
	l.t.Helper()
	return fmt.Sprint(query(l.t, l.DB, `
		select m.native_id || ': ' || t.name || ' for ' || s.name || ' by ' || array_to_string(o.terms, ' ') from mention_topic o
			join mention m on m.id = o.mention_id join topic t on t.id = o.topic_id join social_source s on s.id = o.source_id order by 1`))
}

// An edit counts for all sources that brought the post, whichever brings the edit.
func TestAnEditCountsForAllItsSources(t *testing.T) {
	about := func(topic int64, term string, sources ...string) func(*store.Judged) {
		return func(j *store.Judged) {
			j.Topics = append(j.Topics, store.TopicMatch{Topic: topic, Terms: []string{term}, Sources: sources})
		}
	}
	edit := edited(time.Minute, "r2", "otra cosa")
	for name, c := range map[string]struct {
		before, edit []func(*store.Judged)
		want         string
	}{
		"what it is about no more":              {[]func(*store.Judged){about(1, "velo")}, nil, "[]"},
		"what it is about still":                {[]func(*store.Judged){about(1, "velo")}, []func(*store.Judged){about(1, "velo")}, "[1: velo for a by velo]"},
		"found by another term":                 {[]func(*store.Judged){about(1, "velo")}, []func(*store.Judged){about(1, "velofest")}, "[1: velo for a by velofest]"},
		"what is new":                           {nil, []func(*store.Judged){about(1, "velo")}, "[1: velo for a by velo]"},
		"counts for the other, no more":         {[]func(*store.Judged){about(1, "velo", "a")}, nil, "[]"},
		"counts for the other, still":           {[]func(*store.Judged){about(1, "velo", "a")}, []func(*store.Judged){about(1, "velo", "a")}, "[1: velo for a by velo]"},
		"counts for the other, and is new":      {nil, []func(*store.Judged){about(1, "velo", "a", "c")}, "[1: velo for a by velo]"},
		"counts for who brings the edit":        {nil, []func(*store.Judged){about(1, "velo", "b")}, "[1: velo for b by velo]"},
		"counts for neither":                    {[]func(*store.Judged){about(1, "velo", "c")}, []func(*store.Judged){about(1, "velo", "c", "unheard")}, "[]"},
		"one goes, another comes, one is there": {[]func(*store.Judged){about(1, "velo"), about(2, "bici")}, []func(*store.Judged){about(2, "bici")}, "[1: bici for a by bici]"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListening(t, "a", "b", "c")
			l.topics("velo", "bici")
			l.take(l.lease("a"), post("1", c.before...))
			b := l.lease("b")
			l.take(b, post("1", c.before...))
			l.take(b, post("1", append(c.edit, edit)...))
			if got := l.found(); got != c.want {
				t.Errorf("%s; want %s", got, c.want)
			}
			tally := query(t, l.DB, "select topic_id || ' ' || source_id || ' ' || mentions || ' ' || positives from monitor_tally where mentions <> 0 or positives <> 0 order by 1")
			if want := query(t, l.DB, "select topic_id || ' ' || source_id || ' 1 1' from mention_topic order by 1"); fmt.Sprint(tally) != fmt.Sprint(want) {
				t.Errorf("counted are %s; want %s", tally, want)
			}
		})
	}
}

// Posts that were compared with other topics than those in force are not stored, and nor is how far the source was read.
func TestPostsAreComparedWithTheTopicsInForce(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	compared := l.topics("velo")
	lease := l.lease("a")
	with := func(version int64) func(*store.Judged) {
		return func(j *store.Judged) { j.TopicVersion = version }
	}
	l.batch(lease, listen.Batch{Next: json.RawMessage("1")}, post("1", with(compared)))
	now := l.topics("velo", "bici")
	late := listen.Batch{Network: social, Next: json.RawMessage("2"), Deleted: []listen.Deletion{{PostID: "1"}}}
	for what, posts := range map[string][]store.Judged{
		"a new one": {post("2", with(compared))}, "one that is there": {post("1", with(compared))}, "one of two": {post("2", with(now)), post("3", with(compared))},
	} {
		if _, err := l.TakeMentions(ctx, lease, late, posts); !errors.Is(err, store.ErrTopicsChanged) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := l.TakeHooked(ctx, "a", late, posts); !errors.Is(err, store.ErrTopicsChanged) {
			t.Errorf("%s is posted: %v", what, err)
		}
	}
	if got := l.texts(); got != "[1: La bicicleta 1 de Velo es estupenda]" || string(l.lease("a").Cursor) != "1" {
		t.Errorf("something was stored: %s, the cursor is %s", got, l.lease("a").Cursor)
	}
	lease = l.lease("a")
	l.batch(lease, listen.Batch{Next: json.RawMessage("2")}, post("2", with(now)))
	l.topics("velo", "bici", "casco")
	l.batch(lease, listen.Batch{Next: json.RawMessage("3"), Deleted: []listen.Deletion{{PostID: "1"}}}) // which is about nothing
}

// held has a transaction hold a row, so that whoever wants to change it waits in the middle of something.
func (l listening) held(statement string, arguments ...any) (letGo func()) {
	l.t.Helper()
	tx, err := l.Pool.Begin(context.Background())
	if err == nil {
		_, err = tx.Exec(context.Background(), statement, arguments...)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	letGo = func() { _ = tx.Rollback(context.Background()) }
	l.t.Cleanup(letGo)
	return letGo
}

// waits waits until somebody waits for a row that is held.
func (l listening) waits() {
	l.t.Helper()
	gomega.NewWithT(l.t).Eventually(func() []string {
		return query(l.t, l.DB, "select query from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")
	}, time.Minute, time.Millisecond).ShouldNot(gomega.BeEmpty())
}

// A topic is declared while a writer is in the middle of storing what was compared with the topics of before, for however long: it is found in that
// too, and nobody waits.
func TestATopicFindsWhatIsBeingStored(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	version := l.topics("nada")
	compared := func(j *store.Judged) { j.TopicVersion = version }
	lease := l.lease("a")
	l.take(lease, post("1", compared), post("2", compared, by("dora")))
	letGo := l.held("select from author where handle like 'ana@%' for update")
	done := make(chan error, 1)
	go func() {
		renamed := post("3", compared)
		renamed.Author.Name = "Ana María"
		_, err := l.TakeMentions(ctx, lease, listen.Batch{Network: social}, []store.Judged{renamed})
		done <- err
	}()
	l.waits()
	l.topics("nada", "velo")
	look := func() string {
		t.Helper()
		for more := true; more; {
			some, err := l.MatchStored(ctx, 100, find)
			if err != nil {
				t.Fatal(err)
			}
			more = some.More
		}
		state, err := l.LoadMonitorState(ctx, "velo")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(l.found(), " ", state.Preparing)
	}
	if got, want := look(), `[1: velo for a by word "velo" 2: velo for a by word "velo"] 0`; got != want {
		t.Errorf("while it is being stored: %s; want %s", got, want)
	}
	l.exec("update topic set changed_at = changed_at - interval '1 hour'")
	look()
	letGo()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, want := look(), `[1: velo for a by word "velo" 2: velo for a by word "velo" 3: velo for a by word "velo"] 0`; got != want {
		t.Errorf("when it is stored: %s; want %s", got, want)
	}
	if left := query(t, l.DB, "select name from topic where match_again is not null or matched_to is not null"); len(left) > 0 {
		t.Errorf("there is still something to do for %s", left)
	}
}

// Who compares what is stored locks it in the order in which those do who store: nobody waits for somebody who waits for them.
func TestComparingLocksInTheOrderOfWriters(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	l.take(l.lease("a"), post("1"), post("2"), post("3"), post("4"), post("5"), post("6"))
	l.topics("velo")
	l.exec("update mention set key = decode(md5((100 - id)::text), 'hex')")
	letGo := l.held("select from mention order by key limit 1 for update")
	done := make(chan error, 1)
	go func() {
		_, err := l.MatchStored(ctx, 100, find)
		done <- err
	}()
	l.waits()
	err := pgx.BeginFunc(ctx, l.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select from mention where key > (select key from mention order by key limit 1) for update nowait")
		return err
	})
	if err != nil {
		t.Errorf("it holds another one while it waits for the first: %v", err)
	}
	letGo()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
