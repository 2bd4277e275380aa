package store_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// measure reads the measures and those of the only channel.
func (s sending) measure() (store.Measures, store.ChannelMeasures) {
	s.t.Helper()
	m, err := s.Measure(context.Background(), 5*time.Minute)
	if err != nil || len(m.Channels) != 1 || m.Channels[0].Name != "newsletter" {
		s.t.Fatalf("measures of one channel were expected: %+v, %v", m, err)
	}
	return m, m.Channels[0]
}

func TestMeasureADueSend(t *testing.T) {
	s := newSending(t, 6)
	m, c := s.measure()
	if m.SchemaVersion < 1 || c != (store.ChannelMeasures{Name: "newsletter"}) {
		t.Errorf("before anything is sent: %+v", m)
	}
	id := s.begin()
	s.exec("update send set frozen_at = now() - interval '20 minutes'")
	if _, c = s.measure(); c.Due != 6 || c.Pending != 6 || c.Settled != 0 || c.OldestDue < 19*time.Minute || c.OldestDue > 21*time.Minute {
		t.Errorf("frozen twenty minutes ago: %+v", c)
	}
	l := s.lease(id, "w1")
	b := s.commit(l, 4)
	if m, c = s.measure(); c.Due != 0 || c.Pending != 6 || c.OldestDue != 0 || m.OrphanedIntents != 0 {
		t.Errorf("while a worker holds the chunk: %+v", m)
	}
	s.exec("update send_chunk set leased_until = now() - interval '1 second'")
	if m, c = s.measure(); c.Due != 6 || m.OrphanedIntents != 4 {
		t.Errorf("when the worker is gone: %+v", m)
	}
	a := b.Attempts()
	s.finish(l, append(settle(campaign.RowSent, a[:3]...), settle(campaign.RowAmbiguous, a[3:]...)...)...)
	if m, c = s.measure(); c.Due != 2 || c.Ambiguous != 1 || c.Pending != 2 || c.Settled != 4 || m.OrphanedIntents != 0 {
		t.Errorf("when four have an outcome: %+v", m)
	}
	s.exec("update send set suspended = true")
	if _, c = s.measure(); c.Due != 0 || c.Ambiguous != 1 || c.Pending != 0 {
		t.Errorf("of a suspended send nothing is due: %+v", c)
	}
	s.exec("update send set finished_at = now() - interval '3 days'")
	s.exec("update send_chunk set open = false")
	_, c = s.measure()
	s.exec("update send_chunk set open = true")
	if c.Ambiguous != 0 {
		t.Errorf("three days after its end: %+v", c)
	}
}

func TestMeasureSegments(t *testing.T) {
	for name, test := range map[string]struct {
		state string
		want  time.Duration
	}{
		"evaluated a minute ago":         {"built_at = now() - interval '1 minute', refresh_asked_at = null", 0},
		"evaluated an hour ago":          {"built_at = now() - interval '1 hour', refresh_asked_at = null", 55 * time.Minute},
		"asked for ten minutes ago":      {"built_at = now() - interval '20 minutes', refresh_asked_at = now() - interval '10 minutes'", 10 * time.Minute},
		"suspended segments are not due": {"built_at = now() - interval '1 hour', suspended = true", 0},
		"never evaluated, just declared": {"refresh_asked_at = now()", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 0)
			s.exec("update segment set " + test.state)
			m, _ := s.measure()
			if d := m.SegmentStaleness - test.want; d < -time.Minute/2 || d > time.Minute/2 {
				t.Errorf("staleness %s, want %s", m.SegmentStaleness, test.want)
			}
		})
	}
}

func TestAuditRecentSends(t *testing.T) {
	s := newSending(t, 3)
	ctx := context.Background()
	l := s.lease(s.begin(), "w1")
	s.finish(l, settle(campaign.RowSent, s.commit(l, 3).Attempts()...)...)
	s.exec("update send_tally set n = n + 1 where outcome = 'sent'")
	findings, err := s.AuditRecentSends(ctx, time.Hour)
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0], "sent is tallied as 4 and counted as 3") {
		t.Errorf("a tally that is wrong: %q, %v", findings, err)
	}
	s.exec("update send set state = 'Completed', finished_at = now() - interval '2 hours'")
	if findings, err := s.AuditRecentSends(ctx, time.Hour); err != nil || len(findings) > 0 {
		t.Errorf("a send that ended before is audited: %q, %v", findings, err)
	}
	if findings, err := s.AuditLedger(ctx); err != nil || len(findings) != 1 {
		t.Errorf("the whole ledger: %q, %v", findings, err)
	}
	// What is sent again of it changes: it is audited as long as it does.
	s.exec("update ledger set state = 'pending' where seq = 1")
	s.exec("update send_chunk set open = true")
	if findings, err := s.AuditRecentSends(ctx, time.Hour); err != nil || len(findings) == 0 {
		t.Errorf("an old send with an open row is not audited: %q, %v", findings, err)
	}
	s.exec("update ledger set state = 'sent' where seq = 1")
	s.exec("update send_chunk set open = false")
	s.exec("update send_tally set n = n - 1 where outcome = 'sent'")
}

// Every round trip is told, whoever makes it; a connection that is refused, too.
func TestObserve(t *testing.T) {
	owner, err := url.Parse(storetest.URL(t, storetest.New(t)))
	if err != nil {
		t.Fatal(err)
	}
	nobody := *owner
	nobody.Host = "127.0.0.1:1"
	write := func(ctx context.Context, db *store.DB) error { return db.NoteStatusChange(ctx, "Campaign", "spring") }
	readOnly := func(ctx context.Context, db *store.DB) error {
		return db.InTx(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "set transaction read only"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "delete from status_change")
			return err
		})
	}
	for name, test := range map[string]struct {
		url  *url.URL
		do   func(context.Context, *store.DB) error
		want string // the last that is told
	}{
		"a statement":           {owner, write, ""},
		"a read-only database":  {owner, readOnly, "read_only"},
		"nobody listens":        {&nobody, write, "unreachable"},
		"rows of another table": {owner, func(ctx context.Context, db *store.DB) error { _, err := db.AuditLedger(ctx); return err }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			told := map[string]int{}
			db, err := store.Open(context.Background(), test.url.String(), store.Options{Observe: func(trouble string) {
				mu.Lock()
				defer mu.Unlock()
				told[trouble]++
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := test.do(context.Background(), db); (err != nil) != (test.want != "") {
				t.Fatalf("the round trip ended with %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if told[test.want] == 0 || len(told) > 2 || test.want == "" && len(told) > 1 {
				t.Errorf("told %v, want %q", told, test.want)
			}
		})
	}
}
