package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

var someone = store.Decider{Token: "desk", By: "eva", Reason: "they told us so"}

// whole is everything that is known of everybody, without ids and times of ours.
const whole = `
	select concat_ws(' | ', (select string_agg(i.type || '=' || i.value || case when l.verified then '' else '?' end || '@' || l.source, ' ' order by i.type, i.value)
			from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = c.id),
		c.public_id, c.locale, c.attr_city, c.attr_points, (select string_agg(t, ',' order by t) from unnest(c.tags) t),
		(select string_agg(purpose || '=' || granted || '/' || by_contact || '/' || o.source, ' ' order by purpose) from consent o where o.contact_id = c.id),
		(select string_agg(e.properties ->> 'n', ',' order by e.properties ->> 'n') from event e where e.contact_id = c.id))
	from contact c
	union all select 'nobody: ' || (properties ->> 'n') from event where contact_id is null
	order by 1`

func identityDB(t testing.TB) *store.DB {
	t.Helper()
	db := storetest.New(t)
	if _, _, err := db.EnsureAttributes(context.Background(), importAttributes); err != nil {
		t.Fatal(err)
	}
	return db
}

func put(t rapid.TB, db *store.DB, source string, verified bool, rows ...store.ContactRow) store.ContactsResult {
	t.Helper()
	columns := store.ContactColumns{Attributes: importAttributes, Purposes: []string{"news"}, EmailVerified: verified, PhoneVerified: verified}
	for i := range rows {
		if rows[i].Attributes == nil {
			rows[i].Attributes = []string{"", ""}
		}
		if rows[i].Consents == nil {
			rows[i].Consents = []store.Decision{store.Unsaid}
		}
	}
	result, err := db.PutContacts(context.Background(), source, columns, rows)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func publicIDs(t rapid.TB, db *store.DB, contacts []int64) []string {
	t.Helper()
	ids, err := db.PublicIDs(context.Background(), contacts)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestTwoSourcesOfOnePerson(t *testing.T) {
	db := identityDB(t)
	ctx := context.Background()
	shop := put(t, db, "shop", true, store.ContactRow{ExternalID: "C1", Email: "ana@example.com", Attributes: []string{"Madrid", "7"}, Consents: []store.Decision{store.Granted}})
	web := put(t, db, "web", true, store.ContactRow{ExternalID: "W1", Email: "ana@example.com", Phone: "+34600111222", Attributes: []string{"Bilbao", ""}, Consents: []store.Decision{store.Refused}})
	if web.Outcomes[0] != store.Updated || web.Contacts[0] != shop.Contacts[0] {
		t.Fatalf("the second source found %v, %v", web.Outcomes, web.Contacts)
	}
	ana := publicIDs(t, db, shop.Contacts)[0]
	want := []string{"email=ana@example.com@shop external:shop=C1@shop external:web=W1@web phone=+34600111222@web | " + ana + " | Bilbao | 7 | news=false/false/web"}
	if diff := cmp.Diff(want, query(t, db, whole)); diff != "" {
		t.Errorf("the newest value and the strictest consent: -want +got:\n%s", diff)
	}
	again := put(t, db, "shop", true, store.ContactRow{ExternalID: "C1", Email: "ana@example.com", Attributes: []string{"Madrid", "7.0"}, Consents: []store.Decision{store.Granted}})
	if again.Outcomes[0] != store.Unchanged {
		t.Errorf("what was said before: %v", again.Outcomes)
	}
	if again = put(t, db, "shop", true, store.ContactRow{ExternalID: "C1", Attributes: []string{"Vigo", ""}}); again.Outcomes[0] != store.Updated {
		t.Errorf("something new: %v", again.Outcomes)
	}
	if got := query(t, db, "select attr_city from contact"); got[0] != "Vigo" {
		t.Errorf("the newest value is Vigo, not %s", got[0])
	}

	history, err := db.LoadHistory(ctx, ana)
	if err != nil || len(history.Records) != 2 || len(history.Changes) != 1 {
		t.Fatalf("history: %+v, %v", history, err)
	}
	if diff := cmp.Diff([]string{"email"}, history.Changes[0].Types); diff != "" {
		t.Errorf("what joined them: %s", diff)
	}
	old := history.Records[1].PublicID
	c, err := db.LoadContact(ctx, old, importAttributes)
	if err != nil || c.PublicID != ana {
		t.Errorf("an old id leads to %s, %v; want %s", c.PublicID, err, ana)
	}
	parted, err := db.Unmerge(ctx, []string{old}, someone)
	if err != nil || len(parted.Contacts) != 2 {
		t.Fatalf("unmerge: %+v, %v", parted, err)
	}
	want = []string{
		"email=ana@example.com?@web external:web=W1@web phone=+34600111222@web | " + old + " | Bilbao | news=false/false/web",
		"email=ana@example.com@shop external:shop=C1@shop | " + ana + " | Vigo | 7 | news=true/false/shop",
	}
	if diff := cmp.Diff(want, query(t, db, whole)); diff != "" {
		t.Errorf("apart: -want +got:\n%s", diff)
	}
	put(t, db, "web", true, store.ContactRow{ExternalID: "W1", Email: "ana@example.com"})
	if got := query(t, db, "select id::text from contact"); len(got) != 2 {
		t.Errorf("a file has undone a decision: %d contacts", len(got))
	}
}

func TestMergeRefuses(t *testing.T) {
	db := identityDB(t)
	ctx := context.Background()
	ids := publicIDs(t, db, put(t, db, "shop", true, store.ContactRow{ExternalID: "A"}, store.ContactRow{ExternalID: "B"}, store.ContactRow{ExternalID: "C"}).Contacts)
	must := func(_ store.Merged, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Merge(ctx, ids[0], "b0000000-0000-4000-8000-000000000000", someone); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("with nobody: %v", err)
	}
	if _, err := db.Merge(ctx, ids[0], "no id", someone); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("with what is no id: %v", err)
	}
	if _, err := db.Unmerge(ctx, ids[:1], someone); !errors.Is(err, store.ErrNothingLeft) {
		t.Errorf("from nobody: %v", err)
	}
	must(db.Merge(ctx, ids[0], ids[1], someone))
	must(db.Unmerge(ctx, ids[1:2], someone))
	must(db.Merge(ctx, ids[1], ids[2], someone))
	var parted *store.PartedError
	if _, err := db.Merge(ctx, ids[0], ids[2], someone); !errors.As(err, &parted) || parted.A != ids[0] || parted.B != ids[1] {
		t.Errorf("with somebody who has a record that was parted: %v", err)
	}
	if again, err := db.Merge(ctx, ids[2], ids[1], someone); err != nil || again.Changed {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// drawPeople writes records of three sources that share addresses and numbers, with events and a decision of theirs.
func drawPeople(t *rapid.T, db *store.DB) {
	maybe := func(format string, n int, label string) string {
		if i := rapid.IntRange(0, n).Draw(t, label); i > 0 {
			return fmt.Sprintf(format, i)
		}
		return ""
	}
	for _, source := range []string{"shop", "web", "crm"} {
		var rows []store.ContactRow
		for i := range rapid.IntRange(0, 3).Draw(t, source) {
			rows = append(rows, store.ContactRow{
				ExternalID: fmt.Sprintf("%s%d", source, i), Email: maybe("p%d@example.com", 3, "email"), Phone: maybe("+3460000000%d", 2, "phone"),
				Attributes: []string{maybe("city %d", 3, "city"), maybe("%d.50", 3, "points")}, Tags: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 2).Draw(t, "tags"),
				Consents: []store.Decision{rapid.SampledFrom([]store.Decision{store.Unsaid, store.Granted, store.Refused}).Draw(t, "consent")},
			})
		}
		if len(rows) > 0 {
			put(t, db, source, rapid.Bool().Draw(t, "verified"), rows...)
		}
	}
	var events []store.Event
	for i := range rapid.IntRange(0, 4).Draw(t, "events") {
		e := store.Event{Source: "s", ClientID: rapid.StringMatching("[a-zñ ]{8}").Draw(t, "id") + fmt.Sprint(i), Name: "visit", OccurredAt: noon, Properties: fmt.Appendf(nil, `{"n": "%d"}`, i)}
		e.IdentifierType, e.IdentifierValue = "email", maybe("p%d@example.com", 3, "whose")
		if e.IdentifierValue == "" {
			e.IdentifierType, e.IdentifierValue = "external:shop", "shop0"
		}
		events = append(events, e)
	}
	if _, err := db.PutEvents(context.Background(), events); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(context.Background(), `update consent set by_contact = true, granted = false, source = 'unsubscribe'
		where contact_id = (select min(contact_id) from consent) and $1 and contact_id not in (select contact_id from contact_record)`, rapid.Bool().Draw(t, "unsubscribed")); err != nil {
		t.Fatal(err)
	}
}

func forgetEverything(t rapid.TB, db *store.DB) {
	t.Helper()
	if _, err := db.Pool.Exec(context.Background(), "delete from event; delete from event_key"); err != nil {
		t.Fatal(err)
	}
	forgetPeople(t, db)
}

// TestUnmergeUndoesMerge: two contacts that are merged and then parted are as they were, in all that is known of them.
func TestUnmergeUndoesMerge(t *testing.T) {
	db := identityDB(t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		forgetEverything(t, db)
		drawPeople(t, db)
		ids := query(t, db, "select public_id::text from contact order by id")
		if len(ids) < 2 {
			return
		}
		before := query(t, db, whole)
		pair := rapid.Permutation(ids).Draw(t, "pair")[:2]
		records := query(t, db, `select public_id::text from contact_record where contact_id = (select id from contact where public_id = '`+pair[1]+`')
			union select '`+pair[1]+`'`)
		merged, err := db.Merge(ctx, pair[0], pair[1], someone)
		if err != nil {
			t.Fatal(err)
		}
		if now := query(t, db, "select public_id::text from contact"); len(now) != len(ids)-1 || len(merged.Contacts) != 1 {
			t.Fatalf("%d contacts became %d", len(ids), len(now))
		}
		if _, err := db.Unmerge(ctx, records, someone); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, query(t, db, whole)); diff != "" {
			t.Fatalf("merged and parted: -before +after:\n%s", diff)
		}
		checkIdentities(t, db)
	})
}

