package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/controllers"
)

// clusterTimeout bounds one request to the API server.
const clusterTimeout = 15 * time.Second

// clusterOptions are the flags by which verbs find a cluster and a namespace in it, as kubectl does.
type clusterOptions struct {
	kubeconfig, context, namespace string
}

func (o *clusterOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&o.namespace, "namespace", "n", "", "the tenant's namespace (default: that of the kubeconfig's context)")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "the kubeconfig file (default: $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&o.context, "context", "", "the kubeconfig's context (default: the current one)")
}

// errNoKubeconfig says that there is nothing that tells where a cluster is.
var errNoKubeconfig = errors.New("there is no kubeconfig: set KUBECONFIG, or give --kubeconfig")

// load reads where the cluster is and which namespace is meant.
func (o *clusterOptions) load() (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context})
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", errNoKubeconfig
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	namespace := o.namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, "", fmt.Errorf("read the kubeconfig's namespace: %w", err)
		}
	}
	config.Timeout = clusterTimeout
	// A person waits for a few requests; how many may come at once is the API server's to say.
	config.QPS = -1
	return config, namespace, nil
}

// clusterClient speaks to the API server about our kinds and those that Kubernetes has.
func clusterClient(config *rest.Config) (client.Client, error) {
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return c, nil
}
