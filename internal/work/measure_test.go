package work_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/work"
)

// gathered is what somebody who scrapes the metrics gets: the value of each series by its name and the values of its labels,
// in the order of their names.
func gathered(t *testing.T, m *work.Metrics) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := m.Register(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			words := []string{f.GetName()}
			for _, l := range metric.GetLabel() {
				words = append(words, l.GetValue())
			}
			series[strings.Join(words, " ")] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return series
}

func measuring(h *house) work.Options {
	o := h.options()
	o.Metrics, o.MeasurePoll, o.AuditPoll = work.NewMetrics(), 20*time.Millisecond, 20*time.Millisecond
	return o
}

func TestWhatAWorkerMeasures(t *testing.T) {
	h := newHouse(t, 4)
	o := measuring(h)
	stop := h.worker(o)
	h.campaign(nil)
	h.becomes("Completed planned 4 sent 4 failed 0 ambiguous 0 pending 0")
	want := map[string]float64{
		"tertulia_messages_total newsletter sent " + tenantID:      4,
		"tertulia_messages_total newsletter ambiguous " + tenantID: 0, // the series is there before it counts anything
		"tertulia_due_messages newsletter " + tenantID:             0,
		"tertulia_due_oldest_age_seconds newsletter " + tenantID:   0,
		"tertulia_ambiguous_messages newsletter " + tenantID:       0,
		"tertulia_pending_messages newsletter " + tenantID:         0,
		"tertulia_time_to_empty_seconds newsletter " + tenantID:    0,
		"tertulia_orphaned_intents " + tenantID:                    0,
		"tertulia_ledger_balanced " + tenantID:                     1,
		"tertulia_database_up " + tenantID:                         1,
		"tertulia_lease_takeovers_total " + tenantID:               0,
	}
	var got map[string]float64
	// A measure that was made before the end may be written down after it, and a worker counts what it has sent when it is written.
	gomega.NewWithT(t).Eventually(func() map[string]float64 {
		got = gathered(t, o.Metrics)
		found := map[string]float64{}
		for name := range want {
			if value, ok := got[name]; ok {
				found[name] = value
			}
		}
		return found
	}).WithTimeout(patience).WithPolling(5*time.Millisecond).Should(gomega.Equal(want), "measured after the end")
	h.eventually("the clocks of one machine should agree", func() bool {
		offset, ok := gathered(t, o.Metrics)["tertulia_clock_offset_seconds "+tenantID]
		return ok && math.Abs(offset) <= 1
	})
	now := float64(time.Now().Unix())
	for _, name := range []string{"tertulia_credentials_timestamp_seconds ", "tertulia_ledger_audit_timestamp_seconds "} {
		if at, ok := got[name+tenantID]; !ok || at > now || at < now-2*patience.Seconds() {
			t.Errorf("%s is %v (%v), and now is %v", name, at, ok, now)
		}
	}
	h.exec("update send_tally set n = n + 1 where outcome = 'sent'")
	h.eventually("the ledger should be found out of balance", func() bool { return gathered(t, o.Metrics)["tertulia_ledger_balanced "+tenantID] == 0 })
	h.exec("update send_tally set n = n - 1 where outcome = 'sent'")
	h.eventually("the ledger should be found in balance", func() bool { return gathered(t, o.Metrics)["tertulia_ledger_balanced "+tenantID] == 1 })
	stop()
	for name := range gathered(t, o.Metrics) {
		if strings.HasSuffix(name, tenantID) {
			t.Errorf("a worker that has left the tenant still shows %s", name)
		}
	}
}

func TestAClockThatIsOff(t *testing.T) {
	h := newHouse(t, 1)
	o := measuring(h)
	o.Now = func() time.Time { return time.Now().Add(10 * time.Minute) }
	h.worker(o)
	h.eventually("the clock's offset should be told", func() bool {
		return math.Abs(gathered(t, o.Metrics)["tertulia_clock_offset_seconds "+tenantID]-600) < 5
	})
}

func TestATakeoverIsCounted(t *testing.T) {
	h := newHouse(t, 3)
	if lease, err := h.db.LeaseChunk(t.Context(), h.frozen(), "a worker that dies", time.Microsecond); err != nil || lease.TakenOver {
		t.Fatalf("lease: %+v, %v", lease, err)
	}
	o := measuring(h)
	o.EvaluationLimit = time.Nanosecond // no sweep comes to anything: it would give the chunk back
	h.worker(o)
	h.becomes("Completed planned 3 sent 3 failed 0 ambiguous 0 pending 0")
	if n := gathered(t, o.Metrics)["tertulia_lease_takeovers_total "+tenantID]; n != 1 {
		t.Errorf("%v takeovers are counted, want 1", n)
	}
}
