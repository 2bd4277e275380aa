package controlplane

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"
)

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
		Host:            "https://" + net.JoinHostPort(c.options.address(), strconv.Itoa(c.options.Port)),
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
