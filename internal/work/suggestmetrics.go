package work

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// suggestMetrics are those of looking for contacts who may be one person.
type suggestMetrics struct {
	seconds         *prometheus.HistogramVec
	compared, pairs *prometheus.CounterVec
	waiting, due    *prometheus.GaugeVec
}

func declareSuggestions(s *metrics.Set) suggestMetrics {
	return suggestMetrics{
		seconds: s.Histogram("tertulia_suggestion_look_duration_seconds",
			"Time to compare contacts that are new or changed with those who may be the same person, up to two hundred at once.",
			metrics.DurationBuckets(), "tenant"),
		compared: s.Counter("tertulia_suggestion_contacts_total", "Contacts that were compared with others because they were new or changed.", "tenant"),
		pairs:    s.Counter("tertulia_suggestion_pairs_total", "Pairs of contacts that were compared.", "tenant"),
		waiting:  s.Gauge("tertulia_suggestions", "Pairs of contacts that may be one person and wait for somebody's decision.", "tenant"),
		due:      s.Gauge("tertulia_suggestion_changes", "Notes of contacts that are new or changed and have not been compared with others yet.", "tenant"),
	}
}
