package store_test

import (
	"testing"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Once the statistics know a large send, a batch still reads its own rows and not the send's.
func TestABatchReadsItsRunsAlone(t *testing.T) {
	const n = 20_000
	s := newSending(t, 1)
	s.arrivals(n - 1)
	id := s.begin()
	s.exec("analyze")
	read := func() int64 {
		endConnections(t, s.DB)
		return scalar[int64](t, s.DB, "select sum(coalesce(idx_tup_fetch, 0) + seq_tup_read)::bigint from pg_stat_user_tables where relname like 'ledger%'")
	}
	before := read()
	l := s.lease(id, "a")
	first := s.commit(l, 100)
	s.finish(l, settle(campaign.RowSent, s.commit(l, 100, settle(campaign.RowSent, first.Attempts()...)...).Attempts()...)...)
	if rows := read() - before; rows == 0 || rows > n/2 {
		t.Errorf("%d rows of the ledger were read for 200 recipients of %d", rows, n)
	}
}
