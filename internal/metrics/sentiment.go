package metrics

import "github.com/prometheus/client_golang/prometheus"

// Sentiment is what a process measures of the servers that judge its tenants' posts. Workers and servers have posts judged.
type Sentiment struct {
	requests, fallback *prometheus.CounterVec
	resting            *prometheus.GaugeVec
}

// Sentiment declares the metrics of servers that judge posts.
func (s *Set) Sentiment() *Sentiment {
	return &Sentiment{
		requests: s.Counter("tertulia_sentiment_requests_total",
			"Requests to the server that judges how posts speak: `answered`, `failed`, `resting` (not made, because those before failed), `late` (not made, "+
				"because those before took too long). None of a tenant that names no server.", "tenant", "outcome"),
		fallback: s.Counter("tertulia_sentiment_fallback_posts_total",
			"Posts that the server was to judge, and that words and rules judged in its place.", "tenant"),
		resting: s.Gauge("tertulia_sentiment_server_resting",
			"1 from when the server that judges posts is left alone because it failed, until it answers again: one request tries it every half minute, "+
				"while there are posts.", "tenant"),
	}
}

// Asked counts a request, and how many posts were judged in the server's place.
func (m *Sentiment) Asked(tenant, outcome string, fallback int) {
	m.requests.WithLabelValues(tenant, outcome).Inc()
	m.fallback.WithLabelValues(tenant).Add(float64(fallback))
}

// Resting tells whether the server is left alone.
func (m *Sentiment) Resting(tenant string, resting bool) {
	value := 0.0
	if resting {
		value = 1
	}
	m.resting.WithLabelValues(tenant).Set(value)
}
