package work

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// ruleMetrics are those of rules.
type ruleMetrics struct {
	seconds, lag                       *prometheus.HistogramVec
	events, entries, effects, postings *prometheus.CounterVec
	waiting, stuck                     *prometheus.GaugeVec
	queued, queueAge                   *prometheus.GaugeVec
	outbox, outboxAge, ambiguous       *prometheus.GaugeVec
}

func declareRules(s *metrics.Set) ruleMetrics {
	return ruleMetrics{
		seconds: s.Histogram("tertulia_rule_step_duration_seconds",
			"Time of a transaction that handles `events`, or takes on entries whose time has come (`wakes`).", metrics.DurationBuckets(), "tenant", "kind"),
		lag: s.Histogram("tertulia_rule_lag_seconds",
			"Time from the oldest of the events that were taken together until what rules do about it is written.", metrics.DurationBuckets(), "tenant"),
		events: s.Counter("tertulia_rule_events_total", "Events that rules listen to and that were handled.", "tenant"),
		entries: s.Counter("tertulia_rule_entries_total",
			"Entries of rules that `entered`, were `woken` or got `stuck`; who was `passed` over because they are in the rule or were, or `cut` because "+
				"the rule triggers itself.", "tenant", "outcome"),
		effects: s.Counter("tertulia_rule_effects_total", "Steps of rules that were carried out.", "tenant"),
		postings: s.Counter("tertulia_outbox_postings_total",
			"What left the outbox: `sent`, `failed` for good, `ambiguous` so that a person looks, to be tried again (`deferred`), or to be looked for "+
				"(`unknown`).",
			"tenant", "channel", "outcome"),
		waiting:   s.Gauge("tertulia_rule_waiting", "Entries of a rule that wait.", "tenant", "rule"),
		stuck:     s.Gauge("tertulia_rule_stuck", "Entries of a rule that cannot go on until somebody retries or ends them.", "tenant", "rule"),
		queued:    s.Gauge("tertulia_rule_events_waiting", "Events that rules listen to and that wait to be handled.", "tenant"),
		queueAge:  s.Gauge("tertulia_rule_events_oldest_age_seconds", "For how long the oldest of them has waited; 0 while none does.", "tenant"),
		outbox:    s.Gauge("tertulia_outbox_waiting", "What waits to be posted, to be tried again, or to be looked for on its network.", "tenant"),
		outboxAge: s.Gauge("tertulia_outbox_oldest_age_seconds", "For how long the oldest of it has waited; 0 while nothing does.", "tenant"),
		ambiguous: s.Gauge("tertulia_outbox_ambiguous", "Answers and publications of which nobody knows whether they left.", "tenant"),
	}
}

// measureOutbox reads how the outbox fares.
func (t *tenant) measureOutbox(ctx context.Context) error {
	found, err := t.rules.MeasureOutbox(ctx)
	if err != nil {
		return err
	}
	m := t.o.Metrics.rules
	m.outbox.WithLabelValues(t.id).Set(float64(found.Waiting))
	m.outboxAge.WithLabelValues(t.id).Set(found.Age.Seconds())
	m.ambiguous.WithLabelValues(t.id).Set(float64(found.Ambiguous))
	return nil
}

// measureRules reads how rules fare from their counts.
func (t *tenant) measureRules(ctx context.Context) error {
	found, err := t.rules.Measure(ctx)
	if err != nil {
		return err
	}
	m := t.o.Metrics.rules
	m.queued.WithLabelValues(t.id).Set(float64(found.Events))
	m.queueAge.WithLabelValues(t.id).Set(found.EventAge.Seconds())
	m.waiting.DeletePartialMatch(prometheus.Labels{"tenant": t.id})
	m.stuck.DeletePartialMatch(prometheus.Labels{"tenant": t.id})
	for _, r := range found.Rules {
		m.waiting.WithLabelValues(t.id, r.Name).Set(float64(r.Waiting))
		m.stuck.WithLabelValues(t.id, r.Name).Set(float64(r.Stuck))
	}
	return nil
}
