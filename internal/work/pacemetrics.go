package work

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// What messages wait for.
const (
	waitForRate     = "rate"
	waitForDay      = "day"
	waitForReceiver = "receiver"
)

// paceMetrics tell how fast a channel may send, and who slows it down.
type paceMetrics struct {
	tokens, waited, deferrals *prometheus.CounterVec
	paused                    *prometheus.GaugeVec
}

func declarePace(s *metrics.Set) paceMetrics {
	return paceMetrics{
		tokens: s.Counter("tertulia_pace_tokens_total",
			"Messages that this worker was granted by a channel's limits, or by those of a receiver that is held back; none where there are no limits.",
			"tenant", "channel"),
		waited: s.Counter("tertulia_pace_wait_seconds_total",
			"Seconds for which this worker was told to wait: for the channel's `rate`, the bound of the `day`, or a `receiver`. Waits for several "+
				"receivers add up.",
			"tenant", "channel", "reason"),
		deferrals: s.Counter("tertulia_deferrals_total",
			"Messages that a server put off with 4xx, by who receives the mail of the address.", "tenant", "channel", "receiver"),
		paused: s.Gauge("tertulia_receivers_paused", "Receivers that are offered nothing at the moment because they deferred mail.", "tenant", "channel"),
	}
}

// begin makes the series of a channel before anything is counted.
func (m paceMetrics) begin(tenant, channel string) {
	m.tokens.WithLabelValues(tenant, channel)
	for _, reason := range []string{waitForRate, waitForDay, waitForReceiver} {
		m.waited.WithLabelValues(tenant, channel, reason)
	}
	m.deferrals.WithLabelValues(tenant, channel, otherReceivers)
	m.paused.WithLabelValues(tenant, channel)
}
