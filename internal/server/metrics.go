package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the server's own. Their labels are bounded: routes are patterns, never paths.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	rows     *prometheus.CounterVec
	events   *prometheus.CounterVec
	leaves   prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tertulia_http_requests_total", Help: "Requests answered, by route, method and status code.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tertulia_http_request_duration_seconds", Help: "How long requests took, by route.",
			Buckets: []float64{.005, .025, .1, .25, 1, 5, 30, 300},
		}, []string{"route"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tertulia_contact_rows_total", Help: "Rows about contacts that came in, by outcome: created, updated, unchanged, rejected.",
		}, []string{"outcome"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tertulia_events_total", Help: "Events that came in, by outcome: accepted, duplicate, rejected.",
		}, []string{"outcome"}),
		leaves: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tertulia_unsubscriptions_total", Help: "Unsubscriptions that were recorded, repeated ones included.",
		}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.rows, m.events, m.leaves,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete:
	default:
		method = "other"
	}
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) countRows(created, updated, unchanged, rejected int) {
	m.rows.WithLabelValues("created").Add(float64(created))
	m.rows.WithLabelValues("updated").Add(float64(updated))
	m.rows.WithLabelValues("unchanged").Add(float64(unchanged))
	m.rows.WithLabelValues("rejected").Add(float64(rejected))
}

func (m *metrics) countEvents(accepted, duplicate, rejected int) {
	m.events.WithLabelValues("accepted").Add(float64(accepted))
	m.events.WithLabelValues("duplicate").Add(float64(duplicate))
	m.events.WithLabelValues("rejected").Add(float64(rejected))
}

// recorder notes what was answered, and by which route.
type recorder struct {
	http.ResponseWriter
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

func noteRoute(w http.ResponseWriter, pattern string) {
	if r, ok := w.(*recorder); ok && pattern != "" {
		r.route = pattern
	}
}
