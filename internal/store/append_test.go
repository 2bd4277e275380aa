package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// arrivals adds n contacts who have consented, after those of newSending, and returns their ids.
func (s sending) arrivals(n int) []int64 {
	s.t.Helper()
	var ids []int64
	err := s.Pool.QueryRow(context.Background(), `
		with made as (insert into contact (locale) select 'es' from generate_series(1, $1::int) returning id),
		named as (insert into identifier (type, value) select 'email', 'c' || id || '@people.example' from made returning id, value),
		linked as (insert into identifier_link (identifier_id, contact_id, verified, source)
			select n.id, m.id, true, 'test' from made m join named n on n.value = 'c' || m.id || '@people.example'),
		asked as (insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from made)
		select coalesce(array_agg(id order by id), '{}') from made`, n).Scan(&ids)
	if err != nil {
		s.t.Fatal(err)
	}
	return ids
}

func (s sending) appendRows(send int64, contacts ...int64) store.Appended {
	s.t.Helper()
	added, err := s.AppendRows(context.Background(), send, contacts, noon)
	if err != nil {
		s.t.Fatalf("append: %v", err)
	}
	return added
}

func TestAppendRows(t *testing.T) {
	cases := map[string]struct {
		why     string
		bound   int64
		prepare string // of contacts 4, 5 and 6, who are added to a send with 1, 2 and 3
		want    store.Appended
		counts  string
	}{
		"All":         {"who is new is written to", 100, "", store.Appended{Pending: 3}, "planned 6 sent 0 failed 0 ambiguous 0 pending 6"},
		"NoConsent":   {"they are judged as at the freeze", 100, "update consent set granted = false where contact_id = 4", store.Appended{Pending: 2, Skipped: 1}, "planned 6 sent 0 failed 0 ambiguous 0 pending 5 NoConsent 1"},
		"SharedAlone": {"two of the added share an address", 100, "update identifier_link set verified = false, identifier_id = 4 where contact_id in (4, 5)", store.Appended{Pending: 2, Skipped: 1}, "planned 6 sent 0 failed 0 ambiguous 0 pending 5 DuplicateAddress 1"},
		"SharedWithFrozen": {
			"one has the address of somebody who gets the message", 100, "update identifier_link set verified = false, identifier_id = 1 where contact_id in (1, 4)",
			store.Appended{Pending: 2, Skipped: 1},
			"planned 6 sent 0 failed 0 ambiguous 0 pending 5 DuplicateAddress 1",
		},
		"Bound": {"the audience never gets larger than its bound", 5, "", store.Appended{Pending: 2, OverBound: 1}, "planned 5 sent 0 failed 0 ambiguous 0 pending 5"},
		"Full":  {"a full audience takes nobody", 3, "", store.Appended{OverBound: 3}, "planned 3 sent 0 failed 0 ambiguous 0 pending 3"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 3)
			c := s.config()
			c.MaxRecipients = tc.bound
			applied := s.upsert(c)
			s.freeze()
			added := s.arrivals(3)
			if tc.prepare != "" {
				s.exec(tc.prepare)
			}
			if diff := cmp.Diff(tc.want, s.appendRows(applied.ID, added...)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
			s.wantCounts(tc.counts)
			again := tc.want
			again.Pending, again.Skipped = 0, 0
			if diff := cmp.Diff(again, s.appendRows(applied.ID, append(added, 1, 2, 3)...)); diff != "" {
				t.Errorf("who is there already is passed over (-want +got):\n%s", diff)
			}
			s.wantCounts(tc.counts)
		})
	}
}

func TestAppendedRowsAreSent(t *testing.T) {
	s := newSending(t, 2)
	id := s.begin()
	l := s.lease(id, "w1")
	b := s.commit(l, 2)
	s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
	s.appendRows(id, s.arrivals(1)...)
	s.appendRows(id, s.arrivals(1)...)
	l = s.lease(id, "w2")
	if b = s.commit(l, 10); len(b.Recipients) != 2 || l.Chunk != 0 {
		t.Errorf("two that were added one after the other share the last chunk, and are sent: %d recipients in chunk %d", len(b.Recipients), l.Chunk)
	}
	// Somebody works on the last chunk: who is added now gets another.
	s.appendRows(id, s.arrivals(1)...)
	s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
	l = s.lease(id, "w1")
	b = s.commit(l, 10)
	s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
	s.wantCounts("planned 5 sent 5 failed 0 ambiguous 0 pending 0")
}

func TestAppendingReopensWhatIsCompleted(t *testing.T) {
	s := newSending(t, 1)
	id := s.begin()
	l := s.lease(id, "w1")
	s.finish(l, settle(campaign.RowSent, s.commit(l, 1).Attempts()...)...)
	s.move(campaign.Completed)
	s.appendRows(id, s.arrivals(1)...)
	if open := s.open(); campaign.Next(open.State, open.Facts, noon) != campaign.Sending {
		t.Errorf("a completed send with rows that were added goes on: %+v", open)
	}
	s.exec("update send set state = 'Aborted'")
	if _, err := s.AppendRows(context.Background(), id, []int64{1}, noon); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an aborted send takes nobody: %v", err)
	}
}

// Whoever adds, and however many do at once, the ledger holds everybody once and the bound holds.
func TestAppendAtOnce(t *testing.T) {
	s := newSending(t, 0)
	c := s.config()
	c.Rolling, c.MaxRecipients = true, 900
	id := s.upsert(c).ID
	s.freeze()
	people := s.arrivals(1000)
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			if _, err := s.AppendRows(context.Background(), id, people, noon); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	adding.Wait()
	s.wantCounts("planned 900 sent 0 failed 0 ambiguous 0 pending 900")
}

func TestAppendedRowsWaitForTheHourOfTheirZone(t *testing.T) {
	s := newSending(t, 1)
	c := s.config()
	c.Rolling = true
	c.Timing = campaign.Timing{At: "2027-03-21T09:00", TimeZone: "Europe/Madrid", PerRecipient: true}
	s.exec("update contact set time_zone = 'Europe/Madrid'")
	id := s.upsert(c).ID
	s.freeze()
	people := s.arrivals(2)
	s.exec("update contact set time_zone = 'America/Los_Angeles' where id = $1", people[0])
	s.exec("update contact set time_zone = 'Atlantis' where id = $1", people[1])
	s.appendRows(id, people...)
	got := map[string]string{}
	rows, err := s.Pool.Query(context.Background(), "select c.time_zone, l.not_before from ledger l join contact c on c.id = l.contact_id where l.seq > 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var zone string
		var at time.Time
		if err := rows.Scan(&zone, &at); err != nil {
			t.Fatal(err)
		}
		got[zone] = at.UTC().Format(time.RFC3339)
	}
	want := map[string]string{"America/Los_Angeles": "2027-03-21T16:00:00Z", "Atlantis": noon.Format(time.RFC3339)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nine o'clock is still to come in California, and has passed in Madrid (-want +got):\n%s", fmt.Sprint(diff))
	}
}
