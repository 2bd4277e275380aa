package work

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// segmentMetrics are those of following changes.
type segmentMetrics struct {
	followSeconds, lag                     *prometheus.HistogramVec
	evaluations, moves, verified, repaired *prometheus.CounterVec
	changes, members                       *prometheus.GaugeVec
}

func declareSegments(s *metrics.Set) segmentMetrics {
	return segmentMetrics{
		followSeconds: s.Histogram("tertulia_segment_follow_duration_seconds",
			"Time to take changes of contacts out of the queue and to evaluate the segments that depend on them.", metrics.DurationBuckets(), "tenant"),
		lag: s.Histogram("tertulia_segment_lag_seconds",
			"Time from the oldest of the changes that were taken together until memberships show it.", metrics.DurationBuckets(), "tenant"),
		evaluations: s.Counter("tertulia_segment_evaluations_total",
			"Contacts that were evaluated because something changed about them, once for each segment that depends on it.", "tenant"),
		moves: s.Counter("tertulia_segment_moves_total", "Contacts that `entered` or `left` a segment because something changed about them.",
			"tenant", "outcome"),
		verified: s.Counter("tertulia_segment_verified_total",
			"Memberships that were compared with what the segment's definition says.", "tenant"),
		repaired: s.Counter("tertulia_segment_repaired_total",
			"Memberships that were not what the segment's definition says: the trace of a defect, or of a hand that wrote past the triggers.", "tenant"),
		changes: s.Gauge("tertulia_segment_changes", "Changes of contacts that wait to be evaluated.", "tenant"),
		members: s.Gauge("tertulia_segment_members", "Members of a segment.", "tenant", "segment"),
	}
}
