package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// traces is everything that the database still holds of what somebody wrote: any value of any row with one of these words.
func (l listening) traces(words ...string) []string {
	l.t.Helper()
	var found []string
	for _, table := range []string{"mention", "mention_revision", "mention_media", "mention_topic", "mention_account", "author", "identifier"} {
		for _, row := range query(l.t, l.DB, "select to_jsonb(t)::text from "+table+" t") {
			for _, word := range words {
				if strings.Contains(row, word) {
					found = append(found, table+": "+word)
				}
			}
		}
	}
	return found
}

func secret(j *store.Judged) {
	j.Text, j.Title = "zarzuela", "almirante"
	j.Tags, j.Links = []string{"zarzuela"}, []string{"https://zarzuela.example"}
	j.Media = []listen.Media{{Type: listen.Image, URL: "https://zarzuela.example/1.png"}}
	j.Mentions = []listen.Account{{ID: "https://social.example/users/bea", Handle: "bea@social.example"}}
}

func by(name string) func(*store.Judged) {
	return func(j *store.Judged) {
		id := "https://social.example/users/" + name
		j.Author = listen.Account{ID: id, Handle: name + "@social.example", Name: name, Identifier: listen.Identifier{Type: "mastodon", Value: id}}
	}
}

func TestADeletedPostIsForgotten(t *testing.T) {
	l := newListening(t, "a")
	lease := l.lease("a")
	l.take(lease, post("1", secret, by("ana")))
	l.take(lease, post("1", secret, by("ana"), edited(time.Minute, "r2", "zarzuela otra vez")))
	l.take(lease, post("2", by("carla")))
	if found := l.traces("zarzuela", "almirante", "/ana", "/bea"); len(found) < 7 {
		t.Fatalf("only these are stored: %s", found)
	}
	gone := listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}}
	if diff := cmp.Diff(store.TakenMentions{Forgotten: 1}, l.batch(lease, gone)); diff != "" {
		t.Errorf("the deletion (-want +got):\n%s", diff)
	}
	if found := l.traces("zarzuela", "almirante", "/ana", "ana@", "/bea"); len(found) > 0 {
		t.Errorf("what is left: %s", found)
	}
	if diff := cmp.Diff(store.TakenMentions{Refused: 2}, l.take(lease, post("1", secret), post("1", secret, edited(time.Hour, "r3", "zarzuela")))); diff != "" {
		t.Errorf("a replay (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(store.TakenMentions{}, l.batch(lease, gone)); diff != "" {
		t.Errorf("the deletion again (-want +got):\n%s", diff)
	}
	if found := l.traces("zarzuela", "/ana", "/bea"); len(found) > 0 {
		t.Errorf("a replay brought back: %s", found)
	}
	if got := l.texts(); got != "[2: La bicicleta 2 de Velo es estupenda]" {
		t.Errorf("of the others: %s", got)
	}
	// Somebody who writes anew is somebody again.
	l.take(lease, post("3", by("ana")))
	if found := l.traces("ana@social.example"); len(found) != 1 {
		t.Errorf("the author of a new post: %s", found)
	}
}

// Who wrote more, or is named elsewhere, keeps the profile.
func TestWhoIsLeftKeepsTheProfile(t *testing.T) {
	l := newListening(t, "a")
	lease := l.lease("a")
	l.take(lease, post("1", secret, by("ana")), post("2", by("ana")), post("3", by("dora"), func(j *store.Judged) {
		j.Mentions = []listen.Account{{ID: "https://social.example/users/bea"}}
	}))
	l.batch(lease, listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}})
	if found := l.traces("ana@social.example", "bea@social.example"); len(found) != 2 {
		t.Errorf("%s", found)
	}
	// An identifier that a contact has is the contact's.
	l.exec("insert into contact default values")
	l.exec("insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, c.id, true, 'test' from identifier i, contact c where i.value like '%/ana'")
	l.batch(lease, listen.Batch{Deleted: []listen.Deletion{{PostID: "2"}}})
	if diff := cmp.Diff([]string{"identifier: /ana"}, l.traces("/ana")); diff != "" {
		t.Error(diff)
	}
}

