package work_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// limits bounds how fast the channel "newsletter" may send.
func (h *house) limits(l *pace.Limits) {
	h.t.Helper()
	h.exec("update channel set rate = $1 where name = 'newsletter'", l)
}

// moveTo gives every nth contact an address at another domain.
func (h *house) moveTo(domain string, nth int) {
	h.t.Helper()
	h.exec("update identifier set value = replace(value, '@people.example', '@' || $1) where id % $2 = 0", domain, nth)
}

// slowly answers 421 to recipients at slow.example while it is told to, and counts them.
type slowly struct {
	defers atomic.Bool
	asked  atomic.Int64
}

func (s *slowly) answer(e delivertest.Event) delivertest.Action {
	if e.Stage != delivertest.Rcpt || !strings.HasSuffix(e.To, "@slow.example") {
		return delivertest.Action{}
	}
	s.asked.Add(1)
	if s.defers.Load() {
		return delivertest.Action{Reply: "421 4.7.0 too many messages from you", Close: true}
	}
	return delivertest.Action{}
}

func TestOneSlowReceiverDoesNotHoldTheRest(t *testing.T) {
	const people, slow = 2400, 600
	h := newHouse(t, people)
	h.moveTo("slow.example", people/slow)
	var s slowly
	s.defers.Store(true)
	h.relay.Behave(delivertest.Behaviour{Answer: s.answer})
	h.campaign(nil)
	o := h.options()
	o.Metrics = work.NewMetrics()
	o.PauseBackoff = campaign.Backoff{First: time.Hour, Max: time.Hour}
	stop := h.worker(o)
	h.becomes("Sending planned 2400 sent 1800 failed 0 ambiguous 0 pending 600")
	// It was asked until it said no, by what was under way, and no more.
	if asked := s.asked.Load(); asked == 0 || asked > 50 {
		t.Errorf("the receiver that wants to be left alone was asked %d times", asked)
	}
	if counted := deferrals(t, o.Metrics); counted["slow.example"] == 0 || len(counted) > 2 {
		t.Errorf("metrics should name who defers: %v", counted)
	}
	throttling, err := h.db.LoadThrottling(context.Background(), "newsletter")
	if err != nil || len(throttling.Receivers) != 1 || throttling.Receivers[0].Name != "slow.example" {
		t.Errorf("and so should the status: %+v, %v", throttling, err)
	}
	stop()
	var paused, others int
	err = h.db.Pool.QueryRow(context.Background(), `select count(*) filter (where r.name = 'slow.example' and p.backoff_until > now()), count(*) filter (where r.name <> 'slow.example')
		from pace p join receiver r on r.id = p.receiver`).Scan(&paused, &others)
	if err != nil || paused != 1 || others != 0 {
		t.Errorf("%d rows of the paused receiver, %d of others: %v", paused, others, err)
	}
	// The pause ends, and the receiver takes mail again: at first slowly.
	s.defers.Store(false)
	h.exec("update pace set backoff_until = now(), paused_until = now(), grown_at = now(), slowed = 400, slowed_from = 440")
	h.worker(h.options())
	h.becomes("Completed planned 2400 sent 2400 failed 0 ambiguous 0 pending 0")
	h.withinRate("slow.example", 440)
}

// deferrals are the counts of messages that were put off, by receiver.
func deferrals(t *testing.T, m *work.Metrics) map[string]float64 {
	t.Helper()
	counted := map[string]float64{}
	for series, n := range gathered(t, m) {
		if words := strings.Fields(series); words[0] == "tertulia_deferrals_total" {
			counted[words[2]] = n // behind the channel, before the tenant
		}
	}
	return counted
}

// withinRate proves by the database's clock that over no time more messages were begun for a receiver ("": for anybody) than the rate
// allows, what leaves at once after a rest, and what a worker may have kept for a second.
func (h *house) withinRate(receiver string, rate float64) {
	h.t.Helper()
	rows, err := h.db.Pool.Query(context.Background(), `
		select extract(epoch from l.intent_at)::float8 from ledger l left join receiver r on r.id = l.receiver
		where l.state = 'sent' and l.attempts = 1 and ($1 = '' or r.name = $1) order by 1`, receiver)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	var at []float64
	for rows.Next() {
		var s float64
		if err := rows.Scan(&s); err != nil {
			h.t.Fatal(err)
		}
		at = append(at, s)
	}
	for i := range at {
		for j := i; j < len(at); j++ {
			passed := at[j] - at[i]
			if most := rate*(passed+1) + rate + 1; float64(j-i+1) > most {
				h.t.Fatalf("%d messages were begun in %.3f s, %.0f at most may be", j-i+1, passed, most)
			}
		}
	}
	if len(at) == 0 {
		h.t.Error("no message was begun")
	}
}