// TestOrderOfArrivals: who is who, and what is verified to whom, does not depend on which source came first.
func TestOrderOfArrivals(t *testing.T) {
	db := identityDB(t)
	const people = `select string_agg(i.type || '=' || i.value || case when l.verified then '' else '?' end, ' ' order by i.type, i.value)
		from identifier_link l join identifier i on i.id = l.identifier_id group by l.contact_id order by 1`
	rapid.Check(t, func(t *rapid.T) {
		type arrival struct {
			source string
			row    store.ContactRow
		}
		var arrivals []arrival
		for _, source := range []string{"shop", "web", "crm"} {
			for i := range rapid.IntRange(0, 3).Draw(t, source) {
				row := store.ContactRow{ExternalID: fmt.Sprint(source, i)}
				if n := rapid.IntRange(0, 3).Draw(t, "email"); n > 0 {
					row.Email = fmt.Sprintf("p%d@example.com", n)
				}
				if n := rapid.IntRange(0, 2).Draw(t, "phone"); n > 0 {
					row.Phone = fmt.Sprintf("+3460000000%d", n)
				}
				arrivals = append(arrivals, arrival{source, row})
			}
		}
		var first []string
		for round := range 2 {
			forgetEverything(t, db)
			for _, a := range rapid.Permutation(arrivals).Draw(t, "order") {
				put(t, db, a.source, true, a.row)
			}
			checkIdentities(t, db)
			if got := query(t, db, people); round == 0 {
				first = got
			} else if diff := cmp.Diff(first, got); diff != "" {
				t.Fatalf("-in one order +in another:\n%s", diff)
			}
		}
	})
}

