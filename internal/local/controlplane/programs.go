package controlplane

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// controllers are those of kube-controller-manager that matter where no pod ever runs.
var controllers = []string{
	"namespace-controller",
	"garbage-collector-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller",
	"resourcequota-controller",
	"validatingadmissionpolicy-status-controller",
}

func (c *ControlPlane) command(name, path string, args ...string) supervise.Command {
	return supervise.Command{
		Name: name, Path: path, Args: args,
		Log:     filepath.Join(c.options.Logs, name+".log"),
		PIDFile: filepath.Join(c.options.PIDs, name+".pid"),
	}
}

func (c *ControlPlane) etcdData() string { return filepath.Join(c.options.Dir, "etcd") }

// StartEtcd runs etcd on two ports of the loopback interface, to which only holders of our certificates may speak: other users
// of the machine can reach them too. It starts again what StopEtcd ended, at the same ports.
func (c *ControlPlane) StartEtcd(ctx context.Context) error {
	client, peer := loopbackURL(c.etcdPorts[0]), loopbackURL(c.etcdPorts[1])
	args := []string{
		"--name=default",
		"--data-dir=" + c.etcdData(),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--cert-file=" + c.pki.cert(pairEtcd), "--key-file=" + c.pki.key(pairEtcd),
		"--client-cert-auth", "--trusted-ca-file=" + c.pki.cert(pairCA),
		"--peer-cert-file=" + c.pki.cert(pairEtcd), "--peer-key-file=" + c.pki.key(pairEtcd),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + c.pki.cert(pairCA),
		"--log-level=warn",
	}
	if c.options.Volatile {
		args = append(args, "--unsafe-no-fsync")
	}
	return c.programs.Run(ctx, c.command(etcd, c.options.Binaries.Etcd, args...), readyTimeout, c.etcdListens)
}

func (c *ControlPlane) apiServerCommand(more ...string) supervise.Command {
	address := c.options.address()
	args := []string{
		"--bind-address=" + address, "--advertise-address=" + address,
		"--secure-port=" + strconv.Itoa(c.options.Port),
		"--service-cluster-ip-range=" + ServiceRange,
		"--etcd-servers=" + loopbackURL(c.etcdPorts[0]),
		"--etcd-cafile=" + c.pki.cert(pairCA),
		"--etcd-certfile=" + c.pki.cert(pairEtcdClient), "--etcd-keyfile=" + c.pki.key(pairEtcdClient),
		"--tls-cert-file=" + c.pki.cert(pairAPIServer), "--tls-private-key-file=" + c.pki.key(pairAPIServer),
		"--client-ca-file=" + c.pki.cert(pairCA),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.key(keyServiceAccounts),
		"--service-account-signing-key-file=" + c.pki.key(keyServiceAccounts),
		"--profiling=false",
		"--v=1",
	}
	return c.command(apiServer, c.options.Binaries.APIServer, slices.Concat(args, c.nodeArguments(), more)...)
}

func (c *ControlPlane) startControllers(ctx context.Context) error {
	if c.options.WithoutControllers {
		return nil
	}
	config, err := c.clientConfig(pairControllerManager)
	if err != nil {
		return err
	}
	file := filepath.Join(c.options.Dir, "controller-manager.kubeconfig")
	if err := clientcmd.WriteToFile(kubeconfig(config), file); err != nil {
		return fmt.Errorf("write the controller manager's kubeconfig: %w", err)
	}
	enabled := strings.Join(controllers, ",")
	if c.options.Nodes != nil {
		enabled = "*" // what Kubernetes runs by default
	}
	return c.programs.Run(ctx, c.command(controllerManager, c.options.Binaries.ControllerManager,
		"--kubeconfig="+file,
		"--controllers="+enabled,
		// Each controller acts as its own ServiceAccount, with the role that Kubernetes ships for it.
		"--use-service-account-credentials",
		"--leader-elect=false",
		"--secure-port=0", // its own endpoints would be one more thing that listens
		"--root-ca-file="+c.pki.cert(pairCA),
		"--service-account-private-key-file="+c.pki.key(keyServiceAccounts),
		"--kube-api-qps=200", "--kube-api-burst=400",
		"--v=1",
	), readyTimeout, nil)
}

func loopbackURL(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }

// etcdListens is etcd's readiness: it opens its client port once it has a leader.
func (c *ControlPlane) etcdListens(ctx context.Context) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.etcdPorts[0]))
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
