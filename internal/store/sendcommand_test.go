package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func command(verb campaign.Verb) store.Command {
	return store.Command{Verb: verb, Token: "tertulia-admin", By: "ana", Reason: "the price was wrong"}
}

func (s sending) command(c store.Command) {
	s.t.Helper()
	if err := s.CommandSend(context.Background(), "spring", c); err != nil {
		s.t.Fatalf("%s: %v", c.Verb, err)
	}
}

// refuses expects a command to be refused with words.
func (s sending) refuses(c store.Command, words string) {
	s.t.Helper()
	var err error
	if c.Verb == campaign.ResendAmbiguous {
		_, err = s.ResendAmbiguous(context.Background(), "spring", c)
	} else {
		err = s.CommandSend(context.Background(), "spring", c)
	}
	var refused *store.CommandRefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Why, words) {
		s.t.Errorf("%s: got %v, want a refusal that says %q", c.Verb, err, words)
	}
}

func (s sending) status() store.SendStatus {
	s.t.Helper()
	status, err := s.SendStatus(context.Background(), "spring")
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

// endAborted does what a worker does for aborted sends.
func (s sending) endAborted() {
	s.t.Helper()
	if _, err := s.EndAbortedSends(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

func TestPauseTakesEffectAtTheNextBatch(t *testing.T) {
	s := newSending(t, 4)
	id := s.begin()
	l := s.lease(id, "w1")
	first := s.commit(l, 2)
	s.command(command(campaign.Pause))
	next := s.commit(l, 2, settle(campaign.RowSent, first.Attempts()...)...)
	if next.Runs || len(next.Recipients) > 0 {
		t.Errorf("a paused send goes on: %+v", next)
	}
	s.finish(l)
	if _, err := s.LeaseChunk(t.Context(), id, "w2", time.Minute); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a paused send is leased: %v", err)
	}
	status := s.status()
	if p := status.Pause; p == nil || p.By != "ana" || p.Token != "tertulia-admin" || p.Reason != "the price was wrong" || !p.InForce(time.Now()) {
		t.Errorf("the status does not say who paused and why: %+v", p)
	}
	s.wantCounts("planned 4 sent 2 failed 0 ambiguous 0 pending 2")

	s.command(command(campaign.Resume))
	s.command(command(campaign.Resume)) // an answer that was lost
	if status := s.status(); status.Pause != nil || status.Command == nil || status.Command.Verb != campaign.Resume {
		t.Errorf("after resume: %+v", status)
	}
	l = s.lease(id, "w2")
	s.finish(l, settle(campaign.RowSent, s.commit(l, 4).Attempts()...)...)
	s.wantCounts("planned 4 sent 4 failed 0 ambiguous 0 pending 0")
}

func TestAPauseEndsByItself(t *testing.T) {
	s := newSending(t, 1)
	id := s.begin()
	until := time.Now().Add(time.Hour)
	c := command(campaign.Pause)
	c.Until = &until
	s.command(c)
	if _, err := s.LeaseChunk(t.Context(), id, "w1", time.Minute); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a paused send is leased: %v", err)
	}
	if err := s.EndPauses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.status().Pause == nil {
		t.Error("a pause was ended before its time")
	}
	s.exec("update send_command set until = now() - interval '1 second'")
	s.exec("delete from status_change")
	if s.status().Pause != nil {
		t.Error("the pause is over, and the status shows it")
	}
	if err := s.EndPauses(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes, err := s.TakeStatusChanges(t.Context())
	if err != nil || len(changes) != 1 || changes[0] != (store.StatusChange{Kind: store.CampaignKind, Name: "spring"}) {
		t.Errorf("the operator is not told: %v, %v", changes, err)
	}
	s.finish(s.lease(id, "w1"))

	// A pause takes the place of the one before, a shorter one too.
	s.command(command(campaign.Pause))
	s.command(c)
	if p := s.status().Pause; p == nil || p.Until == nil {
		t.Errorf("the later pause does not count: %+v", p)
	}
}

func TestAPausedSendDoesNotBegin(t *testing.T) {
	s := newSending(t, 2)
	s.upsert(s.config())
	s.command(command(campaign.Pause))
	if open := s.open(); !open.Facts.Stopped || campaign.Next(open.State, open.Facts, noon) != campaign.Scheduled {
		t.Errorf("a paused send begins: %+v", open)
	}
	// Declared anew, deleted and declared again: a decision is a row, and no manifest undoes it.
	s.upsert(s.config())
	if err := s.DormantSend(t.Context(), "spring"); err != nil {
		t.Fatal(err)
	}
	s.upsert(s.config())
	if !s.open().Facts.Stopped || s.status().Pause == nil {
		t.Error("a campaign that came back has lost its pause")
	}
}

func TestAbortIsFinal(t *testing.T) {
	s := newSending(t, 5)
	id := s.begin()
	l := s.lease(id, "w1")
	b := s.commit(l, 4)
	s.command(command(campaign.Abort))
	s.endAborted()
	s.wantCounts("planned 5 sent 0 failed 0 ambiguous 0 pending 4 Aborted 1")
	if s.status().FinishedAt != nil {
		t.Error("intents have no outcome yet, and the send has ended")
	}
	// What is in flight is settled as it comes: a message that was taken, one that was not, and one that nobody knows of.
	s.finish(l,
		store.Settlement{Attempt: b.Recipients[0].Attempt, State: campaign.RowSent},
		store.Settlement{Attempt: b.Recipients[1].Attempt, State: campaign.RowPending, RetryIn: time.Hour},
		b.Recipients[2].Undone(),
		store.Settlement{Attempt: b.Recipients[3].Attempt, State: campaign.RowAmbiguous})
	s.wantCounts("planned 5 sent 1 failed 0 ambiguous 1 pending 2 Aborted 1")
	s.endAborted()
	s.wantCounts("planned 5 sent 1 failed 0 ambiguous 1 pending 0 Aborted 3")
	status := s.status()
	if status.State != campaign.Aborted || status.FinishedAt == nil || status.Command.Verb != campaign.Abort {
		t.Errorf("status: %+v", status)
	}
	// A late outcome of what was ambiguous opens the send once more, and what is pending by it is skipped.
	s.finish(l, b.Recipients[3].Undone())
	s.endAborted()
	s.wantCounts("planned 5 sent 1 failed 0 ambiguous 0 pending 0 Aborted 4")

	s.command(command(campaign.Abort)) // an answer that was lost
	for _, verb := range []campaign.Verb{campaign.Pause, campaign.Resume, campaign.ResendAmbiguous} {
		s.refuses(command(verb), "final")
	}
	s.upsert(s.config())
	if s.status().State != campaign.Aborted {
		t.Error("declared anew, an aborted send goes on")
	}
}

func TestAbortOfWorkersThatAreGone(t *testing.T) {
	s := newSending(t, 3)
	id := s.begin()
	s.commit(s.lease(id, "w1"), 2)
	s.exec("update send_chunk set leased_until = now() - interval '1 second'")
	s.command(command(campaign.Abort))
	s.endAborted()
	s.sweep(0)
	s.endAborted()
	s.wantCounts("planned 3 sent 0 failed 0 ambiguous 2 pending 0 Aborted 1")
	if s.status().FinishedAt == nil {
		t.Error("the send has not ended")
	}
}

func TestAbortInManyTransactions(t *testing.T) {
	s := newSending(t, 10)
	id := s.begin()
	// As a send of 30 chunks.
	s.exec("update send_chunk set last_seq = 1")
	s.exec("delete from send_tally")
	s.exec("insert into send_chunk (send_id, chunk, first_seq, last_seq) select $1, seq, seq, seq from ledger where seq > 1", id)
	s.exec("insert into ledger (send_id, seq, contact_id, state) select $1, i, 1000 + i, 'pending' from generate_series(11, 50) i", id)
	s.exec("insert into send_chunk (send_id, chunk, first_seq, last_seq) select $1, i, i, i from generate_series(11, 50) i", id)
	s.exec("insert into send_tally (send_id, chunk, outcome, n) select send_id, chunk, 'planned', 1 from send_chunk")
	s.command(command(campaign.Abort))
	// One that somebody is changing at this moment keeps nobody waiting.
	tx, err := s.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select from send_chunk where chunk = 7 for no key update"); err != nil {
		t.Fatal(err)
	}
	s.endAborted()
	s.wantCounts("planned 50 sent 0 failed 0 ambiguous 0 pending 1 Aborted 49")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.endAborted()
	s.wantCounts("planned 50 sent 0 failed 0 ambiguous 0 pending 0 Aborted 50")
}

func TestAbortBeforeTheFreeze(t *testing.T) {
	s := newSending(t, 2)
	s.upsert(s.config())
	s.move(campaign.Freezing)
	open := s.open()
	s.command(command(campaign.Abort))
	if state, err := s.FreezeSend(t.Context(), open, noon); err != nil || state != campaign.Freezing {
		t.Errorf("frozen after the abort: %s, %v", state, err)
	}
	s.wantCounts("planned 0 sent 0 failed 0 ambiguous 0 pending 0")
	// An edit that would have an Expired send judged anew changes nothing here.
	c := s.config()
	c.StartsAt, c.Deadline = noon.Add(time.Hour), noon.Add(7*time.Hour)
	s.upsert(c)
	if status := s.status(); status.State != campaign.Aborted || status.FinishedAt == nil {
		t.Errorf("status: %+v", status)
	}
}

func TestCommandsThatMakeNoSense(t *testing.T) {
	s := newSending(t, 1)
	if err := s.CommandSend(t.Context(), "spring", command(campaign.Pause)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a campaign that nobody declared: %v", err)
	}
	id := s.begin()
	s.exec("insert into send_hold (send_key, campaign, quarantine_id) values ('spring-2027', 'spring', 1)")
	s.refuses(command(campaign.Resume), "tertulia quarantine resume")
	s.exec("delete from send_hold")
	l := s.lease(id, "w1")
	s.finish(l, settle(campaign.RowSent, s.commit(l, 1).Attempts()...)...)
	s.move(campaign.Completed)
	s.refuses(command(campaign.Pause), "over")
	s.refuses(command(campaign.Abort), "over")
	if status := s.status(); status.Command != nil {
		t.Errorf("what was refused is recorded: %+v", status.Command)
	}
	if err := s.DormantSend(t.Context(), "spring"); err != nil {
		t.Fatal(err)
	}
	if err := s.CommandSend(t.Context(), "spring", command(campaign.Pause)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a campaign that was deleted: %v", err)
	}
}

func TestResendAmbiguous(t *testing.T) {
	s := newSending(t, 3)
	id := s.begin()
	l := s.lease(id, "w1")
	b := s.commit(l, 3)
	s.finish(l,
		store.Settlement{Attempt: b.Recipients[0].Attempt, State: campaign.RowSent},
		store.Settlement{Attempt: b.Recipients[1].Attempt, State: campaign.RowAmbiguous},
		store.Settlement{Attempt: b.Recipients[2].Attempt, State: campaign.RowAmbiguous})
	s.move(campaign.Completed)
	s.wantCounts("planned 3 sent 1 failed 0 ambiguous 2 pending 0")

	n, err := s.ResendAmbiguous(t.Context(), "spring", command(""))
	if err != nil || n != 2 {
		t.Fatalf("%d are sent again, %v", n, err)
	}
	s.wantCounts("planned 3 sent 1 failed 0 ambiguous 0 pending 2")
	if c := s.status().Command; c == nil || c.Verb != campaign.ResendAmbiguous || c.Affected != 2 || c.By != "ana" || c.Reason == "" {
		t.Errorf("the decision is not recorded with its number: %+v", c)
	}
	// An outcome of the former attempt that comes late settles nothing: neither while the row is pending nor when it is tried.
	s.finish(l, settle(campaign.RowFailed, b.Recipients[1].Attempt)...)
	s.wantCounts("planned 3 sent 1 failed 0 ambiguous 0 pending 2")
	if open := s.open(); campaign.Next(open.State, open.Facts, noon) != campaign.Sending {
		t.Errorf("a send with open rows stays at its end: %+v", open)
	}
	s.move(campaign.Sending)
	again := s.lease(id, "w2")
	second := s.commit(again, 3)
	if len(second.Recipients) != 2 || second.Recipients[0].Number != 2 {
		t.Fatalf("the second attempt: %+v", second)
	}
	s.finish(l, settle(campaign.RowFailed, b.Recipients[1].Attempt)...)
	s.wantCounts("planned 3 sent 1 failed 0 ambiguous 0 pending 2")
	s.finish(again, settle(campaign.RowSent, second.Attempts()...)...)
	s.wantCounts("planned 3 sent 3 failed 0 ambiguous 0 pending 0")

	var keys int
	if err := s.Pool.QueryRow(t.Context(), "select count(*) from ledger where contact_id is not null and address_hash is not null").Scan(&keys); err != nil || keys != 3 {
		t.Errorf("%d of 3 rows have both keys, %v", keys, err)
	}
	if n, err := s.ResendAmbiguous(t.Context(), "spring", command("")); err != nil || n != 0 {
		t.Errorf("nothing is ambiguous, and %d are sent again: %v", n, err)
	}
}

// TestResendTakesWhatWasSeen has a message become ambiguous, and another one once more, while the command is being carried out: nobody
// has decided about these.
func TestResendTakesWhatWasSeen(t *testing.T) {
	s := newSending(t, 4)
	id := s.begin()
	l := s.lease(id, "w1")
	b := s.commit(l, 4)
	s.finish(l,
		store.Settlement{Attempt: b.Recipients[0].Attempt, State: campaign.RowSent},
		store.Settlement{Attempt: b.Recipients[1].Attempt, State: campaign.RowAmbiguous},
		store.Settlement{Attempt: b.Recipients[2].Attempt, State: campaign.RowAmbiguous},
		store.Settlement{Attempt: b.Recipients[3].Attempt, State: campaign.RowSent})

	meanwhile, err := s.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = meanwhile.Rollback(context.Background()) }()
	if _, err := meanwhile.Exec(t.Context(), "select from send_chunk for update"); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		n   int64
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		n, err := s.ResendAmbiguous(context.Background(), "spring", command(""))
		done <- outcome{n, err}
	}()
	gomega.NewWithT(t).Eventually(func() any {
		return s.one("select count(*) from send_command") // it has begun, and waits for the chunk
	}).WithTimeout(time.Minute).WithPolling(time.Millisecond).Should(gomega.Equal(int64(1)))
	for _, statement := range []string{
		"update ledger set state = 'ambiguous' where seq = 4",
		"update ledger set attempts = attempts + 1 where seq = 3",
		"update send_chunk set intents = intents + 1",
		"update send_tally set n = n - 1 where outcome = 'sent'",
		"update send_tally set n = n + 1 where outcome = 'ambiguous'",
	} {
		if _, err := meanwhile.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := meanwhile.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || got.n != 1 {
		t.Errorf("%d are sent again, %v; want 1", got.n, got.err)
	}
	s.wantCounts("planned 4 sent 1 failed 0 ambiguous 2 pending 1")
	if got := s.one("select string_agg(state, ' ' order by seq) from ledger"); got != "sent pending ambiguous ambiguous" {
		t.Errorf("the rows are %v", got)
	}
}

