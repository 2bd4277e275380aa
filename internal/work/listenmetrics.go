package work

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// listenMetrics are those of listening.
type listenMetrics struct {
	mentions, failures *prometheus.CounterVec
	lag                *prometheus.HistogramVec
	sources            *prometheus.GaugeVec
	trouble, behind    *prometheus.GaugeVec
}

func declareListen(s *metrics.Set) listenMetrics {
	return listenMetrics{
		mentions: s.Mentions(),
		failures: s.Counter("tertulia_source_failures_total",
			"Times that a source could not be read to the end, by why: `Throttled`, `Unauthorized`, `Forbidden`, `NotFound`, `Unreachable`, `Malformed`, "+
				"`Misdeclared`.", "tenant", "source", "reason"),
		lag: s.Histogram("tertulia_mention_lag_seconds", "Time from when posts arrived at a worker until they were judged and stored.",
			metrics.DurationBuckets(), "tenant", "source"),
		sources: s.Gauge("tertulia_sources_listening", "Sources that this worker listens to at the moment.", "tenant"),
		trouble: s.Gauge("tertulia_source_trouble", "1 while a source cannot be read, whichever worker tries.", "tenant", "source", "reason"),
		behind: s.Gauge("tertulia_source_behind_seconds",
			"For how long a source that is not suspended has not been read to the end: since everything had come in that its network has. "+
				"It is about its interval at most while all is well, and not told of sources that were never read.", "tenant", "source"),
	}
}

// measureSources tells how the sources in force fare. A source that is suspended is not expected to bring anything.
func (t *tenant) measureSources(ctx context.Context, clock time.Time) error {
	sources, err := t.db.Sources(ctx)
	if err != nil {
		return err
	}
	m := t.o.Metrics.listen
	now := map[string]listen.Reason{}
	for _, s := range sources {
		if s.Condition == store.SourceSuspended {
			continue
		}
		now[s.Name] = s.Reason
		if s.Reason != "" {
			m.trouble.WithLabelValues(t.id, s.Name, string(s.Reason)).Set(1)
		}
		if s.ListenedAt != nil {
			m.behind.WithLabelValues(t.id, s.Name).Set(max(clock.Sub(*s.ListenedAt).Seconds(), 0))
		}
	}
	for name, before := range t.troubles {
		reason, there := now[name]
		if before != reason {
			m.trouble.DeleteLabelValues(t.id, name, string(before))
		}
		if !there {
			m.behind.DeleteLabelValues(t.id, name)
		}
	}
	t.troubles = now
	return nil
}
