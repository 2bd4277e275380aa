package cli

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/pflag"

	"github.com/tertulia-crm/tertulia/internal/health"
)

// listenFlags say where a worker or a server tells how it fares.
type listenFlags struct {
	health, metrics string
}

func (l *listenFlags) register(f *pflag.FlagSet) {
	f.StringVar(&l.health, "health-listen", "", "address that serves /livez (a loop that is stuck is not live) and /readyz (with the database), such as :8081 (default: not served)")
	f.StringVar(&l.metrics, "metrics-listen", "", "address that serves /metrics, such as :9090; "+
		"where a tenant directory names metrics-token-sha256, to the bearer of that token (default: not served)")
}

// observed is a process as probes and scrapes see it.
type observed interface {
	Live() error
	Ready() error
	MetricsTokens() ([]string, error)
}

func (l *listenFlags) serve(ctx context.Context, process observed, gatherer prometheus.Gatherer) (*health.Endpoints, error) {
	return health.Serve(ctx, health.Options{
		Listen: l.health, MetricsListen: l.metrics, Live: process.Live, Ready: process.Ready,
		Gatherer: gatherer, MetricsTokens: process.MetricsTokens,
	})
}

// newRegistry makes a registry with what Go's runtime and the operating system know of this process.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
