package work_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// mostIntents is what a worker's death may leave ambiguous: twice four intents for each of two connections.
const mostIntents = 2 * 4 * 2

// states counts the ledger's rows by state.
func (h *house) states() map[campaign.RowState]int {
	h.t.Helper()
	got := map[campaign.RowState]int{}
	rows, err := h.db.Pool.Query(context.Background(), "select state, count(*)::int from ledger group by 1")
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var state campaign.RowState
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			h.t.Fatal(err)
		}
		got[state] = n
	}
	return got
}

// addresses are the addresses of the rows in a state.
func (h *house) addresses(state campaign.RowState) map[string]int {
	h.t.Helper()
	rows, err := h.db.Pool.Query(context.Background(),
		"select 'c' || contact_id || '@people.example' from ledger where state = $1", state)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]int{}
	for rows.Next() {
		var address string
		if err := rows.Scan(&address); err != nil {
			h.t.Fatal(err)
		}
		got[address]++
	}
	return got
}

// everybodyOnce proves that each of n people received one message, or is ambiguous and received one or none.
func (h *house) everybodyOnce(n int) {
	h.t.Helper()
	if diff := cmp.Diff(people(upTo(n)...), h.accountedFor()); diff != "" {
		h.t.Errorf("received or ambiguous differs (-want +got):\n%s", diff)
	}
}

// accountedFor are the addresses that received a message, as often as they did, and those that are ambiguous, once.
func (h *house) accountedFor() map[string]int {
	h.t.Helper()
	// In this order: an outcome that comes between the two makes an ambiguous row one that was received.
	ambiguous := h.addresses(campaign.RowAmbiguous)
	got := h.received()
	for address := range ambiguous {
		got[address] = max(got[address], 1)
	}
	return got
}

func TestStopLeavesNothingAmbiguous(t *testing.T) {
	h := newHouse(t, 1000)
	hold := h.hold()
	h.campaign(nil)
	w, stop := h.observed(patientOptions(h))
	h.waitArrived()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	h.eventually("the worker should know that it is to stop", func() bool { return strings.Contains(words(w.Ready()), "stopping") })
	hold.release()
	<-stopped
	if s := h.states(); s[campaign.RowIntent] != 0 || s[campaign.RowAmbiguous] != 0 || s[campaign.RowSent] == 0 || s[campaign.RowSent] > 100 {
		t.Errorf("what was handed over should be settled, and the rest pending: %v", s)
	}
	h.worker(h.options())
	h.becomes("Completed planned 1000 sent 1000 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(1000)...))
}

// What a relay answered is written down even when another message's answer does not come before the worker must leave.
func TestStopWhileOneAnswerDoesNotCome(t *testing.T) {
	const n = 400
	h := newHouse(t, n)
	hung, gate := make(chan struct{}), make(chan struct{})
	// The first message is held until the test ends, and the twentieth until the worker is told to stop.
	late, release := make(chan struct{}), make(chan struct{})
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		switch {
		case e.Stage == delivertest.Dot && e.To == "c1@people.example":
			close(hung)
			return delivertest.Action{Wait: gate}
		case e.Stage == delivertest.Dot && e.To == "c20@people.example":
			close(late)
			return delivertest.Action{Wait: release}
		}
		return delivertest.Action{}
	}})
	t.Cleanup(func() { close(gate) })
	h.campaign(nil)
	o := patientOptions(h)
	o.Grace = 5 * time.Second
	stop := h.worker(o)
	<-hung
	<-late
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	close(release)
	<-stopped
	s := h.states()
	if s[campaign.RowIntent] != 0 || s[campaign.RowAmbiguous] != 1 || s[campaign.RowSent] < 18 {
		t.Errorf("the first message is all that may be unknown: %v", s)
	}
}

func TestLostCommits(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		h := newHouse(t, 1000)
		p := newProxy(h)
		random := rand.New(rand.NewPCG(seed, 0))
		p.losing(func(n int) fate {
			if n > 200 {
				return delivered
			}
			switch random.IntN(6) {
			case 0:
				return lost
			case 1:
				return unheard
			}
			return delivered
		})
		h.campaign(nil)
		h.worker(h.options())
		h.worker(h.options())
		h.becomes("Completed planned 1000 sent 1000 failed 0 ambiguous 0 pending 0")
		h.wantReceived(people(upTo(1000)...))
	}
}

// A connection that is lost while a worker looks at what a chunk holds is no reason to leave the send alone for long.
func TestAConnectionIsLostBeforeTheFirstBatch(t *testing.T) {
	h := newHouse(t, 20)
	p := newProxy(h)
	p.cutsOn("select seq, receiver")
	h.frozen()
	o := h.options()
	began := time.Now()
	// By a clock that is slow, the ten seconds for which a send rests that cannot be worked on are longer than a test waits.
	o.Now = func() time.Time { return began.Add(time.Since(began) / 20) }
	h.worker(o)
	h.becomes("Completed planned 20 sent 20 failed 0 ambiguous 0 pending 0")
	if !p.hasCut() {
		t.Error("the statement was not cut off")
	}
}

func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	h := newHouse(t, 1000)
	p := newProxy(h)
	hold := h.hold()
	h.campaign(nil)
	h.worker(h.options())
	h.waitArrived()
	p.goDown()
	// The relay answers while nobody can write it down.
	hold.release()
	h.eventually("the relay should have what was handed over", func() bool { return len(h.relay.Messages()) >= 4 })
	if s := h.states(); s[campaign.RowSent] != 0 || s[campaign.RowIntent] == 0 {
		t.Errorf("nothing can be known to the database yet: %v", s)
	}
	p.comeUp()
	h.becomes("Completed planned 1000 sent 1000 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(1000)...))
}