// checkIdentities looks for what must never be.
func checkIdentities(t rapid.TB, db *store.DB) {
	t.Helper()
	for what, broken := range map[string]string{
		"links of records that are somebody else's": "select l.contact_id::text from identifier_link l join contact_record r on r.id = l.contact_id where r.contact_id <> r.id",
		"contacts with one record that is kept":     "select min(contact_id)::text from contact_record group by contact_id having count(*) = 1",
		"contacts that are no record of theirs":     "select contact_id::text from contact_record group by contact_id having not bool_or(id = contact_id)",
		"contacts that were merged":                 "select c.id::text from contact c join contact_record r on r.id = c.id where r.contact_id <> c.id",
		"events of those who are not there":         "select e.id::text from event e where e.contact_id is not null and not exists (select from contact c where c.id = e.contact_id)",
		"links that nobody claims": `select l.identifier_id::text from identifier_link l where not exists (select from identifier_link_log g
			where g.identifier_id = l.identifier_id and g.revoked_at is null
				and (g.record_id = l.contact_id or g.record_id in (select id from contact_record where contact_id = l.contact_id)))`,
		"claims that are no link": `select g.identifier_id::text from identifier_link_log g where g.revoked_at is null and not exists (select from identifier_link l
			where l.identifier_id = g.identifier_id and l.contact_id = coalesce((select contact_id from contact_record where id = g.record_id), g.record_id))`,
	} {
		if found := query(t, db, broken); len(found) > 0 {
			t.Fatalf("%s: %v", what, found)
		}
	}
}

