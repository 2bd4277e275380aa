package work_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// oneConnection has the channel use one connection, so that nearly all of a batch waits for it.
func (h *house) oneConnection() {
	h.t.Helper()
	h.channel(func(e *store.EmailSettings) { e.Connections = 1 })
}

// A worker that is told to stop waits for the answer to what its only connection has under way, and puts all else back at once.
func TestATerminatedWorkerIsGoneWithinOneAnswer(t *testing.T) {
	const n = 50
	h := newHouse(t, n)
	h.oneConnection()
	hold := h.hold()
	h.campaign(nil)
	cmd := h.patientProcess()
	h.waitArrived()
	h.send(cmd, syscall.SIGTERM)
	h.eventually("all else should be put back before the answer comes", func() bool {
		s := h.states()
		return s[campaign.RowIntent] == 1 && s[campaign.RowPending] == n-1
	})
	hold.release()
	answered := time.Now()
	if state, err := cmd.Process.Wait(); err != nil || !state.Success() {
		t.Errorf("the worker should end well: %v, %v", state, err)
	}
	if took := time.Since(answered); took > 15*time.Second {
		t.Errorf("it took %s to stop after the answer, as if it waited for the end of its grace", took)
	}
	s := h.states()
	if s[campaign.RowSent] != 1 || s[campaign.RowPending] != n-1 {
		t.Errorf("one message is sent, and all others are pending: %v", s)
	}
	var free int
	if err := h.db.Pool.QueryRow(t.Context(), "select count(*) from send_chunk where open and leased_until is null and next_at <= now()").Scan(&free); err != nil || free != 1 {
		t.Errorf("%d chunks can be leased at once, and 1 should be: %v", free, err)
	}
	h.worker(h.options())
	h.becomes("Completed planned 50 sent 50 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(n)...))
}

// While a worker that is told to stop waits for an answer, others send what it had not offered.
func TestOthersGoOnWhileAStoppedWorkerWaits(t *testing.T) {
	const n = 50
	h := newHouse(t, n)
	h.oneConnection()
	held, gate := make(chan struct{}), make(chan struct{})
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Dot && e.To == "c1@people.example" {
			close(held)
			return delivertest.Action{Wait: gate}
		}
		return delivertest.Action{}
	}})
	h.campaign(nil)
	stop := h.worker(patientOptions(h))
	<-held
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	h.worker(h.options())
	h.becomes("Sending planned 50 sent 49 failed 0 ambiguous 0 pending 1")
	select {
	case <-stopped:
		t.Error("the first worker should wait for its answer yet")
	default:
	}
	close(gate)
	<-stopped
	h.becomes("Completed planned 50 sent 50 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(n)...))
}

// A worker that is told to stop while it asks for a chunk gives back the one that it gets.
func TestAChunkThatIsLeasedAtTheEndIsGivenBack(t *testing.T) {
	h := newHouse(t, 5)
	h.frozen()
	gate, err := h.db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Rollback(context.Background()) //nolint:errcheck // it ended, or nothing is kept of it
	if _, err := gate.Exec(t.Context(), "lock table send_chunk in share mode"); err != nil {
		t.Fatal(err)
	}
	waiting := func() (n int) {
		err := h.db.Pool.QueryRow(t.Context(), `select count(*) from pg_locks where relation = 'send_chunk'::regclass and not granted
			and database = (select oid from pg_database where datname = current_database())`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	stop := h.worker(patientOptions(h))
	h.eventually("the worker should ask for a chunk", func() bool { return waiting() > 0 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
		t.Error("the worker should wait for what it has asked")
	case <-time.After(500 * time.Millisecond):
	}
	if err := gate.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-stopped
	h.eventually("nobody should ask any more", func() bool { return waiting() == 0 })
	var leased int
	if err := h.db.Pool.QueryRow(t.Context(), "select count(*) from send_chunk where leased_until is not null").Scan(&leased); err != nil || leased != 0 {
		t.Errorf("%d chunks are leased to nobody, %v", leased, err)
	}
}
