package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func aged(age time.Duration) func(*store.Judged) {
	return func(j *store.Judged) { j.CreatedAt = time.Now().Add(-age) }
}

func TestWhatIsTooOldIsForgotten(t *testing.T) {
	ctx := context.Background()
	l := newListening(t)
	l.save(store.Source{Name: "short", Type: "Feed", Settings: []byte("{}"), Interval: time.Minute, Keep: 30 * day})
	l.save(store.Source{Name: "long", Type: "Feed", Settings: []byte("{}"), Interval: time.Minute, Keep: 300 * day})
	short := l.lease("short")
	if diff := cmp.Diff(store.TakenMentions{Stored: 3, Refused: 1}, l.take(short,
		post("1", aged(29*day), secret, by("ana")), post("2", aged(29*day), by("dora")), post("3", aged(15*day), by("dora")), post("4", aged(31*day), by("eva")))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found := l.traces("/eva"); len(found) > 0 {
		t.Errorf("of somebody whose post is too old: %s", found)
	}
	l.take(l.lease("long"), post("2", aged(29*day), by("dora")), post("5", aged(29*day), by("fe")))
	l.exec("update social_source set keep = '20 days' where name = 'short'")
	var swept store.SweptMentions
	for more := true; more; {
		some, err := l.SweepMentions(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		swept.Expired, swept.Authors, more = swept.Expired+some.Expired, swept.Authors+some.Authors, some.More
	}
	if swept.Expired != 1 || swept.Authors != 2 { // ana, and bea, whom she named
		t.Errorf("%+v", swept)
	}
	if found := l.traces("zarzuela", "/ana", "/bea"); len(found) > 0 {
		t.Errorf("what is left: %s", found)
	}
	got := query(t, l.DB, "select m.native_id || ' ' || string_agg(s.name, ' ' order by s.name) from mention m join mention_source x on x.mention_id = m.id join social_source s on s.id = x.source_id group by m.id order by 1")
	if want := "[2 long 3 short 5 long]"; fmt.Sprint(got) != want {
		t.Errorf("%s; want %s", got, want)
	}
	if diff := cmp.Diff(store.TakenMentions{Refused: 1}, l.take(l.lease("short"), post("1", aged(29*day)))); diff != "" {
		t.Errorf("a replay (-want +got):\n%s", diff)
	}
}

// What was forgotten is remembered as such until it is too old to come back.
func TestTombsEnd(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	lease := l.lease("a")
	l.take(lease, post("1", aged(29*day), by("ana")), post("2", by("dora")))
	l.batch(lease, listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}, {AuthorID: "https://social.example/users/ana"}}})
	rows := func() string {
		t.Helper()
		if _, err := l.SweepMentions(ctx, 100); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(query(t, l.DB, "select count(*)::text from mention union all select count(*)::text from author"))
	}
	if got := rows(); got != "[2 2]" {
		t.Errorf("mentions and authors: %s", got)
	}
	l.exec("update social_source set keep = '20 days'")
	l.exec("update author set forgotten_at = now() - interval '21 days' where forgotten_at is not null")
	if got := rows(); got != "[1 1]" {
		t.Errorf("when it is too old to come back: %s", got)
	}
}

// What a source brought is told to who keeps its status.
func TestStoredIsTold(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a", "b")
	changes := func() []store.StatusChange {
		t.Helper()
		if _, err := l.SweepMentions(ctx, 10); err != nil {
			t.Fatal(err)
		}
		changes, err := l.TakeStatusChanges(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	changes()
	lease := l.lease("a")
	l.take(lease, post("1"))
	if diff := cmp.Diff([]store.StatusChange{{Kind: store.SourceKind, Name: "a"}}, changes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.take(lease, post("2"))
	if got := changes(); len(got) != 0 {
		t.Errorf("twice within a minute: %v", got)
	}
	l.exec("update social_source_state set told_at = told_at - interval '2 minutes'")
	if got := changes(); len(got) != 1 {
		t.Errorf("a minute later: %v", got)
	}
}