// TestConcurrentMerges merges and parts the same people from many sides, while imports, events and people who unsubscribe write to them: nothing
// waits in a circle, and nothing is lost.
func TestConcurrentMerges(t *testing.T) {
	db := identityDB(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	const people = 12
	var rows []store.ContactRow
	for i := range people {
		rows = append(rows, store.ContactRow{ExternalID: fmt.Sprintf("C%d", i), Email: fmt.Sprintf("p%d@example.com", i), Consents: []store.Decision{store.Granted}})
	}
	result := put(t, db, "shop", true, rows...)
	ids := publicIDs(t, db, result.Contacts)
	if _, err := db.Pool.Exec(ctx, `insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline)
		values ('s', 's', 'news', 'c', '{}', 1, '[]', now(), now())`); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 15 {
				a, b := ids[r.IntN(people)], ids[r.IntN(people)]
				_, err := db.Merge(ctx, a, b, someone)
				if parted := (*store.PartedError)(nil); err != nil && !errors.As(err, &parted) {
					t.Error(err)
				}
				if _, err := db.Unmerge(ctx, []string{b}, someone); err != nil && !errors.Is(err, store.ErrNothingLeft) {
					t.Error(err)
				}
			}
		})
	}
	wait.Go(func() {
		for round := range 10 {
			again := slices.Clone(rows)
			for i := range again {
				again[i].Attributes = []string{fmt.Sprint("city ", round), ""}
			}
			put(t, db, "shop", true, again...)
			put(t, db, "web", true, store.ContactRow{ExternalID: fmt.Sprint("W", round), Email: rows[round].Email})
		}
	})
	wait.Go(func() {
		for i, contact := range result.Contacts {
			if err := db.Unsubscribe(ctx, 1, contact); err != nil {
				t.Error(err)
			}
			event := store.Event{Source: "s", ClientID: fmt.Sprint(i), Name: "visit", OccurredAt: noon, ContactPublicID: ids[i], Properties: []byte("{}")}
			if outcomes, err := db.PutEvents(ctx, []store.Event{event}); err != nil || outcomes[0] != store.EventAccepted {
				t.Errorf("an event by an old id: %v, %v", outcomes, err)
			}
		}
	})
	wait.Wait()
	checkIdentities(t, db)
	if found := query(t, db, "select c.id::text from contact c join consent k on k.contact_id = c.id where k.granted"); len(found) > 0 {
		t.Errorf("everybody has said no, but %v may be written to", found)
	}
	if got := query(t, db, "select count(*)::text from event where contact_id is not null"); got[0] != fmt.Sprint(people) {
		t.Errorf("%s events of %d are somebody's", got[0], people)
	}
}

// publicID is the public id of a contact.
func (s sending) publicID(contact int64) string { return publicIDs(s.t, s.DB, []int64{contact})[0] }

func (s sending) merge(a, b int64) {
	s.t.Helper()
	if _, err := s.Merge(context.Background(), s.publicID(a), s.publicID(b), someone); err != nil {
		s.t.Fatal(err)
	}
}

