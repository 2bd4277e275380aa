package work

import "github.com/prometheus/client_golang/prometheus"

// Metrics of a worker. No label names a person.
type Metrics struct {
	// Messages counts outcomes: sent, failed, ambiguous, deferred, undone (never offered), skipped.
	Messages *prometheus.CounterVec
	// BatchSeconds is how long a micro-batch takes from its intents to its outcomes.
	BatchSeconds   *prometheus.HistogramVec
	FreezeSeconds  *prometheus.HistogramVec
	SegmentSeconds *prometheus.HistogramVec
	// Leases is how many chunks this worker holds.
	Leases *prometheus.GaugeVec
	// ChannelTrouble is 1 while a channel takes nothing.
	ChannelTrouble *prometheus.GaugeVec
	// LoopFailures counts the rounds of a loop that failed.
	LoopFailures *prometheus.CounterVec
}

// NewMetrics makes metrics that are not registered yet.
func NewMetrics() *Metrics {
	seconds := prometheus.ExponentialBuckets(0.001, 4, 10) // 1 ms to 4 min
	return &Metrics{
		Messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tertulia_messages_total", Help: "Messages by outcome.",
		}, []string{"tenant", "channel", "outcome"}),
		BatchSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tertulia_batch_seconds", Help: "Time from the intents of a micro-batch to its outcomes.", Buckets: seconds,
		}, []string{"tenant", "channel"}),
		FreezeSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tertulia_freeze_seconds", Help: "Time to evaluate a send's segments and to write its ledger.", Buckets: seconds,
		}, []string{"tenant"}),
		SegmentSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tertulia_segment_seconds", Help: "Time to evaluate a segment.", Buckets: seconds,
		}, []string{"tenant"}),
		Leases: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tertulia_leases", Help: "Chunks of sends that this worker holds.",
		}, []string{"tenant", "channel"}),
		ChannelTrouble: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tertulia_channel_trouble", Help: "1 while a channel takes nothing.",
		}, []string{"tenant", "channel"}),
		LoopFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tertulia_loop_failures_total", Help: "Rounds of a worker's loop that failed and were tried again.",
		}, []string{"tenant", "loop"}),
	}
}

// Register registers all metrics.
func (m *Metrics) Register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.Messages, m.BatchSeconds, m.FreezeSeconds, m.SegmentSeconds, m.Leases, m.ChannelTrouble, m.LoopFailures} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
