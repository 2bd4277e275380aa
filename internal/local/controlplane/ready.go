package controlplane

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// pollInterval is how often a server that is starting is asked whether it is ready.
const pollInterval = 50 * time.Millisecond

// await asks until ready answers without an error. A program that ends meanwhile will never be ready, so its log is shown.
func await(ctx context.Context, process *supervise.Process, command supervise.Command, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-process.Done():
			return fmt.Errorf("%s ended while starting (%w); the end of its log:\n%s", command.Name, process.Err(), endOfLog(command.Log))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)", command.Name, ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// apiServerReady asks /readyz and then for the namespace "default", which the server makes by itself shortly after.
func (c *ControlPlane) apiServerReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("make a client of the API server: %w", err)
	}
	if err := client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return err
	}
	_, err = client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	return err
}

func endOfLog(path string) string {
	const keep = 15
	content, err := os.ReadFile(path) //nolint:gosec // our own file
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > keep {
		lines = lines[len(lines)-keep:]
	}
	return strings.Join(lines, "\n")
}

// adminConfig has no rate limit of the client's own: the server's is enough on one machine, and tests are impatient.
func (c *ControlPlane) adminConfig() (*rest.Config, error) {
	config, err := c.clientConfig(pairAdmin)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return config, nil
}

func (c *ControlPlane) clientConfig(pair string) (*rest.Config, error) {
	ca, err := os.ReadFile(c.pki.cert(pairCA))
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	cert, key, err := c.pki.read(pair)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            loopbackURL(c.options.Port),
		TLSClientConfig: rest.TLSClientConfig{CAData: ca, CertData: cert, KeyData: key},
	}, nil
}

// kubeconfig puts a client's configuration into the form that kubectl reads, certificates included, so that the file can be
// copied elsewhere on the machine.
func kubeconfig(config *rest.Config) api.Config {
	const name = "tertulia"
	return api.Config{
		Clusters:       map[string]*api.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{name: {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*api.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
}