func TestAGoneAccountIsForgotten(t *testing.T) {
	l := newListening(t, "a")
	lease := l.lease("a")
	l.take(lease, post("1", secret, by("ana")), post("2", secret, by("ana")), post("3", by("dora")))
	gone := listen.Batch{Deleted: []listen.Deletion{{AuthorID: "https://social.example/users/ana"}, {AuthorID: "https://social.example/users/nobody"}}}
	if diff := cmp.Diff(store.TakenMentions{Forgotten: 2, Refused: 1}, l.batch(lease, gone, post("4", by("ana")))); diff != "" {
		t.Errorf("the deletion (-want +got):\n%s", diff)
	}
	if found := l.traces("zarzuela", "/ana", "/bea"); len(found) > 0 {
		t.Errorf("what is left: %s", found)
	}
	// Neither what was stored comes back, nor what was not; what is written afterwards is somebody's who is there again.
	if diff := cmp.Diff(store.TakenMentions{Refused: 2}, l.take(lease, post("1", by("ana")), post("5", by("ana")))); diff != "" {
		t.Errorf("a replay (-want +got):\n%s", diff)
	}
	later := func(j *store.Judged) { j.CreatedAt = time.Now().Add(time.Minute) }
	if diff := cmp.Diff(store.TakenMentions{Stored: 1}, l.take(lease, post("6", by("ana"), later))); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	if got := query(t, l.DB, "select text from mention where forgotten_at is null order by native_id"); len(got) != 2 {
		t.Errorf("%s", got)
	}
}

