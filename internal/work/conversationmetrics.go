package work

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// serviceMetrics are those of conversations and tickets.
type serviceMetrics struct {
	lag                           *prometheus.HistogramVec
	messages, routed              *prometheus.CounterVec
	intake, intakeAge, overdue    *prometheus.GaugeVec
	backlog, unassigned, breached *prometheus.GaugeVec
	opened, measured, took        *prometheus.GaugeVec
	missed                        *prometheus.GaugeVec
}

func declareService(s *metrics.Set) serviceMetrics {
	return serviceMetrics{
		lag: s.Histogram("tertulia_inbound_lag_seconds",
			"Time from when the oldest of the messages that were taken together came in until they were threaded into conversations.",
			metrics.DurationBuckets(), "tenant"),
		messages: s.Counter("tertulia_inbound_messages_total",
			"What came in and may be a message to us: `threaded` into a conversation, or `passed` over because it is there already, "+
				"forgotten, ours or history.",
			"tenant", "outcome"),
		routed:    s.Counter("tertulia_tickets_routed_total", "Tickets that were given to agents by their queues.", "tenant"),
		intake:    s.Gauge("tertulia_inbound_waiting", "Messages that wait to be threaded into conversations; at most 10,000 are counted.", "tenant"),
		intakeAge: s.Gauge("tertulia_inbound_oldest_age_seconds", "For how long the oldest of them has waited; 0 while none does.", "tenant"),
		overdue: s.Gauge("tertulia_tickets_tending_delay_seconds",
			"For how long a ticket has waited to be looked at whose time came: to be missed, escalated or closed; 0 while none does.", "tenant"),
		backlog:    s.Gauge("tertulia_tickets_backlog", "Tickets of a queue that somebody has still to do with: new, open or pending.", "tenant", "queue"),
		unassigned: s.Gauge("tertulia_tickets_unassigned", "Of the backlog, tickets that nobody has.", "tenant", "queue"),
		breached:   s.Gauge("tertulia_tickets_breached", "Of the backlog, tickets that missed a target.", "tenant", "queue"),
		opened:     s.Gauge("tertulia_tickets_opened", "Tickets of a queue that were ever opened.", "tenant", "queue"),
		measured: s.Gauge("tertulia_ticket_clock_measured",
			"How often a queue's clocks measured a `target` (first_response, next_response, resolution), ever: what they measured is divided by it.",
			"tenant", "queue", "target"),
		took: s.Gauge("tertulia_ticket_clock_seconds",
			"What a queue's clocks ever measured for a `target`, added up: in the hours in which the team `works`, and by the `calendar`.",
			"tenant", "queue", "target", "hours"),
		missed: s.Gauge("tertulia_ticket_targets_missed", "How often tickets of a queue ever missed a `target`.", "tenant", "queue", "target"),
	}
}

// measureService reads how conversations fare from their counts.
func (t *tenant) measureService(ctx context.Context) error {
	found, err := t.db.MeasureService(ctx)
	if err != nil {
		return err
	}
	m := t.o.Metrics.service
	m.intake.WithLabelValues(t.id).Set(float64(found.Intake))
	m.intakeAge.WithLabelValues(t.id).Set(found.IntakeAge.Seconds())
	m.overdue.WithLabelValues(t.id).Set(found.Due.Seconds())
	for _, gauge := range []*prometheus.GaugeVec{m.backlog, m.unassigned, m.breached, m.opened, m.measured, m.took, m.missed} {
		gauge.DeletePartialMatch(prometheus.Labels{"tenant": t.id})
	}
	for _, q := range found.Queues {
		m.backlog.WithLabelValues(t.id, q.Name).Set(float64(q.Backlog))
		m.unassigned.WithLabelValues(t.id, q.Name).Set(float64(q.Unassigned))
		m.breached.WithLabelValues(t.id, q.Name).Set(float64(q.Breached))
		m.opened.WithLabelValues(t.id, q.Name).Set(float64(q.Opened))
		for target, clock := range q.Clocks() {
			m.measured.WithLabelValues(t.id, q.Name, target).Set(float64(clock.Count))
			m.took.WithLabelValues(t.id, q.Name, target, "work").Set(clock.Work.Seconds())
			m.took.WithLabelValues(t.id, q.Name, target, "calendar").Set(clock.Calendar.Seconds())
			m.missed.WithLabelValues(t.id, q.Name, target).Set(float64(clock.Missed))
		}
	}
	return nil
}
