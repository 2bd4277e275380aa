package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Metrics of a server. No label names a person: routes are patterns, never paths.
type Metrics struct {
	*metrics.Set
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	rows     *prometheus.CounterVec
	events   *prometheus.CounterVec
	leaves   *prometheus.CounterVec
	imports  *prometheus.GaugeVec
	database *metrics.Database
	// sentiment is of the servers that judge what is posted to sources.
	sentiment *metrics.Sentiment

	returned, mentions   *prometheus.CounterVec
	engagements, dropped *prometheus.CounterVec
	lag                  *prometheus.GaugeVec
}

// NewMetrics makes metrics that are not registered yet.
func NewMetrics() *Metrics {
	s := metrics.NewSet()
	return &Metrics{
		Set: s,
		requests: s.Counter("tertulia_http_requests_total",
			"Requests answered; the tenant is empty where none that is served here was meant.", "tenant", "route", "method", "code"),
		duration: s.Histogram("tertulia_http_request_duration_seconds", "How long requests took to be answered to their end.",
			[]float64{.005, .025, .1, .25, 1, 5, 30, 300}, "route"),
		rows: s.Counter("tertulia_contact_rows_total", "Rows about contacts that came in: `created`, `updated`, `unchanged` or `rejected`.",
			"tenant", "outcome"),
		events:   s.Counter("tertulia_events_total", "Events that came in: `accepted`, `duplicate` or `rejected`.", "tenant", "outcome"),
		leaves:   s.Counter("tertulia_unsubscriptions_total", "Unsubscriptions that were recorded, repeated ones included.", "tenant"),
		imports:  s.Gauge("tertulia_imports", "Imports that run, each on a connection of its own; three of a tenant are the most.", "tenant"),
		database: s.Database(store.TroubleReasons),
		returned: s.Returned(),
		mentions: s.Mentions(), sentiment: s.Sentiment(),
		engagements: s.Counter("tertulia_engagements_total",
			"Opens of mails and clicks on their links that were counted: `opened` and `clicked` by people, `machine-opened` and `machine-clicked` by programs.",
			"tenant", "outcome"),
		dropped: s.Counter("tertulia_engagements_dropped_total",
			"Opens and clicks that were not counted; whoever clicked was sent on all the same: `full` (the buffer is, because the database is away or slow), "+
				"`failed` (the database refused them, or the server ended without it), `excess` (too many of one message at once), `unknown` "+
				"(the database has no such message), `untracked` (forbidden, refused by the contact, or too old).", "tenant", "reason"),
		lag: s.Gauge("tertulia_engagement_lag_seconds",
			"How long ago the oldest open or click came that is not stored yet; they are held for some seconds to tell machines by.", "tenant"),
	}
}

func (m *Metrics) observe(tenant, route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete:
	default:
		method = "other"
	}
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(tenant, route, method, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

func (m *Metrics) countRows(tenant string, created, updated, unchanged, rejected int) {
	for outcome, n := range map[string]int{"created": created, "updated": updated, "unchanged": unchanged, "rejected": rejected} {
		m.rows.WithLabelValues(tenant, outcome).Add(float64(n))
	}
}

func (m *Metrics) countEvents(tenant string, accepted, duplicate, rejected int) {
	for outcome, n := range map[string]int{"accepted": accepted, "duplicate": duplicate, "rejected": rejected} {
		m.events.WithLabelValues(tenant, outcome).Add(float64(n))
	}
}

// recorder notes what was answered, whose it was, and by which route.
type recorder struct {
	http.ResponseWriter
	tenant string
	route  string
	status int
}

// WriteHeader notes the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes that the answer has begun.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func noteRoute(w http.ResponseWriter, tenant, pattern string) {
	r, ok := w.(*recorder)
	if !ok {
		return
	}
	r.tenant = tenant
	if pattern != "" {
		r.route = pattern
	}
}