// Whoever has taken the consent back since then gets nothing, whatever a person decides.
func TestResendAsksForConsent(t *testing.T) {
	s := newSending(t, 1)
	id := s.begin()
	l := s.lease(id, "w1")
	s.finish(l, settle(campaign.RowAmbiguous, s.commit(l, 1).Attempts()...)...)
	s.exec("update consent set granted = false")
	if n, err := s.ResendAmbiguous(t.Context(), "spring", command("")); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	l = s.lease(id, "w1")
	if b := s.commit(l, 1); len(b.Recipients) != 0 {
		t.Errorf("sent without consent: %+v", b)
	}
	s.finish(l)
	s.wantCounts("planned 1 sent 0 failed 0 ambiguous 0 pending 0 NoConsent 1")
}

func TestNothingIsSentAgainFromAnotherLedger(t *testing.T) {
	s := newSending(t, 1)
	id := s.begin()
	l := s.lease(id, "w1")
	s.finish(l, settle(campaign.RowAmbiguous, s.commit(l, 1).Attempts()...)...)
	s.exec("update send_permit set timeline = timeline + 1")
	s.refuses(command(campaign.ResendAmbiguous), "quarantined")
	s.wantCounts("planned 1 sent 0 failed 0 ambiguous 1 pending 0")
}