// TestMergeInTheMiddleOfASend: who has the message as one of two, or will, does not get it as the other, however the two become one.
func TestMergeInTheMiddleOfASend(t *testing.T) {
	for name, c := range map[string]struct {
		why    string
		merge  func(s sending)
		before int // how many rows are committed before the merge
		want   string
	}{
		"Both pending":     {"one of both is left", func(s sending) { s.merge(1, 2) }, 0, "planned 4 sent 3 failed 0 ambiguous 0 pending 0 DuplicateContact 1"},
		"One has it":       {"the other does not get it", func(s sending) { s.merge(1, 2) }, 1, "planned 4 sent 3 failed 0 ambiguous 0 pending 0 DuplicateContact 1"},
		"The later has it": {"nor does the one whose id stays", func(s sending) { s.merge(4, 1) }, 1, "planned 4 sent 3 failed 0 ambiguous 0 pending 0 DuplicateContact 1"},
		"Both have it":     {"what has left has left", func(s sending) { s.merge(1, 2) }, 2, "planned 4 sent 4 failed 0 ambiguous 0 pending 0"},
		"Merged and parted": {"who was skipped stays so", func(s sending) {
			other := s.publicID(2)
			s.merge(1, 2)
			if _, err := s.Unmerge(context.Background(), []string{other}, someone); err != nil {
				s.t.Fatal(err)
			}
		}, 0, "planned 4 sent 3 failed 0 ambiguous 0 pending 0 DuplicateContact 1"},
		"Unsubscribed as one of them": {"a no holds for both", func(s sending) {
			s.exec("update consent set granted = false, by_contact = true where contact_id = 2")
			s.merge(1, 2)
		}, 0, "planned 4 sent 2 failed 0 ambiguous 0 pending 0 DuplicateContact 1 NoConsent 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 4)
			send := s.begin()
			l := s.lease(send, "w1")
			first := s.commit(l, c.before)
			c.merge(s)
			// As a worker that read its rows before the merge would go on.
			second := s.commit(l, 10, settle(campaign.RowSent, first.Attempts()...)...)
			s.finish(l, settle(campaign.RowSent, second.Attempts()...)...)
			s.wantCounts(c.want)
			if _, err := s.FinishedChunks(send); err != nil {
				t.Error(err)
			}
		})
	}
}

// FinishedChunks tells whether every chunk of a send is closed.
func (s sending) FinishedChunks(send int64) (bool, error) {
	var open int
	err := s.Pool.QueryRow(context.Background(), "select count(*) from send_chunk where send_id = $1 and open", send).Scan(&open)
	if err == nil && open > 0 {
		err = fmt.Errorf("%d chunks are open", open)
	}
	return open == 0, err
}

// TestAddedAfterAMerge: who is in a send as one of their records is not added to it as another.
func TestAddedAfterAMerge(t *testing.T) {
	s := newSending(t, 2)
	send := s.begin()
	added := s.arrivals(2)
	s.merge(2, added[0])
	if got := s.appendRows(send, added[0], added[1]); got != (store.Appended{Pending: 1}) {
		t.Errorf("%+v", got)
	}
}

// TestLinksInMailsOfThoseWhoWereMerged: who unsubscribes by a mail that they got as a record of its own does so for the person.
func TestLinksInMailsOfThoseWhoWereMerged(t *testing.T) {
	s := newSending(t, 2)
	send := s.begin()
	other := s.publicID(2)
	s.merge(1, 2)
	ctx := context.Background()
	if found, err := s.FindSubscription(ctx, send, 2); err != nil || found.Withdrawn {
		t.Fatalf("the page: %+v, %v", found, err)
	}
	if err := s.Unsubscribe(ctx, send, 2); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s.DB, "select contact_id || ' ' || granted || ' ' || by_contact from consent"); !slices.Equal(got, []string{"1 false true"}) {
		t.Errorf("consents: %v", got)
	}
	if found, err := s.FindSubscription(ctx, send, 2); err != nil || !found.Withdrawn {
		t.Errorf("the page: %+v, %v", found, err)
	}
	// Both said no: they said it as one.
	if _, err := s.Unmerge(ctx, []string{other}, someone); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s.DB, "select contact_id || ' ' || granted || ' ' || by_contact from consent order by 1"); !slices.Equal(got, []string{"1 false true", "2 false true"}) {
		t.Errorf("consents of both: %v", got)
	}
}

