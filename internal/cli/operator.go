package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// operatorFlags are what `tertulia operator` is told.
type operatorFlags struct {
	kubeconfig     string
	databaseURL    string
	tenants        string
	serverURL      string
	metricsListen  string
	healthListen   string
	leaderElect    bool
	leaderElectIn  string
	gracefulPeriod time.Duration
}

// databaseURLVariable names the environment variable that is read where --database-url is not given, because the
// arguments of a process are no place for a password.
const databaseURLVariable = "TERTULIA_DATABASE_URL"

// NewOperatorCommand is the process that brings manifests into tenants' databases and shows in their status what workers
// do. It sends nothing.
func NewOperatorCommand() *cobra.Command {
	var flags operatorFlags
	command := &cobra.Command{
		Use:     "operator",
		GroupID: "run",
		Short:   "Bring what manifests declare into the tenants' databases",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runOperator(cmd.Context(), flags)
		},
	}
	f := command.Flags()
	f.StringVar(&flags.kubeconfig, "kubeconfig", "", "file that tells where the API server is (default: this pod's cluster, else $KUBECONFIG)")
	f.StringVar(&flags.databaseURL, "database-url", "",
		"PostgreSQL cluster on which tenants without a database of their own get one, as a role that may create databases and roles "+
			"(default: $"+databaseURLVariable+")")
	f.StringVar(&flags.tenants, "tenants", "", "directory in which workers and servers find their tenants' credentials")
	f.StringVar(&flags.serverURL, "server-url", "", "where clients reach the server (default: each tenant's public URL)")
	f.StringVar(&flags.metricsListen, "metrics-listen", "", "address that serves /metrics, such as :9090 (default: not served)")
	f.StringVar(&flags.healthListen, "health-listen", "", "address that serves /healthz and /readyz, such as :9091 (default: not served)")
	f.BoolVar(&flags.leaderElect, "leader-elect", false, "work only while holding a lease, so that several operators can stand by")
	f.StringVar(&flags.leaderElectIn, "leader-election-namespace", "", "namespace of the lease (default: that of this pod)")
	f.DurationVar(&flags.gracefulPeriod, "graceful-period", 20*time.Second, "how long work that has begun may take to end when the process is told to stop")
	_ = command.MarkFlagRequired("tenants")
	return command
}

func runOperator(ctx context.Context, flags operatorFlags) error {
	log := textlogger.NewLogger(textlogger.NewConfig())
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	ctx = logr.NewContext(ctx, log)
	config, err := restConfig(flags.kubeconfig)
	if err != nil {
		return err
	}
	cluster, err := openCluster(ctx, flags.databaseURL)
	if err != nil {
		return err
	}
	if cluster != nil {
		defer cluster.Close()
	}
	if err := controllers.AwaitKinds(ctx, config); err != nil {
		return err
	}
	mgr, err := newManager(config, flags)
	if err != nil {
		return err
	}
	_, err = controllers.Setup(mgr, controllers.Options{
		Cluster: cluster, Credentials: &credentials.Directory{Root: flags.tenants}, ServerURL: strings.TrimSuffix(flags.serverURL, "/"),
	})
	if err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the operator: %w", err)
	}
	return nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err == nil {
			return config, nil
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return nil, fmt.Errorf("read this pod's credentials: %w", err)
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return config, nil
}

func openCluster(ctx context.Context, url string) (*store.Cluster, error) {
	if url == "" {
		url = os.Getenv(databaseURLVariable)
	}
	if url == "" {
		return nil, nil
	}
	return store.OpenCluster(ctx, url)
}

// newManager makes a manager whose cache holds our kinds whole, and of Secrets and ConfigMaps only their metadata:
// controllers watch those as metadata and read the few that they need from the API server.
func newManager(config *rest.Config, flags operatorFlags) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register the kinds: %w", err)
	}
	readOwnWrites := true
	config = rest.CopyConfig(config)
	// Hundreds of objects settle at once when an operator begins; the API server's own fairness bounds it, not we.
	config.QPS, config.Burst = 200, 400
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme: scheme,
		// A status is compared with the one before: reading one that is older than our own last write would compare wrongly.
		Client:                        client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &readOwnWrites}},
		Metrics:                       metricsserver.Options{BindAddress: orOff(flags.metricsListen)},
		HealthProbeBindAddress:        orOff(flags.healthListen),
		LeaderElection:                flags.leaderElect,
		LeaderElectionID:              "operator.crm.tertulia.dev",
		LeaderElectionNamespace:       flags.leaderElectIn,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &flags.gracefulPeriod,
	})
	if err != nil {
		return nil, fmt.Errorf("make the operator: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("cache", cacheReady(mgr))); err != nil {
		return nil, fmt.Errorf("add health checks: %w", err)
	}
	return mgr, nil
}

// orOff is an address, or what controller-runtime takes for none.
func orOff(address string) string {
	if address == "" {
		return "0"
	}
	return address
}
