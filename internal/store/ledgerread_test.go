package store_test

import (
	"context"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// ledgerReads counts the rows of the ledger that were read.
func (s sending) ledgerReads() int64 {
	s.t.Helper()
	endConnections(s.t, s.DB)
	return scalar[int64](s.t, s.DB, `select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables where relname like 'ledger\_%'`)
}

// A ledger that has just been written is as large as it gets, and the planner knows nothing of it, or that it was empty: what looks for
// some people in it must not read it whole, again and again.
func TestReadsOfAFreshLedger(t *testing.T) {
	const people = 3000
	s := newSending(t, people)
	s.exec("analyze")
	c := s.config()
	c.Rolling = true
	id := s.upsert(c).ID
	if state := s.freeze(); state != campaign.Sending {
		t.Fatalf("%s after the freeze", state)
	}
	reads := func(what string, most int64, f func()) {
		t.Helper()
		before := s.ledgerReads()
		f()
		if n := s.ledgerReads() - before; n > most {
			t.Errorf("%s reads %d rows of the ledger; want at most %d", what, n, most)
		}
	}
	ids := query(t, s.DB, "select public_id::text from contact order by id limit 2")
	reads("a merge, which settles a chunk of 500,", 550, func() {
		if _, err := s.Merge(context.Background(), ids[0], ids[1], someone); err != nil {
			t.Fatal(err)
		}
	})
	s.arrivals(700)
	s.evaluate("everybody")
	reads("taking in who entered", 3*(people+700)+10*700, func() {
		if rolled := s.roll(id); rolled.Pending != 700 {
			t.Errorf("%+v", rolled)
		}
	})
}
