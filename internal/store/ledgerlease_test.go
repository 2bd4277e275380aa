package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// What nobody may try yet is neither listed nor leased.
func TestChunksThatWait(t *testing.T) {
	for name, c := range map[string]struct {
		wait, end string // statements that begin and end what the chunk waits for
	}{
		"for a receiver that is left alone": {
			wait: `with r as (update send_chunk set receiver = 7)
				insert into pace (channel, receiver, tokens, filled_at, paused_until) values ('newsletter', 7, 0, now(), now() + interval '1 hour')`,
			end: "update pace set paused_until = now() - interval '1 second'",
		},
		"for the winner of a test": {
			wait: "update send_chunk set stage = 1",
			end:  "update send set winner = 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 3)
			id := s.begin()
			s.exec(c.wait)
			if sends, _, err := s.SendableSends(context.Background()); err != nil || len(sends) > 0 {
				t.Errorf("a send that waits is listed: %+v, %v", sends, err)
			}
			if _, err := s.LeaseChunk(context.Background(), id, "a", time.Minute); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a chunk that waits is leased: %v", err)
			}
			s.exec(c.end)
			if sends, _, err := s.SendableSends(context.Background()); err != nil || len(sends) != 1 {
				t.Errorf("the send goes on: %+v, %v", sends, err)
			}
			s.finish(s.lease(id, "a"))
		})
	}
}

// A receiver that is left alone on one channel, or another one, holds nobody up.
func TestPausesOfOthers(t *testing.T) {
	s := newSending(t, 3)
	id := s.begin()
	s.exec("update send_chunk set receiver = 7")
	s.exec(`insert into pace (channel, receiver, tokens, filled_at, paused_until) values
		('newsletter', 8, 0, now(), now() + interval '1 hour'), ('other', 7, 0, now(), now() + interval '1 hour')`)
	s.finish(s.lease(id, "a"))
}

func TestUrgentSendsAreTold(t *testing.T) {
	s := newSending(t, 3)
	id := s.begin()
	want := store.SendableSend{ID: id, Channel: "newsletter"}
	for priority, urgent := range map[int]bool{0: false, 10: true} {
		s.exec("update send set priority = $1", priority)
		want.Urgent = urgent
		sends, _, err := s.SendableSends(context.Background())
		if diff := cmp.Diff([]store.SendableSend{want}, sends); err != nil || diff != "" {
			t.Errorf("priority %d (-want +got):\n%s%v", priority, diff, err)
		}
	}
}

// Intents are found by their keys however little the planner knows: it has no statistics of a ledger that was frozen just now,
// or those of an empty one.
func TestABatchReadsNoTable(t *testing.T) {
	const n = 3000
	s := newSending(t, 1)
	s.exec("analyze")
	s.exec("insert into contact (locale, attr_first_name, attr_value) select 'es', 'Name ' || i, i + 0.5 from generate_series(2, $1::int) i", n)
	s.exec("insert into identifier (type, value) select 'email', 'c' || id || '@people.example' from contact where id > 1 order by id")
	s.exec("insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'c' || c.id || '@people.example' where c.id > 1")
	s.exec("insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from contact where id > 1")
	s.exec("insert into suppression (address_hash, reason, source) select sha256(convert_to(i::text, 'UTF8')), 'manual', 'test' from generate_series(1, $1::int) i", n)
	id := s.begin()
	before := s.readThrough()
	l := s.lease(id, "a")
	first := s.commit(l, 100)
	s.finish(l, settle(campaign.RowSent, s.commit(l, 100, settle(campaign.RowSent, first.Attempts()...)...).Attempts()...)...)
	if read := s.readThrough() - before; read > 0 {
		t.Errorf("%d rows were read by reading tables through, for 200 recipients of %d", read, n)
	}
}

// readThrough is how many rows were read by reading tables of people and the ledger through.
func (s sending) readThrough() int64 {
	s.t.Helper()
	endConnections(s.t, s.DB)
	return scalar[int64](s.t, s.DB, `select sum(seq_tup_read)::bigint from pg_stat_user_tables
		where relname like 'ledger%' or relname in ('contact', 'consent', 'identifier', 'identifier_link', 'suppression')`)
}

// endConnections ends all connections to a database and returns when they are gone: by then they have told what they read, and given up what they held.
func endConnections(t *testing.T, db *store.DB) {
	t.Helper()
	db.Pool.Reset()
	gomega.NewWithT(t).Eventually(func() []string {
		return query(t, db, `select pid::text from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`)
	}, time.Minute, time.Millisecond).Should(gomega.BeEmpty(), "other connections end")
}
