package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2/textlogger"

	"github.com/tertulia-crm/tertulia/internal/work"
)

// workerFlags are what `tertulia worker` is told.
type workerFlags struct {
	tenants    string
	tenantDirs []string
	id         string
	listen     listenFlags
	grace      time.Duration
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
			return runWorker(cmd.Context(), flags)
		},
	}
	f := command.Flags()
	f.StringVar(&flags.tenants, "tenants", "", "directory whose sub-directories are tenants; they are noticed as they come and go")
	f.StringArrayVar(&flags.tenantDirs, "tenant-dir", nil, "directory of one tenant, such as a mounted Secret (repeatable)")
	f.StringVar(&flags.id, "id", "", "name of this worker in leases (default: the host's name)")
	flags.listen.register(f)
	f.DurationVar(&flags.grace, "graceful-period", 25*time.Second, "how long hand-overs that have begun may take to end when the process is told to stop")
	return command
}

func runWorker(ctx context.Context, flags workerFlags) error {
	if flags.tenants == "" && len(flags.tenantDirs) == 0 {
		return errors.New("give --tenants or --tenant-dir: without a tenant there is nothing to do")
	}
	ctx = logr.NewContext(ctx, textlogger.NewLogger(textlogger.NewConfig()))
	metrics := work.NewMetrics()
	registry := newRegistry()
	if err := metrics.Register(registry); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	worker, err := work.New(work.Options{
		TenantsDir: flags.tenants, TenantDirs: flags.tenantDirs, ID: flags.id, Grace: flags.grace, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	endpoints, err := flags.listen.serve(ctx, worker, registry)
	if err != nil {
		return err
	}
	defer endpoints.Close()
	return worker.Run(ctx)
}
