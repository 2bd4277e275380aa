package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2/textlogger"

	"github.com/tertulia-crm/tertulia/internal/work"
)

// workerFlags are what `tertulia worker` is told.
type workerFlags struct {
	tenants      string
	tenantDirs   []string
	id           string
	healthListen string
	grace        time.Duration
}

// NewWorkerCommand is the process that keeps segments current and sends. It needs tenants' databases and credentials,
// and no connection to Kubernetes. Any number of them run side by side.
func NewWorkerCommand() *cobra.Command {
	var flags workerFlags
	command := &cobra.Command{
		Use:     "worker",
		GroupID: "run",
		Short:   "Keep segments current and send what campaigns declare",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runWorker(ctx, flags)
		},
	}
	f := command.Flags()
	f.StringVar(&flags.tenants, "tenants", "", "directory whose sub-directories are tenants; they are noticed as they come and go")
	f.StringArrayVar(&flags.tenantDirs, "tenant-dir", nil, "directory of one tenant, such as a mounted Secret (repeatable)")
	f.StringVar(&flags.id, "id", "", "name of this worker in leases (default: the host's name)")
	f.StringVar(&flags.healthListen, "health-listen", "", "address that serves /healthz, /readyz and /metrics, such as :9091 (default: not served)")
	f.DurationVar(&flags.grace, "graceful-period", 25*time.Second, "how long hand-overs that have begun may take to end when the process is told to stop")
	return command
}

func runWorker(ctx context.Context, flags workerFlags) error {
	if flags.tenants == "" && len(flags.tenantDirs) == 0 {
		return errors.New("give --tenants or --tenant-dir: without a tenant there is nothing to do")
	}
	ctx = logr.NewContext(ctx, textlogger.NewLogger(textlogger.NewConfig()))
	metrics := work.NewMetrics()
	worker, err := work.New(work.Options{
		TenantsDir: flags.tenants, TenantDirs: flags.tenantDirs, ID: flags.id, Grace: flags.grace, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	stopHealth, err := serveHealth(ctx, flags.healthListen, worker, metrics)
	if err != nil {
		return err
	}
	defer stopHealth()
	return worker.Run(ctx)
}

// serveHealth serves a worker's health and metrics until the function that it returns is called.
func serveHealth(ctx context.Context, address string, worker *work.Worker, metrics *work.Metrics) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	registry := prometheus.NewRegistry()
	for _, register := range []error{
		metrics.Register(registry),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	} {
		if register != nil {
			return nil, fmt.Errorf("register metrics: %w", register)
		}
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for health checks: %w", err)
	}
	server := &http.Server{Handler: healthHandler(worker, registry), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			logr.FromContextOrDiscard(ctx).Error(err, "health checks are no longer served")
		}
	}()
	return func() {
		_ = server.Close()
		<-served
	}, nil
}

// healthHandler answers /healthz while the process runs, and /readyz once it has looked for its tenants. A database that
// is down makes no worker unready: it waits, and a restart would not help.
func healthHandler(worker *work.Worker, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !worker.Ready() {
			http.Error(w, "the worker has not looked for its tenants yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
