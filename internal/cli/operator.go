package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// operatorFlags are what `tertulia operator` is told.
type operatorFlags struct {
	kubeconfig      string
	databaseURL     string
	tenants         string
	serverURL       string
	watchNamespaces []string
	workloads       workloadFlags
	metrics         metricsFlags
	telling         telling
	healthListen    string
	leaderElect     bool
	leaderElectIn   string
	gracefulPeriod  time.Duration
}

// databaseURLVariable names the environment variable that is read where --database-url is not given, because the
// arguments of a process are no place for a password.
const databaseURLVariable = "TERTULIA_DATABASE_URL"

// namespaceVariable names the environment variable in which a pod is told its own namespace.
const namespaceVariable = "POD_NAMESPACE"

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
			return runOperator(cmd.Context(), flags, cmd.ErrOrStderr())
		},
	}
	f := command.Flags()
	f.StringVar(&flags.kubeconfig, "kubeconfig", "", "file that tells where the API server is (default: this pod's cluster, else $KUBECONFIG)")
	f.StringVar(&flags.databaseURL, "database-url", "",
		"PostgreSQL cluster on which tenants without a database of their own get one, as a role that may create databases and roles "+
			"(default: $"+databaseURLVariable+")")
	f.StringVar(&flags.tenants, "tenants", "", "directory in which workers and servers find their tenants' credentials")
	f.StringVar(&flags.serverURL, "server-url", "", "where clients reach the server (default: each tenant's public URL)")
	f.StringSliceVar(&flags.watchNamespaces, "watch-namespaces", nil, "namespaces whose tenants are looked after, separated by commas (default: all)")
	flags.metrics.register(f)
	flags.telling.register(f)
	f.StringVar(&flags.healthListen, "health-listen", "", "address that serves /livez and /readyz, such as :8081 (default: not served)")
	f.BoolVar(&flags.leaderElect, "leader-elect", false, "work only while holding a lease, so that several operators can stand by")
	f.StringVar(&flags.leaderElectIn, "leader-election-namespace", os.Getenv(namespaceVariable),
		"namespace of the lease (default: $"+namespaceVariable+", else that of this pod's ServiceAccount)")
	f.DurationVar(&flags.gracefulPeriod, "graceful-period", 20*time.Second, "how long work that has begun may take to end when the process is told to stop")
	flags.workloads.register(command)
	return command
}

func runOperator(ctx context.Context, flags operatorFlags, out io.Writer) error {
	ctx, stop, err := flags.telling.begin(ctx, operatorComponent, out)
	if err != nil {
		return err
	}
	defer stop()
	collectEarly()
	ctrl.SetLogger(logr.FromContextOrDiscard(ctx))
	klog.SetLogger(logr.FromContextOrDiscard(ctx))
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
	namespaces, err := findNamespaces(ctx, config, flags.watchNamespaces)
	if err != nil {
		return err
	}
	mgr, err := newManager(config, flags, namespaces)
	if err != nil {
		return err
	}
	options := controllers.Options{Cluster: cluster, ServerURL: strings.TrimSuffix(flags.serverURL, "/")}
	if options.Workloads, err = flags.workloads.setup(ctx, config, flags); err != nil {
		return err
	}
	if options.Workloads == nil {
		options.Directory = &credentials.Directory{Root: flags.tenants}
	}
	options.Metrics = controllers.NewMetrics()
	options.Metrics.BuildInfo(operatorComponent, version)
	if err := ctrlmetrics.Registry.Register(options.Metrics.Set); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	if _, err = controllers.Setup(mgr, options); err != nil {
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