// What is posted to an address comes in any order.
func TestADeletionThatComesFirst(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	hooked := func(b listen.Batch, posts ...store.Judged) store.TakenMentions {
		t.Helper()
		b.Network = "webhook:a"
		taken, err := l.TakeHooked(ctx, "a", b, posts)
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
	hooked(listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}, {AuthorID: "https://social.example/users/eva"}}})
	if diff := cmp.Diff(store.TakenMentions{Refused: 2, Stored: 1}, hooked(listen.Batch{}, post("1"), post("2", by("eva")), post("3"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found := l.traces("/eva"); len(found) > 0 {
		t.Error(found)
	}
	if state, err := l.LoadSourceState(ctx, "a"); err != nil || state.Condition != store.SourceListening || state.Brought != 1 {
		t.Errorf("%+v, %v", state, err)
	}
	if _, err := l.TakeHooked(ctx, "b", listen.Batch{Network: "webhook:b"}, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown source: %v", err)
	}
	l.save(store.Source{Name: "a", Type: "Webhook", Settings: json.RawMessage("{}"), Suspended: true})
	if _, err := l.TakeHooked(ctx, "a", listen.Batch{Network: "webhook:a"}, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a suspended source: %v", err)
	}
}

// Who is erased is forgotten with what they wrote; who is merged is not.
func TestAnErasedContactIsForgotten(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	lease := l.lease("a")
	l.take(lease, post("1", secret, by("ana")), post("2", by("dora")), post("3", by("eva")), post("4", by("fe")))
	l.exec("insert into contact (locale) select 'es' from generate_series(1, 4)")
	l.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, c.n, c.name <> 'fe', 'test' from (values ('ana', 1), ('dora', 2), ('eva', 3), ('fe', 4)) c (name, n) join identifier i on i.value like '%/' || c.name`)
	contacts := query(t, l.DB, "select public_id::text from contact order by id")
	if _, err := l.Merge(ctx, contacts[1], contacts[2], someone); err != nil {
		t.Fatal(err)
	}
	sweep := func() (swept store.SweptMentions) {
		t.Helper()
		swept, err := l.SweepMentions(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		return swept
	}
	if swept := sweep(); swept != (store.SweptMentions{}) {
		t.Errorf("after a merge: %+v", swept)
	}
	erase := func(id int) {
		t.Helper()
		tx, err := l.Pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			"delete from contact_record where contact_id = $1", "delete from identifier_link where contact_id = $1", "delete from contact where id = $1",
		} {
			if _, err := tx.Exec(ctx, statement, id); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	erase(1)
	erase(4) // whose link nobody verified: it may be a stranger's
	if swept := sweep(); swept.Forgotten != 1 {
		t.Errorf("%+v", swept)
	}
	if found := l.traces("zarzuela", "ana@", "/bea"); len(found) > 0 {
		t.Errorf("what is left: %s", found)
	}
	if diff := cmp.Diff(store.TakenMentions{Refused: 1}, l.take(lease, post("1", by("ana")))); diff != "" {
		t.Errorf("a replay (-want +got):\n%s", diff)
	}
	if got := query(t, l.DB, "select native_id from mention where forgotten_at is null order by 1"); fmt.Sprint(got) != "[2 3 4]" {
		t.Errorf("of the others: %s", got)
	}
}

// Who takes a post back and writes another one at once, or is named in it, keeps the profile.
func TestWhoWritesAnewKeepsTheProfile(t *testing.T) {
	l := newListening(t, "a")
	lease := l.lease("a")
	l.take(lease, post("1", by("ana"), secret))
	names := func(j *store.Judged) {
		j.Mentions = []listen.Account{{ID: "https://social.example/users/bea", Handle: "bea@social.example"}}
	}
	l.batch(lease, listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}}, post("2", by("ana"), names))
	want := []string{"ana@social.example true", "bea@social.example false"}
	got := query(t, l.DB, "select handle || ' ' || (identifier_id is not null) from author order by handle")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found := l.traces("zarzuela"); len(found) > 0 {
		t.Errorf("what is left: %s", found)
	}
}

// Somebody is erased while a worker is in the middle of storing what they wrote, which does not know of it: neither that nor the profile stays.
func TestWhoIsErasedWhileTheirPostIsStored(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a", "b")
	other, lease := l.lease("b"), l.lease("a")
	l.take(lease, post("1", by("ana"))) // Authors are locked in the order of their ids: who is waited for is locked before who is erased.
	l.take(lease, post("2", by("eva")), post("3", by("dora"), func(j *store.Judged) {
		j.Mentions = []listen.Account{{ID: "https://social.example/users/eva"}}
	}))
	letGo := l.held("select from author where handle like 'ana@%' for update")
	done := make(chan error, 1)
	renamed := func(j *store.Judged) { j.Author.Name = "Zarzuela" }
	go func() {
		_, err := l.TakeMentions(ctx, lease, listen.Batch{Network: social}, []store.Judged{post("4", by("ana"), renamed), post("5", by("eva"), renamed)})
		done <- err
	}()
	l.waits()
	l.batch(other, listen.Batch{Deleted: []listen.Deletion{{AuthorID: "https://social.example/users/eva"}}})
	sweep := func() {
		t.Helper()
		for range 3 {
			if _, err := l.SweepMentions(ctx, 100); err != nil {
				t.Fatal(err)
			}
		}
	}
	sweep()
	letGo()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	l.exec("update author set name = '' where handle like 'ana@%'")
	sweep()
	if found := l.traces("eva", "Zarzuela"); len(found) > 0 {
		t.Errorf("what is left: %s", found)
	}
	if got := query(t, l.DB, "select native_id from mention where forgotten_at is null order by 1"); fmt.Sprint(got) != "[1 3 4]" {
		t.Errorf("mentions: %s", got)
	}
	if left := query(t, l.DB, "select id::text from author where forgetting"); len(left) > 0 {
		t.Errorf("it never ends for %s", left)
	}
}

// What an account wrote that is gone is forgotten however much it is, some of it with the batch that tells and the rest by sweeps.
func TestAGoneAccountThatWroteMuch(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	lease := l.lease("a")
	const accounts, posts = 3, 400
	gone := listen.Batch{}
	for n := range accounts {
		var list []store.Judged
		for i := range posts {
			list = append(list, post(fmt.Sprint(n, "-", i), by(fmt.Sprint("a", n))))
		}
		l.take(lease, list...)
		gone.Deleted = append(gone.Deleted, listen.Deletion{AuthorID: fmt.Sprint("https://social.example/users/a", n)})
	}
	if taken := l.batch(lease, gone); taken.Forgotten != 1000 {
		t.Errorf("at once are forgotten %d", taken.Forgotten)
	}
	forgotten := int64(0)
	for more := true; more; {
		swept, err := l.SweepMentions(ctx, 50)
		if err != nil {
			t.Fatal(err)
		}
		forgotten, more = forgotten+swept.Forgotten, swept.More
	}
	if left := query(t, l.DB, "select native_id from mention where forgotten_at is null"); forgotten != accounts*posts-1000 || len(left) > 0 {
		t.Errorf("sweeps forget %d, and %d are left", forgotten, len(left))
	}
}
