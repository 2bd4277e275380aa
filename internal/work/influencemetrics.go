package work

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// influenceMetrics are those of computing who moves the talk.
type influenceMetrics struct {
	seconds    *prometheus.HistogramVec
	edges, age *prometheus.GaugeVec
}

func declareInfluence(s *metrics.Set) influenceMetrics {
	return influenceMetrics{
		seconds: s.Histogram("tertulia_influence_duration_seconds", "Time to compute who moves the talk about a topic, from its mentions to its scores.",
			metrics.DurationBuckets(), "tenant"),
		edges: s.Gauge("tertulia_influence_edges", "Pairs of people of whom one took up the other, as they were last compared, of all of a monitor's topics.",
			"tenant", "monitor"),
		age: s.Gauge("tertulia_influence_age_seconds",
			"How long ago it was last computed who moves the talk, of the monitor's topic that waits longest, or since the topic was declared: a day at most "+
				"while all is well; 0 for a monitor that is suspended or has only competitors' topics.", "tenant", "monitor"),
	}
}
