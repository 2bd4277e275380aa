package controlplane

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// NodeOptions say how nodes reach the control plane and which of them there are. The certificates are made with the data
// directory, so a directory keeps to the options that it was made with.
type NodeOptions struct {
	// Address is one of this machine's that pods can reach. The API server listens there and nowhere else.
	Address net.IP
	// Names are the nodes' names, by the address that each has.
	Names map[string]net.IP
}

// The pairs of programs that belong to nodes; a node's own is called node-<name>.
const (
	pairKubeletClient = "kubelet-client"
	pairScheduler     = "scheduler"
	pairProxy         = "proxy"
)

func nodePair(name string) string { return "node-" + name }

func (o *Options) address() string {
	if o.Nodes == nil {
		return "127.0.0.1"
	}
	return o.Nodes.Address.String()
}

// addTo adds the certificates that only a control plane with nodes has, and the API server's address there.
func (n *NodeOptions) addTo(pairs map[string]*x509.Certificate) {
	if n == nil {
		return
	}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	server := pairs[pairAPIServer]
	server.IPAddresses = append([]net.IP{n.Address}, server.IPAddresses...)
	pairs[pairKubeletClient] = &x509.Certificate{
		Subject: pkix.Name{CommonName: "kube-apiserver", Organization: []string{"tertulia:kubelet-clients"}}, ExtKeyUsage: client,
	}
	// Kubernetes binds its own roles to these names.
	pairs[pairScheduler] = &x509.Certificate{Subject: pkix.Name{CommonName: "system:kube-scheduler"}, ExtKeyUsage: client}
	pairs[pairProxy] = &x509.Certificate{Subject: pkix.Name{CommonName: "system:kube-proxy"}, ExtKeyUsage: client}
	for name, address := range n.Names {
		// A kubelet is the API server's client and, for logs and exec, its server.
		pairs[nodePair(name)] = &x509.Certificate{
			Subject:     pkix.Name{CommonName: "system:node:" + name, Organization: []string{"system:nodes"}},
			IPAddresses: []net.IP{address}, DNSNames: []string{name},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
	}
}

// nodeArguments are those of the API server that depend on whether there are nodes.
func (c *ControlPlane) nodeArguments() []string {
	if c.options.Nodes == nil {
		return []string{
			"--authorization-mode=RBAC",
			// No Endpoints object for the API server's own Service: a loopback address is not allowed in one, and no pod asks.
			"--endpoint-reconciler-type=none",
		}
	}
	return []string{
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority=" + c.pki.cert(pairCA),
		"--kubelet-client-certificate=" + c.pki.cert(pairKubeletClient),
		"--kubelet-client-key=" + c.pki.key(pairKubeletClient),
	}
}

// Identity is who a program is to the API server: files that it reads.
type Identity struct {
	// Kubeconfig leads to the API server, as the program's user.
	Kubeconfig string
	// CA signed everybody's certificates; Cert and Key are the program's own.
	CA, Cert, Key string
}

// Node is the identity of a node's kubelet. The name must be among those of NodeOptions.
func (c *ControlPlane) Node(name string) (Identity, error) { return c.identity(nodePair(name)) }

// Scheduler is the identity of kube-scheduler.
func (c *ControlPlane) Scheduler() (Identity, error) { return c.identity(pairScheduler) }

// Proxy is the identity of kube-proxy.
func (c *ControlPlane) Proxy() (Identity, error) { return c.identity(pairProxy) }

func (c *ControlPlane) identity(pair string) (Identity, error) {
	if c.options.Nodes == nil {
		return Identity{}, errors.New("this control plane is not for nodes: start it with Options.Nodes")
	}
	config, err := c.clientConfig(pair)
	if err != nil {
		return Identity{}, err
	}
	return c.writeIdentity(pair, config)
}

func (c *ControlPlane) writeIdentity(pair string, config *rest.Config) (Identity, error) {
	id := Identity{Kubeconfig: c.pki.file(pair + ".kubeconfig"), CA: c.pki.cert(pairCA), Cert: c.pki.cert(pair), Key: c.pki.key(pair)}
	if err := clientcmd.WriteToFile(kubeconfig(config), id.Kubeconfig); err != nil {
		return Identity{}, fmt.Errorf("write the kubeconfig of %s: %w", pair, err)
	}
	return id, nil
}
