package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/tertulia-crm/tertulia/controllers/crmtenant"
	"github.com/tertulia-crm/tertulia/controllers/metricstoken"
)

// workloadFlags say how the operator runs tenants' workers and servers in a cluster.
type workloadFlags struct {
	image           string
	pullPolicy      string
	httpFrom        []string
	metricsFrom     []string
	webhookNetworks []string
	listenNetworks  []string
}

// register adds the flags. Either the operator is told an image, and runs workers and servers in the cluster; or a
// directory, and somebody else runs them on this machine.
func (w *workloadFlags) register(command *cobra.Command) {
	f := command.Flags()
	f.StringVar(&w.image, "image", "", "image that the operator runs as each tenant's workers and servers in the cluster: its own")
	f.StringVar(&w.pullPolicy, "image-pull-policy", "", "when nodes pull that image: Always, IfNotPresent or Never (default: the cluster's)")
	f.StringSliceVar(&w.httpFrom, "http-from-namespaces", nil,
		"namespaces from which tenants' servers are reached, such as that of the ingress, separated by commas (default: from everywhere)")
	f.StringSliceVar(&w.metricsFrom, "metrics-from-namespaces", nil,
		"namespaces from which the metrics of tenants' workers and servers are scraped, separated by commas (default: from nowhere)")
	addWebhookNetworks(f, &w.webhookNetworks)
	addListenNetworks(f, &w.listenNetworks, nil)
	command.MarkFlagsMutuallyExclusive("tenants", "image")
	command.MarkFlagsOneRequired("tenants", "image")
}

// setup is how workloads run, and nil where no image is named. Their logs are as the operator's.
func (w *workloadFlags) setup(ctx context.Context, config *rest.Config, operator operatorFlags) (*crmtenant.Workloads, error) {
	if w.image == "" {
		return nil, nil
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	namespace := operator.leaderElectIn
	if namespace == "" {
		namespace = podNamespace()
	}
	if namespace == "" {
		return nil, fmt.Errorf("the operator keeps the token of its tenants' metrics in its own namespace: name that with $%s", namespaceVariable)
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	metrics, err := metricstoken.New(limited, client, namespace)
	if err != nil {
		return nil, err
	}
	return &crmtenant.Workloads{
		Image: w.image, PullPolicy: corev1.PullPolicy(w.pullPolicy), HTTPFrom: w.httpFrom, MetricsFrom: w.metricsFrom,
		WebhookNetworks: w.webhookNetworks, ListenNetworks: w.listenNetworks,
		LogFormat: operator.telling.format, Environment: passedOn(os.Environ()), Metrics: metrics,
	}, nil
}

// check refuses what the API server would refuse of every tenant.
func (w *workloadFlags) check() error {
	policies := []string{"", string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever)}
	if !slices.Contains(policies, w.pullPolicy) {
		return fmt.Errorf("--image-pull-policy is Always, IfNotPresent or Never, not %q", w.pullPolicy)
	}
	for flag, names := range map[string][]string{"--http-from-namespaces": w.httpFrom, "--metrics-from-namespaces": w.metricsFrom} {
		for _, name := range names {
			if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
				return fmt.Errorf("%s: %q is no name of a namespace: %s", flag, name, strings.Join(problems, ", "))
			}
		}
	}
	for flag, networks := range map[string][]string{webhookNetworksFlag: w.webhookNetworks, listenNetworksFlag: w.listenNetworks} {
		if _, err := parseNetworks(flag, networks); err != nil {
			return err
		}
	}
	if strings.TrimSpace(w.image) != w.image || strings.ContainsAny(w.image, " \t\n") {
		return errors.New("--image is a reference such as registry.example/tertulia:v1.0.0, without spaces")
	}
	return nil
}

// podNamespace is the namespace of this pod's ServiceAccount, and "" outside of a cluster.
func podNamespace() string {
	text, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// passedOn picks from the operator's environment how tenants' processes trace, as OpenTelemetry names it. Headers hold
// credentials, which everybody who may read a Deployment would read, and files are in no other pod: a collector in the
// cluster adds what a vendor wants.
func passedOn(environment []string) map[string]string {
	passed := map[string]string{}
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		traces := strings.HasPrefix(name, "OTEL_EXPORTER_OTLP_") || strings.HasPrefix(name, "OTEL_TRACES_SAMPLER") || name == "OTEL_RESOURCE_ATTRIBUTES"
		private := strings.HasSuffix(name, "_HEADERS") || strings.HasSuffix(name, "_CERTIFICATE") || strings.HasSuffix(name, "_CLIENT_KEY")
		if traces && !private {
			passed[name] = value
		}
	}
	return passed
}
