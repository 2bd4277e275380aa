package controllers

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Metrics of an operator, beside controller-runtime's own. No label names a person.
type Metrics struct {
	*metrics.Set
	passes   *prometheus.CounterVec
	database *metrics.Database
	clock    *prometheus.GaugeVec
	unknown  *prometheus.GaugeVec
	missing  *prometheus.GaugeVec
	objects  *objectMetrics
}

// NewMetrics makes metrics that are not registered yet.
func NewMetrics() *Metrics {
	s := metrics.NewSet()
	m := &Metrics{
		Set: s,
		passes: s.Counter("tertulia_reconcile_total",
			"Passes over objects by how they ended: `ready`; `waiting` for something else; `stalled` until somebody edits the object; "+
				"`interrupted`, when nothing could be learned; or `failed`, to be tried again.", "kind", "outcome"),
		database: s.Database(store.TroubleReasons),
		clock:    s.ClockOffset(),
		unknown: s.Gauge("tertulia_kind_unknown_fields",
			"Fields and values that the API server takes for a kind and this operator does not know: it is older than the CustomResourceDefinitions.", "kind"),
		missing: s.Gauge("tertulia_kind_missing_fields",
			"Fields and values of a kind that this operator knows and the API server does not take: the CustomResourceDefinitions are older.", "kind"),
		objects: newObjectMetrics(s),
	}
	for _, kind := range kinds() {
		for _, outcome := range reconciling.Outcomes {
			m.passes.WithLabelValues(kind, outcome) // the series is there before the first pass
		}
	}
	return m
}

// watch counts the objects of a manager's cache from now on, while the manager leads.
func (m *Metrics) watch(cached client.Reader, elected <-chan struct{}, now func() time.Time) {
	m.objects.mu.Lock()
	defer m.objects.mu.Unlock()
	m.objects.reader, m.objects.elected, m.objects.now = cached, elected, now
}

// measured is what the registry of tenants tells of their databases.
func (m *Metrics) measured() tenancy.Measured {
	return tenancy.Measured{
		RoundTrip:   m.database.Observer,
		ClockOffset: func(tenant string, seconds float64) { m.clock.WithLabelValues(tenant).Set(seconds) },
		Gone:        m.Forget,
	}
}

// ended counts the passes over objects of a kind.
func (m *Metrics) ended(kind string) func(outcome string) {
	return func(outcome string) { m.passes.WithLabelValues(kind, outcome).Inc() }
}

// compared is told how the API server's schema of a kind differs from this operator's.
func (m *Metrics) compared(kind string, unknown, missing int) {
	m.unknown.WithLabelValues(kind).Set(float64(unknown))
	m.missing.WithLabelValues(kind).Set(float64(missing))
}