func TestTwoWorkersShareOneBudget(t *testing.T) {
	const people, rate = 260, 60
	h := newHouse(t, people)
	h.noon()
	h.limits(&pace.Limits{PerSecond: rate, PerDay: 100_000})
	h.campaign(nil)
	o := patientOptions(h) // the tokens of messages that are put back after a lease has run out are gone
	stops := []func(){h.worker(o), h.worker(o)}
	h.becomes("Completed planned 260 sent 260 failed 0 ambiguous 0 pending 0")
	for _, stop := range stops {
		stop()
	}
	h.withinRate("", rate)
	var granted int64
	var seconds float64
	err := h.db.Pool.QueryRow(context.Background(), `select (select granted from pace where receiver = 0), extract(epoch from max(intent_at) - min(intent_at))::float8 from ledger`).
		Scan(&granted, &seconds)
	if err != nil {
		t.Fatal(err)
	}
	if granted != people {
		t.Errorf("%d tokens are gone for %d messages: what was not used should have come back", granted, people)
	}
	if least := float64(people-2*rate) / rate; seconds < least {
		t.Errorf("all were begun within %.2f s, %.2f at least are due", seconds, least)
	}
}

func TestEachReceiverHasItsOwnBucket(t *testing.T) {
	const people, rate = 300, 60
	h := newHouse(t, people)
	h.moveTo("slow.example", 2)
	h.limits(&pace.Limits{PerDomainPerSecond: rate})
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Completed planned 300 sent 300 failed 0 ambiguous 0 pending 0")
	h.withinRate("slow.example", rate)
	h.withinRate("people.example", rate)
}

func TestTheDayIsFull(t *testing.T) {
	h := newHouse(t, 110)
	h.few(100)
	h.noon()
	h.limits(&pace.Limits{PerDay: 30})
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Sending planned 100 sent 30 failed 0 ambiguous 0 pending 70")
	h.eventually("the status should say that the bound is reached", func() bool {
		throttling, err := h.db.LoadThrottling(context.Background(), "newsletter")
		return err == nil && throttling.CappedUntil != nil
	})
	// Transactional mail may exceed it by a tenth.
	h.receipts()
	h.eventually("three of the urgent ones should be sent", func() bool {
		s, err := h.db.SendStatus(context.Background(), "receipts")
		return err == nil && s.Sent == 3
	})
	h.becomes("Sending planned 100 sent 30 failed 0 ambiguous 0 pending 70")
	// Somebody raises the bound.
	h.limits(&pace.Limits{PerDay: 1000})
	h.becomes("Completed planned 100 sent 100 failed 0 ambiguous 0 pending 0")
}

// few takes those after the first n contacts out of "everybody" and into a segment of their own.
func (h *house) few(n int) {
	h.t.Helper()
	h.exec("update segment set predicate = 'c.id <= " + strconv.Itoa(n) + "', digest = 'd2'")
	h.exec("insert into segment (name, match, digest, predicate, arguments) values ('few', 'true', 'd3', 'c.id > " + strconv.Itoa(n) + "', '[]')")
}

// receipts declares a transactional campaign to the few.
func (h *house) receipts() {
	h.t.Helper()
	h.campaign(func(c *store.SendConfig) {
		c.SendKey, c.Campaign, c.Priority, c.Segments = "receipts", "receipts", campaign.Transactional, []string{"few"}
	})
}

func TestUrgentMailOvertakes(t *testing.T) {
	h := newHouse(t, 204)
	h.few(200)
	h.limits(&pace.Limits{PerSecond: 4})
	h.campaign(nil)
	h.worker(h.options())
	h.eventually("the mass mail should be under way", func() bool { return h.status().Sent > 0 })
	h.receipts()
	h.eventually("the urgent mail should be through long before", func() bool {
		s, err := h.db.SendStatus(context.Background(), "receipts")
		return err == nil && s.Sent == 4
	})
	if s := h.status(); s.Pending < 100 {
		t.Errorf("the mass mail was as fast: %s", counts(s))
	}
}

// Without limits nothing is written about the pace of a campaign.
func TestWithoutLimitsThereIsNoPaceToKeep(t *testing.T) {
	h := newHouse(t, 700)
	h.campaign(nil)
	h.worker(h.options())
	h.becomes("Completed planned 700 sent 700 failed 0 ambiguous 0 pending 0")
	var n int
	if err := h.db.Pool.QueryRow(context.Background(), "select count(*) from pace").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}
