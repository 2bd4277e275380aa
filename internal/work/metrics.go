package work

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Metrics of a worker. No label names a person. What is measured of a database by the measuring loop is the same for
// every worker of a tenant: take the maximum over workers, not the sum.
type Metrics struct {
	*metrics.Set
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
	// Permitted is 1 while the tenant's ledger may be sent from.
	Permitted *prometheus.GaugeVec
	// LoopFailures counts the rounds of a loop that failed.
	LoopFailures *prometheus.CounterVec

	// Returned counts what came back into mailboxes.
	Returned *prometheus.CounterVec

	database    *metrics.Database
	measures    measures
	segments    segmentMetrics
	rules       ruleMetrics
	service     serviceMetrics
	suggestions suggestMetrics
	pace        paceMetrics
	monitors    monitorMetrics
	listen      listenMetrics
	influence   influenceMetrics
	sentiment   sentimentMetrics
}

// NewMetrics makes metrics that are not registered yet.
func NewMetrics() *Metrics {
	s := metrics.NewSet()
	return &Metrics{
		Set: s,
		Messages: s.Counter("tertulia_messages_total",
			"Messages by what became of a try: `sent`, `failed`, `ambiguous`, `skipped`, `deferred` (tried again later) or `undone` (never offered).",
			"tenant", "channel", "outcome"),
		BatchSeconds: s.Histogram("tertulia_batch_duration_seconds", "Time from the intents of a micro-batch to its outcomes.",
			metrics.DurationBuckets(), "tenant", "channel"),
		FreezeSeconds: s.Histogram("tertulia_freeze_duration_seconds", "Time to evaluate a send's segments and to write its ledger.",
			metrics.DurationBuckets(), "tenant"),
		SegmentSeconds: s.Histogram("tertulia_segment_duration_seconds", "Time to build a segment: to evaluate everybody for it.",
			metrics.DurationBuckets(), "tenant"),
		Leases:         s.Gauge("tertulia_leases", "Chunks of sends that this worker holds.", "tenant", "channel"),
		ChannelTrouble: s.Gauge("tertulia_channel_trouble", "1 while a channel takes nothing from this worker.", "tenant", "channel"),
		Permitted: s.Gauge("tertulia_ledger_permitted",
			"1 while the tenant's ledger is the one that the operator permits to send from; 0 after a failover until it is permitted again, and "+
				"in a quarantine.", "tenant"),
		Returned:     s.Returned(),
		LoopFailures: s.Counter("tertulia_loop_failures_total", "Rounds of a worker's loop that failed and were tried again.", "tenant", "loop"),
		database:     s.Database(store.TroubleReasons),
		measures:     declareMeasures(s),
		segments:     declareSegments(s),
		rules:        declareRules(s),
		service:      declareService(s),
		suggestions:  declareSuggestions(s),
		pace:         declarePace(s),
		monitors:     declareMonitors(s),
		listen:       declareListen(s),
		influence:    declareInfluence(s),
		sentiment:    declareSentiment(s),
	}
}

// Register registers all metrics.
func (m *Metrics) Register(r prometheus.Registerer) error { return r.Register(m.Set) }