// PostgreSQL dies as by a power cut, again and again, and loses what it had not acknowledged. The workers live on, so that
// nothing may be unknown in the end. That the database's own setting would lose more does not matter.
func TestTheDatabaseCrashes(t *testing.T) {
	const n = 3000
	db, crash := storetest.NewDurable(t)
	h := newHouseIn(t, db, n)
	h.exec("do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$")
	h.campaign(nil)
	h.worker(h.options())
	h.worker(h.options())
	for _, after := range []int{100, 900, 1800} {
		h.eventually("the workers should be in the middle", func() bool { return len(h.relay.Messages()) >= after })
		crash()
	}
	h.eventually("the send should be completed", func() bool {
		s, err := h.db.SendStatus(context.Background(), "spring")
		return err == nil && s.State == campaign.Completed
	})
	h.becomes("Completed planned 3000 sent 3000 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(n)...))
}

func TestAnOutcomeThatComesAfterTheSweep(t *testing.T) {
	h := newHouse(t, 10)
	p := newProxy(h)
	hold := h.hold()
	h.campaign(nil)
	h.worker(h.options())
	h.waitArrived()
	p.goDown()
	// Another worker takes the first one for dead. PostgreSQL may still be about to notice that the connections have ended, and a
	// chunk that it has locked for one of them is left for the next sweep.
	h.eventually("the intents should be ambiguous", func() bool {
		h.exec("update send_chunk set leased_until = now() - interval '1 second' where leased_until is not null")
		if _, err := h.db.SweepIntents(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		return h.states()[campaign.RowAmbiguous] > 0
	})
	hold.release()
	p.comeUp()
	h.becomes("Completed planned 10 sent 10 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(10)...))
}

// settles waits until the send to n people is completed, with no more ambiguous than the death of one worker may leave, and proves that each received one
// message or is ambiguous. A worker that lives and that the machine stopped past its lease settles what was taken for lost a moment later.
func (h *house) settles(n int64) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("the send should be completed, and at most %d be ambiguous", mostIntents), func() bool {
		s := h.status()
		return s.State == campaign.Completed && s.Pending == 0 && s.Failed == 0 && s.Skipped == 0 && s.Ambiguous <= mostIntents && s.Sent+s.Ambiguous == n
	})
	h.everybodyOnce(int(n))
}

func TestKilledWorker(t *testing.T) {
	const n = 1000
	for _, after := range []int{1, 200, 600} {
		h := newHouse(t, n)
		h.campaign(nil)
		victim := h.process()
		h.eventually("the worker should be in the middle", func() bool { return len(h.relay.Messages()) >= after })
		h.send(victim, syscall.SIGKILL)
		_, _ = victim.Process.Wait()
		h.process()
		h.settles(n)
	}
}

func TestOneOfTwoWorkersIsKilled(t *testing.T) {
	const n = 2000
	h := newHouse(t, n)
	h.campaign(nil)
	victim := h.process()
	h.process()
	h.eventually("the workers should be in the middle", func() bool { return len(h.relay.Messages()) >= 500 })
	h.send(victim, syscall.SIGKILL)
	h.settles(n)
}

func TestAStoppedWorkerGoesOnPastItsLease(t *testing.T) {
	const n = 2000
	h := newHouse(t, n)
	h.campaign(nil)
	frozen := h.process()
	h.process()
	h.eventually("the workers should be in the middle", func() bool { return len(h.relay.Messages()) >= 300 })
	h.send(frozen, syscall.SIGSTOP)
	// Its leases run out after half a second, and its intents are taken for lost after two.
	h.eventually("the other should have swept up after it", func() bool {
		s := h.status()
		return s.State == campaign.Completed
	})
	h.send(frozen, syscall.SIGCONT)
	settled := func() bool {
		s := h.status()
		return s.Sent+s.Ambiguous == n && s.Pending == 0 && cmp.Equal(people(upTo(n)...), h.accountedFor())
	}
	h.eventually("late outcomes should settle what the relay has answered, and the rest should be sent", settled)
	// When it has ended, it has written what it knows: rows that it had not offered to anybody may be pending once more.
	h.send(frozen, syscall.SIGTERM)
	_, _ = frozen.Process.Wait()
	h.eventually("the other should send what is left", settled)
	h.everybodyOnce(n)
}

func TestTerminatedProcess(t *testing.T) {
	const n = 1500
	h := newHouse(t, n)
	h.campaign(nil)
	first := h.patientProcess()
	h.eventually("the worker should be in the middle", func() bool { return len(h.relay.Messages()) >= 200 })
	h.send(first, syscall.SIGTERM)
	if state, err := first.Process.Wait(); err != nil || !state.Success() {
		t.Errorf("the worker should end well: %v, %v", state, err)
	}
	if s := h.states(); s[campaign.RowIntent] != 0 || s[campaign.RowAmbiguous] != 0 {
		t.Errorf("a worker that was asked to stop left something unknown: %v", s)
	}
	h.process()
	h.becomes("Completed planned 1500 sent 1500 failed 0 ambiguous 0 pending 0")
	h.wantReceived(people(upTo(n)...))
}
