package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func loadFence(t *testing.T, db *store.DB) store.Fence {
	t.Helper()
	f, err := db.LoadFence(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func wantPermitted(t *testing.T, db *store.DB, want bool) {
	t.Helper()
	if got, err := db.SendPermitted(context.Background()); err != nil || got != want {
		t.Errorf("permitted: got %v, %v; want %v", got, err, want)
	}
}

func TestPermitIsOfOneLedger(t *testing.T) {
	ctx := context.Background()
	db := storetest.New(t)
	f := loadFence(t, db)
	if !f.Permitted || f.Permit == nil || *f.Permit != f.Identity || f.Identity.SystemIdentifier == 0 || f.Identity.Timeline != 1 || f.Identity.LedgerOID == 0 {
		t.Errorf("a permitted ledger: %+v", f)
	}
	for column, name := range map[string]string{
		"system_identifier": "another server", "timeline": "another timeline", "database_oid": "another database", "ledger_oid": "another table",
	} {
		run(t, db, "update send_permit set "+column+" = "+column+" + 1")
		wantPermitted(t, db, false)
		if t.Failed() {
			t.Errorf("for %s", name)
		}
		run(t, db, "update send_permit set "+column+" = "+column+" - 1")
	}
	wantPermitted(t, db, true)
	other := f.Identity
	other.LedgerOID++
	if err := db.PermitSending(ctx, other); !errors.Is(err, store.ErrOtherLedger) {
		t.Errorf("permit a ledger that is not there: %v", err)
	}
	run(t, db, "delete from send_permit")
	wantPermitted(t, db, false)
	if err := db.PermitSending(ctx, f.Identity); err != nil {
		t.Fatal(err)
	}
	wantPermitted(t, db, true)
}

func TestPermittingAgainWritesNothing(t *testing.T) {
	db := storetest.New(t)
	f := loadFence(t, db)
	before := scalar[string](t, db, "select xmin::text from send_permit")
	if err := db.PermitSending(context.Background(), f.Identity); err != nil {
		t.Fatal(err)
	}
	if after := scalar[string](t, db, "select xmin::text from send_permit"); after != before {
		t.Error("the permit was written again")
	}
}

// A connection that is planning its statement while a restore commits must not keep the identity of the table that is gone.
func TestPermitOfATableThatIsReplacedWhileTheStatementIsPlanned(t *testing.T) {
	ctx := context.Background()
	db := storetest.New(t)
	one, err := store.Open(ctx, storetest.URL(t, db), store.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Close)
	tx, err := db.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	for _, statement := range []string{
		"lock table send_permit, quarantine in access exclusive mode", "alter table ledger rename to ledger_before", "create table ledger (like ledger_before)",
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	type answer struct {
		fence store.Fence
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		f, err := one.LoadFence(ctx)
		answers <- answer{f, err}
	}()
	gomega.NewWithT(t).Eventually(func() int {
		return scalar[int](t, db, "select count(*)::int from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())")
	}).WithTimeout(time.Minute).WithPolling(time.Millisecond).Should(gomega.Equal(1))
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	want := scalar[int64](t, db, "select 'ledger'::regclass::oid::bigint")
	if got := <-answers; got.err != nil || got.fence.Permitted || got.fence.Identity.LedgerOID != want {
		t.Errorf("while it was replaced: %+v, want table %d", got, want)
	}
	if got := loadFence(t, one); got.Permitted || got.Identity.LedgerOID != want {
		t.Errorf("on the same connection: %+v, want table %d", got, want)
	}
}

func TestIntentsNeedThePermit(t *testing.T) {
	s := newSending(t, 10)
	id := s.begin()
	lease := s.lease(id, "w")
	if b := s.commit(lease, 2); len(b.Recipients) != 2 || !b.Runs {
		t.Fatalf("permitted: %+v", b)
	}
	for name, wrong := range map[string][2]string{
		"another ledger": {"update send_permit set ledger_oid = ledger_oid + 1", "update send_permit set ledger_oid = ledger_oid - 1"},
		"a quarantine": {
			"insert into quarantine (why, system_identifier, timeline, database_oid, ledger_oid, ledger_mark) values ('', 1, 1, 1, 1, 0)", "delete from quarantine",
		},
	} {
		s.exec(wrong[0])
		if b := s.commit(lease, 2); len(b.Recipients) != 0 || b.Runs {
			t.Errorf("%s: intents were committed: %+v", name, b)
		}
		s.exec("update send_chunk set leased_until = now() - interval '1 second'")
		if _, err := s.LeaseChunk(context.Background(), id, "another", time.Minute); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: a chunk was leased: %v", name, err)
		}
		if sends, permitted, err := s.SendableSends(context.Background()); err != nil || permitted || len(sends) > 0 {
			t.Errorf("%s: sends are offered: %v, %v, %v", name, sends, permitted, err)
		}
		s.exec(wrong[1])
	}
	if b := s.commit(lease, 2); len(b.Recipients) != 2 || !b.Runs {
		t.Errorf("permitted again: %+v", b)
	}
	if mark := loadFence(t, s.DB).Mark; mark != 4 {
		t.Errorf("the mark is %d, want 4", mark)
	}
}

func TestMarkCountsEveryIntent(t *testing.T) {
	s := newSending(t, 4)
	id := s.begin()
	lease := s.lease(id, "w")
	b := s.commit(lease, 3)
	// One comes back untried and is tried again, and one has moved to another address meanwhile.
	s.finish(lease, append(settle(campaign.RowPending, b.Attempts()[0]), settle(campaign.RowSent, b.Attempts()[1:]...)...)...)
	s.exec("update identifier set value = 'moved@people.example' where value = 'c4@people.example'")
	if b := s.commit(s.lease(id, "w"), 4); len(b.Recipients) != 2 {
		t.Fatalf("got %+v", b)
	}
	if mark := loadFence(t, s.DB).Mark; mark != 5 {
		t.Errorf("the mark is %d, want 5", mark)
	}
	s.checkLedger()
	s.exec("update send_chunk set intents = intents - 1")
	if findings, err := s.AuditLedger(context.Background()); err != nil || len(findings) != 1 {
		t.Errorf("a mark that does not agree with the ledger should be found: %v, %v", findings, err)
	}
	s.exec("update send_chunk set intents = intents + 1")
}

func TestPlanHolds(t *testing.T) {
	ledger := func(state campaign.State, planned, sent int64) *store.LedgerSend {
		return &store.LedgerSend{State: state, Planned: planned, Sent: sent, Pending: planned - sent}
	}
	known := func(phase string, planned, sent int64) *store.KnownCampaign {
		return &store.KnownCampaign{Phase: phase, Planned: planned, Sent: sent}
	}
	sends := []store.ComparedSend{
		{Campaign: "agrees", SendKey: "1", Known: known("Completed", 10, 10), Ledger: ledger(campaign.Completed, 10, 10)},
		{Campaign: "ahead", SendKey: "2", Known: known("Scheduled", 0, 0), Ledger: ledger(campaign.Scheduled, 0, 0)},
		{Campaign: "due", SendKey: "3", Ledger: ledger(campaign.Sending, 10, 5), Due: true},
		{Campaign: "forgotten", SendKey: "4", Known: known("Completed", 10, 10)},
		{Campaign: "further", SendKey: "5", Known: known("Sending", 10, 6), Ledger: ledger(campaign.Sending, 10, 5), Due: true},
		{Campaign: "not frozen here", SendKey: "6", Known: known("Sending", 10, 0), Ledger: ledger(campaign.Scheduled, 0, 0)},
		{Campaign: "aborted since", SendKey: "9", Known: known("Aborted", 10, 6), Ledger: ledger(campaign.Sending, 10, 6)},
		{Campaign: "further here", SendKey: "7", Known: known("Sending", 10, 6), Ledger: ledger(campaign.Completed, 10, 10)},
	}
	tests := map[string]struct {
		release store.Release
		want    []string
	}{
		"by itself":    {store.Release{}, []string{"due", "forgotten", "further", "not frozen here", "aborted since"}},
		"one goes on":  {store.Release{Continued: []string{"forgotten"}}, []string{"due", "further", "not frozen here", "aborted since"}},
		"all of it on": {store.Release{ContinuedAll: true}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, h := range store.PlanHolds(sends, tc.release) {
				got = append(got, h.Campaign)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A quarantine that came with a dump is superseded by one about the ledger that is there.
func TestAQuarantineOfAnotherLedgerIsSuperseded(t *testing.T) {
	ctx := context.Background()
	db := storetest.New(t)
	f := loadFence(t, db)
	elsewhere := f.Identity
	elsewhere.SystemIdentifier++
	open := func(i store.Identity, why string) {
		t.Helper()
		if err := db.OpenQuarantine(ctx, store.Quarantine{Identity: i, Why: why}); err != nil {
			t.Fatal(err)
		}
	}
	open(elsewhere, "there")
	wantPermitted(t, db, false)
	there := loadFence(t, db).Quarantine
	if _, err := db.ReleaseQuarantine(ctx, there.ID, store.Release{By: "ana", Token: "admin", Reason: "there it was right"}, nil); err != nil {
		t.Fatal(err)
	}
	open(f.Identity, "here")
	open(f.Identity, "here again")
	q := loadFence(t, db).Quarantine
	if q == nil || q.Why != "here" || q.Release != nil {
		t.Fatalf("the quarantine that is open: %+v", q)
	}
	if n := scalar[int](t, db, "select count(*)::int from quarantine where outcome = 'Superseded'"); n != 1 {
		t.Errorf("%d quarantines are superseded, want 1", n)
	}
	if _, err := db.ReleaseQuarantine(ctx, q.ID+1, store.Release{By: "ana"}, nil); !errors.Is(err, store.ErrNoSuchQuarantine) {
		t.Errorf("release another: %v", err)
	}
	wantPermitted(t, db, false)
	if _, err := db.ReleaseQuarantine(ctx, q.ID, store.Release{By: "ana", Token: "admin", Reason: "right"}, nil); err != nil {
		t.Fatal(err)
	}
	wantPermitted(t, db, false) // not before the operator says so
	if err := db.PermitSending(ctx, f.Identity); err != nil {
		t.Fatal(err)
	}
	wantPermitted(t, db, true)
}

func scalar[T any](t *testing.T, db *store.DB, sql string, arguments ...any) (value T) {
	t.Helper()
	if err := db.Pool.QueryRow(context.Background(), sql, arguments...).Scan(&value); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}
