package store_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// Workers and servers may do all that they have to do with mentions.
func TestRuntimeRoleListens(t *testing.T) {
	ctx := t.Context()
	cluster, err := store.OpenCluster(ctx, storetest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	owner, runtimeURL := provision(t, cluster, "velo-listening")
	db, err := store.Open(ctx, runtimeURL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	l := listening{owner, t}
	l.save(store.Source{Name: "a", Type: "Mastodon", Settings: json.RawMessage("{}"), Interval: time.Minute})
	l.exec("insert into monitor (name) values ('velo')")
	l.exec("insert into topic (monitor_id, name, role, definition) select id, 'Velo', 'Brand', '{}' from monitor")
	leases, err := db.LeaseSources(ctx, "worker", time.Minute, 1)
	if err != nil || len(leases) != 1 {
		t.Fatalf("%+v, %v", leases, err)
	}
	lease := leases[0]
	about := func(j *store.Judged) { j.Topics = []store.TopicMatch{{Topic: 1, Terms: []string{"velo"}}} }
	take := func(b listen.Batch, posts ...store.Judged) func() error {
		return func() error {
			b.Network, b.Next = social, json.RawMessage("1")
			_, err := db.TakeMentions(ctx, lease, b, posts)
			return err
		}
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"store", take(listen.Batch{}, post("1", secret, by("ana"), about), post("2", secret, by("bea"), about), post("3", aged(40*day)))},
		{"revise", take(listen.Batch{}, post("1", secret, by("ana"), edited(time.Minute, "r2", "b")))},
		{"count", take(listen.Batch{}, post("2", by("bea"), func(j *store.Judged) { j.Engagement = &listen.Engagement{Likes: 1} }))},
		{"forget", take(listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}, {AuthorID: "https://social.example/users/bea"}}, Gaps: []listen.Gap{{To: time.Now()}}})},
		{"hook", func() error {
			_, err := db.TakeHooked(ctx, "a", listen.Batch{Network: social, Deleted: []listen.Deletion{{PostID: "9"}, {AuthorID: "9"}}}, nil)
			return err
		}},
		{"correct and learn", func() error {
			id := query(t, owner, "select public_id::text from mention where native_id = '3'")[0]
			_, err := db.CorrectSentiment(ctx, id, "negative", store.Decider{Token: "t", By: "ana"})
			if err != nil {
				return err
			}
			if _, err := db.SentimentToLearn(ctx); err != nil {
				return err
			}
			if _, err := db.SentimentLesson(ctx, "es"); err != nil {
				return err
			}
			for _, n := range []int{1, 0} {
				m := store.SentimentModel{Language: "es", Trial: learned.Trial{Corrections: n, Refused: "too few"}}
				if err := db.SaveSentimentModel(ctx, m); err != nil {
					return err
				}
			}
			_, err = db.SentimentModelsInUse(ctx)
			return err
		}},
		{"sweep", func() error {
			l.exec("update social_source set keep = '30 days'")
			l.exec("update author set forgetting = true")
			for range 3 {
				if _, err := db.SweepMentions(ctx, 10); err != nil {
					return err
				}
			}
			return nil
		}},
		{"list", func() error {
			_, err := db.Mentions(ctx, store.MentionQuery{Text: "velo", Monitor: "velo"})
			return err
		}},
		{"stream", func() error { _, _, err := db.MentionsSince(ctx, 0, store.MentionQuery{}, 10); return err }},
		{"sources", func() error { _, err := db.Sources(ctx); return err }},
		{"extend", func() error { return db.ExtendSource(ctx, lease, time.Minute) }},
		{"release", func() error { return db.ReleaseSource(ctx, lease, store.SourceRest{Reason: listen.Throttled}) }},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	if _, err := db.Pool.Exec(context.Background(), "update social_source set settings = '{}'"); !store.IsRefused(err) {
		t.Errorf("a worker declares a source: %v", err)
	}
}
