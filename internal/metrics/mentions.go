package metrics

import "github.com/prometheus/client_golang/prometheus"

// Mentions declares the count of what sources bring. Workers read networks, servers are written to by them.
func (s *Set) Mentions() *prometheus.CounterVec {
	return s.Counter("tertulia_mentions_total",
		"Posts that a source brought, to workers that read it or to servers that its network writes to: `stored` (new), `revised` (a newer edition), "+
			"`seen` (stored before, by another source), `doubled` (changed nothing), `forgotten` (deleted by their authors), `refused` (forgotten "+
			"before, or older than the source keeps), `unwanted` (of another language), `rejected` (could not be read or kept).", "tenant", "source", "outcome")
}
