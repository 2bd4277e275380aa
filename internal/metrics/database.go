package metrics

import "github.com/prometheus/client_golang/prometheus"

// Database is what a process measures of its tenants' databases.
type Database struct {
	up       *prometheus.GaugeVec
	failures *prometheus.CounterVec
	reasons  []string
}

// Database declares the metrics of tenants' databases. reasons are all words in which a failure may be told.
func (s *Set) Database(reasons []string) *Database {
	return &Database{
		reasons: reasons,
		up: s.Gauge("tertulia_database_up",
			"1 while the tenant's database answers this process, 0 when its last round trip failed; "+
				"a database that is read-only or whose disk is full answers.", "tenant"),
		failures: s.Counter("tertulia_database_failures_total",
			"Round trips to a tenant's database that failed for a reason that is the database's: `unreachable`, `refused` (login or rights), "+
				"`read_only`, `disk_full`, `too_many_connections`, `unavailable` (it starts, stops or recovers), `timeout`.", "tenant", "reason"),
	}
}

// Observer returns what is told how each round trip to a tenant's database ended: "" for one that was answered, else a reason.
func (d *Database) Observer(tenant string) func(reason string) {
	failures := make(map[string]prometheus.Counter, len(d.reasons))
	for _, reason := range d.reasons {
		failures[reason] = d.failures.WithLabelValues(tenant, reason) // the series is there before the first failure
	}
	up := d.up.WithLabelValues(tenant)
	return func(reason string) {
		if c, ok := failures[reason]; ok {
			c.Inc()
		}
		if answers := reason == "" || reason == "read_only" || reason == "disk_full"; answers {
			up.Set(1)
		} else {
			up.Set(0)
		}
	}
}

// ClockOffset declares how far this process's clock is from those of its tenants' databases.
func (s *Set) ClockOffset() *prometheus.GaugeVec {
	return s.Gauge("tertulia_clock_offset_seconds",
		"How far this process's clock is ahead of the clock of the tenant's database; negative when it is behind.", "tenant")
}
