package work

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// monitorMetrics are those of watching what is said.
type monitorMetrics struct {
	seconds                 *prometheus.HistogramVec
	steps, changes, matched *prometheus.CounterVec
	open, lag, preparing    *prometheus.GaugeVec
}

func declareMonitors(s *metrics.Set) monitorMetrics {
	return monitorMetrics{
		seconds: s.Histogram("tertulia_monitor_evaluation_duration_seconds", "Time to evaluate the steps of a topic that have ended since the last time.",
			metrics.DurationBuckets(), "tenant"),
		steps: s.Counter("tertulia_monitor_steps_total", "Steps of five minutes that this worker evaluated of a monitor's topics.", "tenant", "monitor"),
		changes: s.Counter("tertulia_incident_changes_total", "What this worker told of incidents: `Opened`, `Updated`, `Closed`.",
			"tenant", "monitor", "kind"),
		matched: s.Counter("tertulia_monitor_matched_total", "Stored mentions that this worker compared with topics that are new or changed.", "tenant"),
		open:    s.Gauge("tertulia_incidents_open", "Bursts of negative mentions that are going on.", "tenant", "monitor"),
		lag: s.Gauge("tertulia_monitor_lag_seconds",
			"For how long the oldest step that is not evaluated yet has been over, of the monitor's topics that raise alarms: some minutes while mentions "+
				"are waited for that come late; 0 for a monitor that is suspended or has none.", "tenant", "monitor"),
		preparing: s.Gauge("tertulia_monitor_preparing_topics",
			"Topics that are new or changed and with which what is stored is being compared.", "tenant", "monitor"),
	}
}
