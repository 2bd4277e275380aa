package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// The moment that these tests call now.
var noon = time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)

// sending is a tenant with people, a segment that holds everybody, a channel, a template and a campaign "spring".
type sending struct {
	t *testing.T
	*store.DB
}

// newSending makes a tenant with n people who have consented and have an address each: c<i>@people.example. When the
// test ends, the ledger must add up.
func newSending(t *testing.T, n int) sending {
	t.Helper()
	s := sending{t: t, DB: storetest.New(t)}
	s.exec("insert into tenant (id, namespace, display_name, public_url) values ('velo', 'velo', 'Velo', 'https://crm.velo.example')")
	s.exec("alter table contact add column attr_first_name text, add column attr_value numeric")
	s.exec("insert into attribute (record_type, name, column_name, type) values ('contact', 'first_name', 'attr_first_name', 'String'), ('contact', 'value', 'attr_value', 'Decimal')")
	s.exec("insert into channel (name, type, settings) values ('newsletter', 'Email', '{}')")
	s.exec("insert into template (name, default_locale, content, digest) values ('spring', 'es', '[]', 'x')")
	s.exec("insert into segment (name, match, digest, predicate, arguments) values ('everybody', 'true', 'd1', 'true', '[]')")
	s.exec("insert into contact (locale, attr_first_name, attr_value) select 'es', 'Name ' || i, i + 0.5 from generate_series(1, $1::int) i", n)
	s.exec("insert into identifier (type, value) select 'email', 'c' || id || '@people.example' from contact order by id")
	s.exec("insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'c' || c.id || '@people.example'")
	s.exec("insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from contact")
	t.Cleanup(s.checkLedger)
	return s
}

func (s sending) exec(sql string, arguments ...any) {
	s.t.Helper()
	if _, err := s.Pool.Exec(context.Background(), sql, arguments...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s sending) checkLedger() {
	s.t.Helper()
	findings, err := s.AuditLedger(context.Background())
	if err != nil {
		s.t.Fatalf("audit: %v", err)
	}
	for _, f := range findings {
		s.t.Error(f)
	}
}

func (s sending) config() store.SendConfig {
	return store.SendConfig{
		SendKey: "spring-2027", Campaign: "spring", Purpose: "newsletter", Channel: "newsletter", Segments: []string{"everybody"},
		MaxRecipients: 1_000_000, Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}}, StartsAt: noon, Deadline: noon.Add(6 * time.Hour),
	}
}

func (s sending) upsert(c store.SendConfig) store.AppliedSend {
	s.t.Helper()
	applied, err := s.UpsertSend(context.Background(), c)
	if err != nil {
		s.t.Fatalf("upsert: %v", err)
	}
	return applied
}

// open is the only open send.
func (s sending) open() store.OpenSend {
	s.t.Helper()
	sends, err := s.OpenSends(context.Background())
	if err != nil || len(sends) != 1 {
		s.t.Fatalf("one open send was expected: got %+v, %v", sends, err)
	}
	return sends[0]
}

func (s sending) move(to campaign.State) {
	s.t.Helper()
	if moved, err := s.MoveSend(context.Background(), s.open(), to, ""); err != nil || !moved {
		s.t.Fatalf("move to %s: %v, %v", to, moved, err)
	}
}

// freeze evaluates the segments and freezes the only open send.
func (s sending) freeze() campaign.State {
	s.t.Helper()
	ctx := context.Background()
	for _, name := range s.open().Segments {
		if _, err := s.EvaluateSegment(ctx, name); err != nil {
			s.t.Fatalf("evaluate: %v", err)
		}
	}
	s.move(campaign.Freezing)
	state, err := s.FreezeSend(ctx, s.open(), noon)
	if err != nil {
		s.t.Fatalf("freeze: %v", err)
	}
	return state
}

// begin declares the campaign and freezes it.
func (s sending) begin() int64 {
	s.t.Helper()
	applied := s.upsert(s.config())
	if state := s.freeze(); state != campaign.Sending {
		s.t.Fatalf("the send is %s, not Sending", state)
	}
	return applied.ID
}

func (s sending) lease(sendID int64, owner string) store.Lease {
	s.t.Helper()
	l, err := s.LeaseChunk(context.Background(), sendID, owner, time.Minute)
	if err != nil {
		s.t.Fatalf("lease: %v", err)
	}
	return l
}

// commit commits intents for the first n rows of a chunk that are pending.
func (s sending) commit(l store.Lease, n int, settlements ...store.Settlement) store.Batch {
	s.t.Helper()
	b, err := s.tryCommit(l, n, settlements...)
	if err != nil {
		s.t.Fatalf("commit: %v", err)
	}
	return b
}

func (s sending) tryCommit(l store.Lease, n int, settlements ...store.Settlement) (store.Batch, error) {
	s.t.Helper()
	ctx := context.Background()
	rows, err := s.PendingRows(ctx, l)
	if err != nil {
		s.t.Fatal(err)
	}
	// What is settled as pending with this commit can be tried with it.
	for _, settlement := range settlements {
		if settlement.State == campaign.RowPending {
			rows = append(rows, store.PendingRow{Seq: settlement.Seq})
		}
	}
	return s.CommitBatch(ctx, store.BatchRequest{
		Lease: l, Settlements: settlements, Rows: rows[:min(n, len(rows))],
		Attributes: []crm.Attribute{{Name: "first_name", Type: crm.String}, {Name: "value", Type: crm.Decimal}},
	})
}

func (s sending) finish(l store.Lease, settlements ...store.Settlement) {
	s.t.Helper()
	if err := s.FinishChunk(context.Background(), l, settlements); err != nil {
		s.t.Fatalf("finish: %v", err)
	}
}

// settle is the same outcome for all attempts.
func settle(state campaign.RowState, attempts ...store.Attempt) []store.Settlement {
	settlements := make([]store.Settlement, len(attempts))
	for i, a := range attempts {
		settlements[i] = store.Settlement{Attempt: a, State: state}
	}
	return settlements
}

// wantCounts compares the counts of a status, written as "planned sent failed ambiguous pending" and the skips by reason.
func (s sending) wantCounts(want string) {
	s.t.Helper()
	status, err := s.SendStatus(context.Background(), "spring")
	if err != nil {
		s.t.Fatalf("status: %v", err)
	}
	got := fmt.Sprintf("planned %d sent %d failed %d ambiguous %d pending %d", status.Planned, status.Sent, status.Failed, status.Ambiguous, status.Pending)
	for _, skip := range status.SkippedByReason {
		got += fmt.Sprintf(" %s %d", skip.Reason, skip.Count)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("counts differ (-want +got):\n%s", diff)
	}
	s.checkLedger()
}

// wantPutOff compares what a status says of messages that the relay wants to see later.
func (s sending) wantPutOff(want bool, code string) {
	s.t.Helper()
	status, err := s.SendStatus(context.Background(), "spring")
	if err != nil || status.PutOff != want || status.PutOffCode != code {
		s.t.Errorf("put off: got %v %q (%v), want %v %q", status.PutOff, status.PutOffCode, err, want, code)
	}
}