// TestSources: of each attribute the value of the source that ranks highest counts, whichever came last.
func TestSources(t *testing.T) {
	db := identityDB(t)
	ctx := context.Background()
	for _, want := range []bool{true, false} {
		if changed, err := db.SaveSources(ctx, "contact", []string{"crm", "shop"}); err != nil || changed != want {
			t.Fatalf("save: %v, %v", changed, err)
		}
	}
	put(t, db, "crm", true, store.ContactRow{ExternalID: "K", Email: "a@example.com", Attributes: []string{"Madrid", ""}})
	put(t, db, "shop", true, store.ContactRow{ExternalID: "C", Email: "a@example.com", Attributes: []string{"Bilbao", "7"}})
	put(t, db, "web", true, store.ContactRow{ExternalID: "W", Email: "a@example.com", Attributes: []string{"Vigo", "9"}})
	if got := query(t, db, "select attr_city || ' ' || attr_points from contact"); !slices.Equal(got, []string{"Madrid 7"}) {
		t.Errorf("crm before shop before web: %v", got)
	}
	if _, err := db.SaveSources(ctx, "contact", nil); err != nil {
		t.Fatal(err)
	}
	put(t, db, "web", true, store.ContactRow{ExternalID: "W", Attributes: []string{"Lugo", ""}})
	if got := query(t, db, "select attr_city || ' ' || attr_points from contact"); !slices.Equal(got, []string{"Lugo 9"}) {
		t.Errorf("the newest: %v", got)
	}
}

// TestOtherIdentifiers: accounts that are verified join records, and handles do not.
func TestOtherIdentifiers(t *testing.T) {
	db := identityDB(t)
	ctx := context.Background()
	columns := store.ContactColumns{Identifiers: []store.IdentifierColumn{{Type: "bluesky", Verified: true}, {Type: "handle", Verified: true}}}
	for _, r := range []struct{ source, id, did, handle string }{
		{"shop", "C1", "did:web:ana.example", "ana.example"}, {"web", "W1", "did:web:ana.example", ""}, {"crm", "K1", "", "ana.example"},
	} {
		if _, err := db.PutContacts(ctx, r.source, columns, []store.ContactRow{{ExternalID: r.id, Identifiers: []string{r.did, r.handle}}}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"bluesky=did:web:ana.example external:shop=C1 external:web=W1 handle=ana.example?", "external:crm=K1 handle=ana.example"}
	got := query(t, db, `select string_agg(i.type || '=' || i.value || case when l.verified then '' else '?' end, ' ' order by i.type)
		from identifier_link l join identifier i on i.id = l.identifier_id group by l.contact_id order by 1`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestWhoRefusesAsOneOfTwo: a person who was merged with somebody that had refused already says no over the link in a mail of their own, and
// the two turn out to be two.
func TestWhoRefusesAsOneOfTwo(t *testing.T) {
	db := identityDB(t)
	result := put(t, db, "shop", true,
		store.ContactRow{ExternalID: "A", Email: "a@example.com", Consents: []store.Decision{store.Granted}},
		store.ContactRow{ExternalID: "B", Email: "b@example.com", Consents: []store.Decision{store.Granted}})
	if _, err := db.Pool.Exec(t.Context(), `insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline)
		values ('s', 's', 'news', 'c', '{}', 1, '[]', now(), now())`); err != nil {
		t.Fatal(err)
	}
	ids := publicIDs(t, db, result.Contacts)
	if _, err := db.Merge(t.Context(), ids[0], ids[1], someone); err != nil {
		t.Fatal(err)
	}
	for _, contact := range result.Contacts {
		if err := db.Unsubscribe(t.Context(), 1, contact); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Unmerge(t.Context(), ids[1:], someone); err != nil {
		t.Fatal(err)
	}
	if got := query(t, db, "select contact_id::text from consent where not granted and by_contact order by 1"); len(got) != 2 {
		t.Errorf("both have refused, and it is recorded of %v", got)
	}
}
