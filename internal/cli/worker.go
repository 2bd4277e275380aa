package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/work"
)

// workerFlags are what `tertulia worker` is told.
type workerFlags struct {
	tenants    string
	tenantDirs []string
	id         string
	listen     listenFlags
	telling    telling
	grace      time.Duration
	lookUp     bool
	networks   []string // that webhooks may be posted to
	sources    []string // networks that sources may lead to
}

// NewWorkerCommand is the process that keeps segments current and sends. It needs tenants' databases and credentials,
// and no connection to Kubernetes. Any number of them run side by side.
func NewWorkerCommand(t Tuning) *cobra.Command {
	var flags workerFlags
	command := &cobra.Command{
		Use:     "worker",
		GroupID: "run",
		Short:   "Keep segments current and send what campaigns declare",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runWorker(cmd.Context(), flags, t, cmd.ErrOrStderr())
		},
	}
	f := command.Flags()
	f.StringVar(&flags.tenants, "tenants", "", "directory whose sub-directories are tenants; they are noticed as they come and go")
	f.StringArrayVar(&flags.tenantDirs, "tenant-dir", nil, "directory of one tenant, such as a mounted Secret (repeatable)")
	f.StringVar(&flags.id, "id", "", "name of this worker in leases (default: the host's name)")
	flags.listen.register(f)
	flags.telling.register(f)
	addWebhookNetworks(f, &flags.networks)
	addListenNetworks(f, &flags.sources, nil)
	f.BoolVar(&flags.lookUp, "look-up-receivers", true,
		"ask the machine's name servers for the mail exchangers of recipients' domains, so that domains of one provider share its pace")
	f.DurationVar(&flags.grace, "graceful-period", 25*time.Second, "how long hand-overs that have begun may take to end when the process is told to stop")
	return command
}

func runWorker(ctx context.Context, flags workerFlags, t Tuning, out io.Writer) error {
	if flags.tenants == "" && len(flags.tenantDirs) == 0 {
		return errors.New("give --tenants or --tenant-dir: without a tenant there is nothing to do")
	}
	networks, err := parseNetworks(webhookNetworksFlag, flags.networks)
	if err != nil {
		return err
	}
	sources, err := parseNetworks(listenNetworksFlag, flags.sources)
	if err != nil {
		return err
	}
	ctx, stop, err := flags.telling.begin(ctx, workerComponent, out)
	if err != nil {
		return err
	}
	defer stop()
	metrics := work.NewMetrics()
	metrics.BuildInfo(workerComponent, version)
	options := work.Options{
		TenantsDir: flags.tenants, TenantDirs: flags.tenantDirs, ID: flags.id, Version: version, Grace: flags.grace, Metrics: metrics,
		NoLookups: !flags.lookUp, WebhookNetworks: networks, ListenNetworks: sources,
	}
	if t.Worker != nil {
		t.Worker(&options)
	}
	worker, err := work.New(options)
	if err != nil {
		return err
	}
	endpoints, err := flags.listen.serve(ctx, worker, metrics.Set)
	if err != nil {
		return err
	}
	defer endpoints.Close()
	return worker.Run(ctx)
}
