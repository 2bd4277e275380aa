package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// BuildInfo declares which version a process runs: a gauge that is always 1.
func (s *Set) BuildInfo(component, version string) {
	s.Gauge("tertulia_build_info", "Which version of this program runs; always 1.", "component", "version").WithLabelValues(component, version).Set(1)
}

// Registry makes a registry of sets with what Go's runtime and the operating system know of the process.
func Registry(sets ...*Set) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	all := []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	for _, s := range sets {
		all = append(all, s)
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, nil
}
