package cli

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/server"
)

// NewServerCommand is `tertulia server`: the HTTP API and the pages behind links in mails.
func NewServerCommand() *cobra.Command {
	var listen string
	var observe listenFlags
	var telling telling
	var delay, grace time.Duration
	var roots, dirs, networks []string
	cmd := &cobra.Command{
		Use:     "server",
		GroupID: "run",
		Short:   "Serve the HTTP API and the pages behind links in mails",
		Long: "Serves the tenants whose directories it is given: under /t/<id>, and at the host of a tenant's public URL where that has no path.\n\n" +
			"It holds no Kubernetes credentials.",
		Example: "  tertulia server --listen 127.0.0.1:8080 --tenants /var/lib/tertulia/tenants",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(roots)+len(dirs) == 0 {
				return errors.New("give --tenants or --tenant-dir: without a tenant there is nothing to serve")
			}
			sources, err := parseNetworks(listenNetworksFlag, networks)
			if err != nil {
				return err
			}
			collectEarly()
			ctx, stop, err := telling.begin(cmd.Context(), serverComponent, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer stop()
			var config net.ListenConfig
			listener, err := config.Listen(ctx, "tcp", listen)
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			log := logr.FromContextOrDiscard(ctx)
			log.Info("Serving", "address", listener.Addr().String())
			metrics := server.NewMetrics()
			metrics.BuildInfo(serverComponent, version)
			s := server.New(server.Options{
				Roots: roots, Dirs: dirs, ListenNetworks: sources, Version: version, Log: log, Metrics: metrics, DrainDelay: delay, Grace: grace,
			})
			endpoints, err := observe.serve(ctx, s, metrics.Set)
			if err != nil {
				return errors.Join(err, listener.Close())
			}
			defer endpoints.Close()
			return s.Run(ctx, listener)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:8080", "where to listen for HTTP")
	observe.register(flags)
	telling.register(flags)
	flags.DurationVar(&delay, "drain-delay", 5*time.Second,
		"how long connections are accepted after the process is told to stop and is not ready any more, so that who balances load can notice")
	flags.DurationVar(&grace, "graceful-period", 25*time.Second,
		"how long requests may take to end when the process is told to stop, --drain-delay included; imports end after the rows that they are writing")
	addListenNetworks(flags, &networks, nil)
	flags.StringArrayVar(&roots, "tenants", nil, "a directory of tenant directories; new ones are noticed within two seconds (repeatable)")
	flags.StringArrayVar(&dirs, "tenant-dir", nil, "the directory of one tenant (repeatable)")
	return cmd
}
