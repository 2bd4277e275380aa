package server

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/server/tracking"
)

// trackMeters count what becomes of a tenant's tracked links and pixels. What nearly every request counts into is found once.
type trackMeters struct {
	all                   *Metrics
	tenant                string
	clicks, opens         prometheus.Counter
	clickTimes, openTimes prometheus.Observer
}

func newTrackMeters(m *Metrics, tenant string) *trackMeters {
	for _, what := range engagement.Whats {
		m.engagements.WithLabelValues(tenant, string(what)) // the series is there before the first event
	}
	for _, reason := range tracking.DropReasons {
		m.dropped.WithLabelValues(tenant, reason)
	}
	return &trackMeters{
		all: m, tenant: tenant,
		clicks: m.requests.WithLabelValues(tenant, clickRoute, http.MethodGet, "302"), clickTimes: m.duration.WithLabelValues(clickRoute),
		opens: m.requests.WithLabelValues(tenant, openRoute, http.MethodGet, "200"), openTimes: m.duration.WithLabelValues(openRoute),
	}
}

func (t *trackMeters) observe(route, method string, status int, took time.Duration) {
	switch {
	case method == http.MethodGet && route == clickRoute && status == http.StatusFound:
		t.clicks.Inc()
		t.clickTimes.Observe(took.Seconds())
	case method == http.MethodGet && route == openRoute && status == http.StatusOK:
		t.opens.Inc()
		t.openTimes.Observe(took.Seconds())
	default:
		t.all.observe(t.tenant, route, method, status, took)
	}
}

// Counted implements tracking.Observer.
func (t *trackMeters) Counted(what engagement.What, n int) {
	t.all.engagements.WithLabelValues(t.tenant, string(what)).Add(float64(n))
}

// Dropped implements tracking.Observer.
func (t *trackMeters) Dropped(reason string, n int) {
	t.all.dropped.WithLabelValues(t.tenant, reason).Add(float64(n))
}

// Lag implements tracking.Observer.
func (t *trackMeters) Lag(lag time.Duration) { t.all.lag.WithLabelValues(t.tenant).Set(lag.Seconds()) }
