package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/explain"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// codes are what stands in the way of "spring", from the database to the answer.
func (s sending) codes() []string {
	s.t.Helper()
	facts, err := s.ExplainFacts(s.t.Context(), "spring")
	if err != nil {
		s.t.Fatal(err)
	}
	var codes []string
	for _, f := range explain.Explain(facts, time.Now()) {
		codes = append(codes, f.Code)
	}
	return codes
}

func (s sending) wantCodes(when string, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.codes()); diff != "" {
		s.t.Errorf("%s: -want +got:\n%s", when, diff)
	}
}

func TestWhatTheDatabaseKnowsOfASend(t *testing.T) {
	s := newSending(t, 4)
	if _, err := s.ExplainFacts(t.Context(), "spring"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a campaign that nobody declared: %v", err)
	}
	c := s.config()
	c.StartsAt, c.Deadline = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	s.upsert(c)
	s.wantCodes("declared", "NoWorker", "SegmentNotReady", "NotDue")
	if err := s.SaveProcess(t.Context(), store.Process{ID: "w1", Kind: store.WorkerProcess, Version: "v", Digest: "d"}); err != nil {
		t.Fatal(err)
	}
	s.upsert(s.config()) // begins at noon, which these tests call now
	s.exec("update send set starts_at = now() - interval '1 minute', deadline = now() + interval '1 hour'")
	s.wantCodes("due", "SegmentNotReady", "Due")
	s.exec("update send set starts_at = $1, deadline = $2", noon, noon.Add(6*time.Hour))
	s.freeze()
	s.wantCodes("frozen", "Queued")
	id := s.id()

	for when, tc := range map[string]struct {
		change, undo string
		want         string
	}{
		"suspended in Git":   {"update send set suspended = true", "update send set suspended = false", "Suspended"},
		"deleted":            {"update send set dormant_since = now()", "update send set dormant_since = null", "Deleted"},
		"tenant suspended":   {"update tenant set suspended = true", "update tenant set suspended = false", "TenantSuspended"},
		"channel suspended":  {"update channel set suspended = true", "update channel set suspended = false", "ChannelSuspended"},
		"channel deleted":    {"update channel set dormant_since = now()", "update channel set dormant_since = null", "ChannelMissing"},
		"channel in trouble": {"update channel set trouble = 'no answer'", "update channel set trouble = null", "ChannelTrouble"},
		"a rate is set":      {`update channel set rate = '{"perSecond": 200}'`, "update channel set rate = null", "Rate"},
		"template suspended": {"update template set suspended = true", "update template set suspended = false", "TemplateNotReady"},
		"template deleted":   {"update template set dormant_since = now()", "update template set dormant_since = null", "TemplateNotReady"},
		"another ledger":     {"update send_permit set timeline = timeline + 1", "update send_permit set timeline = timeline - 1", "LedgerNotPermitted"},
		"worker gone":        {"update process set seen_at = now() - interval '1 hour'", "update process set seen_at = now()", "NoWorker"},
		"held by a release":  {"insert into send_hold (send_key, campaign, quarantine_id) values ('spring-2027', 'spring', 1)", "delete from send_hold", "HeldBack"},
	} {
		s.exec(tc.change)
		s.wantCodes(when, tc.want, "Queued")
		s.exec(tc.undo)
	}

	s.command(command(campaign.Pause))
	s.wantCodes("paused", "Paused", "Queued")
	s.command(command(campaign.Resume))
	l := s.lease(id, "w1")
	s.wantCodes("leased", "Sending")
	b := s.commit(l, 2)
	s.exec("update send_chunk set leased_until = now() - interval '1 second'")
	s.wantCodes("its worker is gone", "WorkerLost", "Queued")
	s.exec("update send_chunk set leased_until = now() + interval '1 minute'")
	s.finish(l, append(settle(campaign.RowAmbiguous, b.Recipients[0].Attempt), store.Settlement{
		Attempt: b.Recipients[1].Attempt, State: campaign.RowPending, RetryIn: time.Hour, Reply: "451 4.7.1 c2@people.example is greylisted",
	})...)
	s.exec("update ledger set not_before = now() + interval '2 hours' where attempts = 0 and state = 'pending'")
	s.exec("update send_chunk set next_at = now() + interval '1 hour'")
	s.wantCodes("put off by the far end", "PutOff")
	s.exec("update ledger set not_before = now() + interval '30 minutes' where attempts = 0 and state = 'pending'")
	s.wantCodes("put off until its hours", "NotNow")

	s.command(command(campaign.Abort))
	s.wantCodes("aborted", "Aborted")
}

func TestACompletedSendIsExplained(t *testing.T) {
	s := newSending(t, 1)
	id := s.begin()
	l := s.lease(id, "w1")
	s.finish(l, settle(campaign.RowAmbiguous, s.commit(l, 1).Attempts()...)...)
	s.move(campaign.Completed)
	s.wantCodes("completed", "Completed")
	if _, err := s.ResendAmbiguous(t.Context(), "spring", command("")); err != nil {
		t.Fatal(err)
	}
	s.wantCodes("sent again", "NoWorker", "Reopened")
}

// id is the id of the only send.
func (s sending) id() (id int64) {
	s.t.Helper()
	if err := s.Pool.QueryRow(s.t.Context(), "select id from send").Scan(&id); err != nil {
		s.t.Fatal(err)
	}
	return id
}
