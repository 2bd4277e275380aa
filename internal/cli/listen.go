package cli

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// The components that processes are, in their metrics and spans.
const (
	operatorComponent = "operator"
	workerComponent   = "worker"
	serverComponent   = "server"
)

// listenFlags say where a worker or a server tells how it fares.
type listenFlags struct {
	health, metrics string
}

func (l *listenFlags) register(f *pflag.FlagSet) {
	f.StringVar(&l.health, "health-listen", "", "address that serves /livez (a loop that is stuck is not live) "+
		"and /readyz (with the database), such as :8081 (default: not served)")
	f.StringVar(&l.metrics, "metrics-listen", "", "address that serves /metrics, such as :9090; "+
		"where a tenant directory names metrics-token-sha256, to the bearer of that token (default: not served)")
}

// observed is a process as probes and scrapes see it.
type observed interface {
	Live() error
	Ready() error
	MetricsTokens() ([]string, error)
}

func (l *listenFlags) serve(ctx context.Context, process observed, set *metrics.Set) (*health.Endpoints, error) {
	registry, err := metrics.Registry(set)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return health.Serve(ctx, health.Options{
		Listen: l.health, MetricsListen: l.metrics, Live: process.Live, Ready: process.Ready,
		Gatherer: registry, MetricsTokens: process.MetricsTokens,
	})
}
