package work

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// auditFor is how long after its end a send is audited yet: a late outcome may settle a row of it.
const auditFor = 48 * time.Hour

// measures are what a worker finds in a tenant's database now and then. Nothing is counted while somebody scrapes.
type measures struct {
	dueMessages, dueAge, ambiguous        *prometheus.GaugeVec
	pending, toEmpty                      *prometheus.GaugeVec
	orphans, staleness, balanced, audited *prometheus.GaugeVec
	schema, clockOffset, credentials      *prometheus.GaugeVec
	certificate                           *prometheus.GaugeVec
	takeovers                             *prometheus.CounterVec
}

func declareMeasures(s *metrics.Set) measures {
	return measures{
		dueMessages: s.Gauge("tertulia_due_messages",
			"Messages that may be handed over now and that no worker holds; those of paused, suspended and deleted sends do not count.", "tenant", "channel"),
		dueAge: s.Gauge("tertulia_due_oldest_age_seconds",
			"For how long the oldest of the messages that are due has been due; 0 when none is. A large send has old ones while it is being worked off.",
			"tenant", "channel"),
		ambiguous: s.Gauge("tertulia_ambiguous_messages",
			"Messages of which nobody can say whether they arrived, of sends that are open or ended within two days.", "tenant", "channel"),
		pending: s.Gauge("tertulia_pending_messages",
			"Messages without an outcome of sends that nothing holds up, also those that wait for their hour or are put off.", "tenant", "channel"),
		toEmpty: s.Gauge("tertulia_time_to_empty_seconds",
			"How long the messages that are pending take at the pace of the last five minutes, all workers together; 0 when none is, infinite while "+
				"none gets an outcome.", "tenant", "channel"),
		orphans: s.Gauge("tertulia_orphaned_intents",
			"Messages that a worker which is gone had begun: eleven minutes after their intent they are settled or become ambiguous.", "tenant"),
		staleness: s.Gauge("tertulia_segment_staleness_seconds",
			"For how long the change that waits longest has not been evaluated, or the segment that waits longest has not been built; 0 when none waits.",
			"tenant"),
		balanced: s.Gauge("tertulia_ledger_balanced",
			"1 while planned = sent + failed + ambiguous + skipped + pending in every send that is open or ended within two days, counted row by row; "+
				"0 when a count and its rows do not agree.", "tenant"),
		audited: s.Gauge("tertulia_ledger_audit_timestamp_seconds", "When this worker last compared the ledger with its counts, in Unix time.", "tenant"),
		schema:  s.Gauge("tertulia_schema_version", "Schema version of the tenant's database.", "tenant"),
		credentials: s.Gauge("tertulia_credentials_timestamp_seconds",
			"When this worker took the credentials in use that it works with now, in Unix time.", "tenant"),
		certificate: s.Gauge("tertulia_relay_certificate_expiry_timestamp_seconds",
			"When the certificate that a channel's relay last showed ends, in Unix time.", "tenant", "channel"),
		takeovers:   s.Counter("tertulia_lease_takeovers_total", "Chunks taken over from a worker whose lease had run out.", "tenant"),
		clockOffset: s.ClockOffset(),
	}
}

// measure reads what a database tells about the tenant's work, by statements whose cost follows what is open.
func (t *tenant) measure(ctx context.Context) error {
	before := t.o.Now()
	clock, err := t.db.Clock(ctx)
	if err != nil {
		return err
	}
	now := t.o.Now()
	found, err := t.db.Measure(ctx, t.o.SegmentInterval)
	if err != nil {
		return err
	}
	m := t.o.Metrics.measures
	m.takeovers.WithLabelValues(t.id) // the series is there before the first takeover
	// The database looked at its clock somewhere between our two looks.
	m.clockOffset.WithLabelValues(t.id).Set(before.Add(now.Sub(before) / 2).Sub(clock).Seconds())
	m.schema.WithLabelValues(t.id).Set(float64(found.SchemaVersion))
	m.orphans.WithLabelValues(t.id).Set(float64(found.OrphanedIntents))
	m.staleness.WithLabelValues(t.id).Set(found.SegmentStaleness.Seconds())
	t.measureSegments(found)
	if err := t.measureSuggestions(ctx); err != nil {
		return err
	}
	if err := t.measureMonitors(ctx); err != nil {
		return err
	}
	if err := t.measureSentiment(ctx); err != nil {
		return err
	}
	if err := t.measureRules(ctx); err != nil {
		return err
	}
	if err := t.measureOutbox(ctx); err != nil {
		return err
	}
	if err := t.measureService(ctx); err != nil {
		return err
	}
	if err := t.measureSources(ctx, clock); err != nil {
		return err
	}
	for _, c := range found.Channels {
		m.dueMessages.WithLabelValues(t.id, c.Name).Set(float64(c.Due))
		m.dueAge.WithLabelValues(t.id, c.Name).Set(c.OldestDue.Seconds())
		m.ambiguous.WithLabelValues(t.id, c.Name).Set(float64(c.Ambiguous))
		m.pending.WithLabelValues(t.id, c.Name).Set(float64(c.Pending))
		if left, known := t.drains.look(c.Name, clock, c.Settled, c.Pending); known {
			m.toEmpty.WithLabelValues(t.id, c.Name).Set(left)
		}
	}
	return nil
}

// measureSegments tells of the queue and of each segment's size. A segment that is not there any more is forgotten.
func (t *tenant) measureSegments(found store.Measures) {
	m := t.o.Metrics.segments
	m.repaired.WithLabelValues(t.id) // the series is there before the first repair
	m.changes.WithLabelValues(t.id).Set(float64(found.SegmentChanges))
	for name := range t.sizes {
		if _, there := found.SegmentMembers[name]; !there {
			m.members.DeleteLabelValues(t.id, name)
		}
	}
	for name, members := range found.SegmentMembers {
		m.members.WithLabelValues(t.id, name).Set(float64(members))
	}
	t.sizes = found.SegmentMembers
}

// audit compares the ledger with its counts. What it finds is a defect of this program or the work of somebody else's hand:
// the log tells where.
func (t *tenant) audit(ctx context.Context) error {
	findings, err := t.db.AuditRecentSends(ctx, auditFor)
	if err != nil {
		return err
	}
	balanced := 1.0
	if len(findings) > 0 {
		balanced = 0
		const most = 20
		logr.FromContextOrDiscard(ctx).Info("the ledger and its counts do not agree", "findings", findings[:min(most, len(findings))], "count", len(findings))
	}
	m := t.o.Metrics.measures
	m.balanced.WithLabelValues(t.id).Set(balanced)
	m.audited.WithLabelValues(t.id).Set(float64(t.o.Now().Unix()))
	return nil
}

// noteCredentials remembers when the credentials came into use that the tenant's loops work with.
func (t *tenant) noteCredentials() {
	t.o.Metrics.measures.credentials.WithLabelValues(t.id).Set(float64(t.o.Now().Unix()))
}

// noteCertificate remembers until when the certificate is good that a relay showed.
func (t *tenant) noteCertificate(channel string, notAfter time.Time) {
	t.o.Metrics.measures.certificate.WithLabelValues(t.id, channel).Set(float64(notAfter.Unix()))
}
