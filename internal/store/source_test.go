package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func feedSource(change ...func(*store.Source)) store.Source {
	s := store.Source{Name: "blog", Type: "Feed", Settings: json.RawMessage(`{"url": "https://blog.example/feed"}`), Languages: []string{"es"}, Interval: time.Minute}
	for _, f := range change {
		f(&s)
	}
	return s
}

func TestSavedSources(t *testing.T) {
	ctx := context.Background()
	l := listening{storetest.New(t), t}
	save := func(want bool, change ...func(*store.Source)) store.SourceState {
		t.Helper()
		changed, state, err := l.SaveSource(ctx, feedSource(change...))
		if err != nil || changed != want {
			t.Errorf("changed: %t, %v; want %t", changed, err, want)
		}
		return state
	}
	if diff := cmp.Diff(store.SourceState{Condition: store.SourceWaiting}, save(true)); diff != "" {
		t.Errorf("a new one (-want +got):\n%s", diff)
	}
	save(false)
	got, err := l.LoadSource(ctx, "blog")
	want := feedSource(func(s *store.Source) { s.Keep = store.DefaultKeep })
	if diff := cmp.Diff(want, got.Source); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	lease := l.lease("blog")
	epoch := func() (epoch int64) {
		t.Helper()
		if err := l.Pool.QueryRow(ctx, "select epoch from social_source_state").Scan(&epoch); err != nil {
			t.Fatal(err)
		}
		return epoch
	}
	l.batch(lease, listen.Batch{Next: json.RawMessage(`"here"`)})
	save(true, func(s *store.Source) { s.Keep = 30 * 24 * time.Hour })
	if epoch() != lease.Epoch {
		t.Error("for how long is kept what it brings does not matter to who reads it")
	}
	for what, change := range map[string]func(*store.Source){
		"settings":  func(s *store.Source) { s.Settings = json.RawMessage(`{"url": "https://blog.example/other"}`) },
		"languages": func(s *store.Source) { s.Languages = nil },
		"interval":  func(s *store.Source) { s.Interval = time.Hour },
		"suspended": func(s *store.Source) { s.Suspended = true },
	} {
		before := epoch()
		save(true, change)
		if epoch() != before+1 {
			t.Errorf("%s: who reads it goes on", what)
		}
		save(true)
	}
	if err := l.ReleaseSource(ctx, l.lease("blog"), store.SourceRest{Reason: listen.Unauthorized, Message: "needs another token.", Failures: 3}); err != nil {
		t.Fatal(err)
	}
	if state := save(false); state.Condition != store.SourceFailing || state.Reason != listen.Unauthorized || state.Since == nil {
		t.Errorf("%+v", state)
	}
	if again := l.lease("blog"); string(again.Cursor) != `"here"` || again.Failures != 3 || !again.Troubled {
		t.Errorf("%+v", again)
	}
	if state := save(true, func(s *store.Source) { s.Settings = json.RawMessage(`{"url": "https://blog.example/mended"}`) }); state.Condition != store.SourceWaiting {
		t.Errorf("mended: %+v", state)
	}
	save(true, func(s *store.Source) { s.Type = "Mailbox" })
	if again := l.lease("blog"); again.Cursor != nil || again.Failures != 0 {
		t.Errorf("another type goes on from %s", again.Cursor)
	}
	if err := l.DormantSource(ctx, "blog"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.LoadSource(ctx, "blog"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a dormant one: %v", err)
	}
	if list, err := l.Sources(ctx); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := l.LoadSourceState(ctx, "blog"); err != nil {
		t.Error(err)
	}
	if leases, err := l.LeaseSources(ctx, "w", time.Minute, 10); err != nil || len(leases) != 0 {
		t.Errorf("a dormant one is leased: %+v, %v", leases, err)
	}
	save(true)
	l.lease("blog")
	if list, err := l.Sources(ctx); err != nil || len(list) != 1 || list[0].Name != "blog" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestLeasesOfSources(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a", "b", "c", "d")
	l.exec("update social_source set suspended = true where name = 'd'")
	names := func(worker string, lease time.Duration, limit int) (names []string) {
		t.Helper()
		leases, err := l.LeaseSources(ctx, worker, lease, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leases {
			names = append(names, l.Name)
		}
		return names
	}
	// Each goes to one, also of many who ask at once.
	var group sync.WaitGroup
	var mu sync.Mutex
	holders := map[string]int{}
	for w := range 5 {
		group.Go(func() {
			leases, err := l.LeaseSources(ctx, fmt.Sprint(w), time.Minute, 2)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			for _, l := range leases {
				holders[l.Name]++
			}
		})
	}
	group.Wait()
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, holders); diff != "" {
		// A row that another one was looking at is passed over: nobody waits. The next look finds it.
		for _, name := range names("next", time.Minute, 10) {
			holders[name]++
		}
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, holders); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if got := names("late", time.Minute, 10); len(got) != 0 {
		t.Errorf("held ones are leased: %s", got)
	}
	l.exec("update social_source_state set leased_until = now() - interval '1 s' where source_id = (select id from social_source where name = 'b')")
	if got := names("late", time.Minute, 10); fmt.Sprint(got) != "[b]" {
		t.Errorf("of one who died: %s", got)
	}
	a := l.lease("a")
	before := a.Until
	if err := l.ExtendSource(ctx, a, time.Hour); err != nil {
		t.Fatal(err)
	}
	var until time.Time
	if err := l.Pool.QueryRow(ctx, "select leased_until from social_source_state where source_id = $1", a.ID).Scan(&until); err != nil || until.Before(before.Add(30*time.Minute)) {
		t.Errorf("extended from %s to %s, %v", before, until, err)
	}
	if err := l.ReleaseSource(ctx, a, store.SourceRest{Next: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := names("early", time.Minute, 10); len(got) != 0 {
		t.Errorf("one that is not due is leased: %s", got)
	}
	// With the tenant all of them sleep.
	b := l.lease("b")
	l.exec("insert into tenant (id, namespace, suspended) values ('velo', 'velo', true)")
	if err := l.ExtendSource(ctx, b, time.Hour); !errors.Is(err, store.ErrSourceLost) {
		t.Errorf("a lease of a tenant that is suspended is extended: %v", err)
	}
	l.exec("update social_source_state set next_at = now(), leased_until = null")
	if got := names("any", time.Minute, 10); len(got) != 0 {
		t.Errorf("those of a tenant that is suspended are leased: %s", got)
	}
	if _, err := l.TakeHooked(ctx, "c", listen.Batch{Network: social}, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what is posted to a tenant that is suspended: %v", err)
	}
	if s, err := l.LoadSourceState(ctx, "c"); err != nil || s.Condition != store.SourceSuspended {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestWhatIsKnownOfASource(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	state := func() store.SourceState {
		t.Helper()
		s, err := l.LoadSourceState(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	noted := func() int {
		t.Helper()
		changes, err := l.TakeStatusChanges(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return len(changes)
	}
	rest := func(lease store.SourceLease, r store.SourceRest) {
		t.Helper()
		if err := l.ReleaseSource(ctx, lease, r); err != nil {
			t.Fatal(err)
		}
	}
	rest(l.lease("a"), store.SourceRest{Behind: true})
	if s := state(); s.Condition != store.SourceListening || s.ReadAt == nil || s.ListenedAt != nil || noted() != 1 {
		t.Errorf("read, and not to the end: %+v", s)
	}
	rest(l.lease("a"), store.SourceRest{})
	if s := state(); s.ListenedAt == nil || noted() != 0 {
		t.Errorf("read to the end: %+v", s)
	}
	for reason, want := range map[listen.Reason]store.SourceCondition{
		listen.Throttled: store.SourceWaiting, listen.Unreachable: store.SourceFailing, listen.Forbidden: store.SourceFailing,
	} {
		rest(l.lease("a"), store.SourceRest{Reason: reason, Message: "does not answer."})
		if s := state(); s.Condition != want || s.Message != "does not answer." || noted() != 1 {
			t.Errorf("%s: %+v", reason, s)
		}
	}
	here, elsewhere := "", "https://elsewhere.example/feed"
	for _, step := range []struct {
		rest  store.SourceRest
		want  string
		noted int
	}{
		{store.SourceRest{}, here, 1},
		{store.SourceRest{Moved: &elsewhere}, elsewhere, 1},
		{store.SourceRest{Moved: &elsewhere}, elsewhere, 0},
		{store.SourceRest{Behind: true}, elsewhere, 0},
		{store.SourceRest{Moved: &here}, here, 1},
		{store.SourceRest{Moved: &elsewhere}, elsewhere, 1},
		{store.SourceRest{Reason: listen.Unreachable, Message: "does not answer."}, elsewhere, 1},
	} {
		rest(l.lease("a"), step.rest)
		if s := state(); s.Moved != step.want || noted() != step.noted {
			t.Errorf("%+v: it has moved to %q", step.rest, s.Moved)
		}
	}
	if s := l.save(store.Source{Name: "a", Type: "Mastodon", Settings: json.RawMessage(`{"instance": "https://elsewhere.example"}`), Interval: time.Minute}); s.Moved != "" {
		t.Errorf("it is declared where it is, and has moved to %q", s.Moved)
	}
	rest(l.lease("a"), store.SourceRest{Reason: listen.Unreachable, Message: "does not answer."})
	noted()
	stale := state().ListenedAt
	lease := l.lease("a")
	if err := l.NoteSource(ctx, lease, store.SourceRest{Behind: true}); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.Condition != store.SourceListening || noted() != 1 || !s.ListenedAt.Equal(*stale) {
		t.Errorf("a stream that works again: %+v", s)
	}
	lease.Live = true
	l.take(lease)
	if s := state(); !s.ListenedAt.After(*stale) {
		t.Errorf("a stream that has caught up: %+v", s)
	}
	from, to := time.Now().Add(-time.Hour).Truncate(time.Second), time.Now().Truncate(time.Second)
	l.batch(lease, listen.Batch{
		Gaps:     []listen.Gap{{To: from, Reason: "the stream does not go back so far"}, {From: from, To: to, Reason: "it was away"}},
		Rejected: map[string]int{"it has no id": 2, "it has no text": 1},
	})
	want := store.SourceState{Condition: store.SourceListening, Rejected: 3, Gaps: 2, LastGap: &listen.Gap{From: from, To: to, Reason: "it was away"}}
	if diff := cmp.Diff(want, state(), cmpopts.IgnoreFields(store.SourceState{}, "ReadAt", "ListenedAt")); diff != "" || noted() != 1 {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}
