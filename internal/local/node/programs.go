package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// The names of the programs, of their logs and of their pid files.
const (
	containerd = "containerd"
	kubelet    = "kubelet"
	proxy      = "kube-proxy"
	scheduler  = "kube-scheduler"
)

// readyTimeout bounds the wait for a program that has been started, on two busy cores.
const readyTimeout = time.Minute

func (n *Node) command(name, path string, args ...string) supervise.Command {
	return supervise.Command{
		Name: name, Path: path, Args: args,
		Log: filepath.Join(n.dir.logs(), name+".log"), PIDFile: filepath.Join(n.dir.pids(), name+".pid"),
	}
}

// insideCommand is a command that runs in the node's network namespace.
func (n *Node) insideCommand(name, path string, args ...string) supervise.Command {
	return n.command(name, "nsenter", insideArguments(path, args...)...)
}

// containerdConfig keeps everything in the data directory. Its own words are those of containerd's CRI plugin.
const containerdConfig = `version = 2
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = %[3]q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  # Where this process may not lower its own score, runc fails to give a container a lower one.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[5]q
    conf_dir = %[6]q

[plugins."io.containerd.internal.v1.opt"]
  path = %[7]q
`

// startContainerd runs containerd in the node's network namespace, where it connects pods.
func (n *Node) startContainerd(ctx context.Context) error {
	home := n.dir.path(containerd)
	config := fmt.Sprintf(containerdConfig, filepath.Join(home, "root"), filepath.Join(home, "state"), n.dir.socket(), pauseImage,
		plugins, n.dir.path("cni"), filepath.Join(home, "opt"))
	// A pair of devices for each pod, and routes between them: unlike a bridge's, that traffic passes netfilter's forward chain,
	// where a network policy can stop it.
	network, err := json.Marshal(map[string]any{
		"cniVersion": "0.4.0", "name": "tertulia", "plugins": []any{map[string]any{
			"type": "ptp", "ipMasq": false,
			"ipam": map[string]any{
				"type": "host-local", "subnet": podRange, "dataDir": n.dir.path("cni", "addresses"),
				"routes": []any{map[string]string{"dst": "0.0.0.0/0"}},
			},
		}},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(home, "config.toml")
	if err := writeFiles(map[string][]byte{file: []byte(config), n.dir.path("cni", "10-tertulia.conflist"): network}); err != nil {
		return err
	}
	return n.programs.Run(ctx, n.insideCommand(containerd, containerd, "--config", file), readyTimeout, func(ctx context.Context) error {
		out, err := n.ctr(ctx, "version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// startKubelet runs the kubelet, with which only holders of our certificates may speak.
func (n *Node) startKubelet(ctx context.Context) error {
	identity, err := n.plane.Node(Name)
	if err != nil {
		return err
	}
	home := n.dir.path(kubelet)
	resolver := filepath.Join(home, "resolv.conf")
	config, err := json.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": nodeAddress, "healthzBindAddress": "127.0.0.1",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": false}, "x509": map[string]any{"clientCAFile": identity.CA},
		},
		"authorization": map[string]any{"mode": "AlwaysAllow"}, // for those who have authenticated
		"tlsCertFile":   identity.Cert, "tlsPrivateKeyFile": identity.Key,
		"containerRuntimeEndpoint": "unix://" + n.dir.socket(),
		"cgroupDriver":             "cgroupfs", "cgroupRoot": "/" + cgroup, "failCgroupV1": false, "failSwapOn": false,
		"podLogsDir":      n.dir.path("pods"),
		"resolvConf":      resolver,
		"clusterDomain":   "cluster.local",
		"volumePluginDir": filepath.Join(home, "volume-plugins"),
		// Space is this machine's to watch over; a node of tests throws no pod and no image away.
		"evictionHard": map[string]string{
			"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
		},
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"maxPods": 100,
	})
	if err != nil {
		return err
	}
	file := filepath.Join(home, "config.json")
	// A resolver that refuses at once: a pod that asks for a name learns quickly that nobody answers here.
	if err := writeFiles(map[string][]byte{file: config, resolver: []byte("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")}); err != nil {
		return err
	}
	return n.programs.Run(ctx, n.insideCommand(kubelet, n.binaries.Kubelet,
		"--config="+file, "--kubeconfig="+identity.Kubeconfig, "--root-dir="+home, "--cert-dir="+filepath.Join(home, "pki"),
		"--hostname-override="+Name, "--node-ip="+nodeAddress, "--v=1",
	), readyTimeout, nil)
}

// startProxy runs kube-proxy, which leads Services' addresses to pods. It leaves the machine's table of connections alone.
func (n *Node) startProxy(ctx context.Context) error {
	identity, err := n.plane.Proxy()
	if err != nil {
		return err
	}
	return n.programs.Run(ctx, n.insideCommand(proxy, n.binaries.Proxy,
		"--kubeconfig="+identity.Kubeconfig, "--proxy-mode=iptables", "--hostname-override="+Name, "--bind-address="+nodeAddress,
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
		"--healthz-bind-address=127.0.0.1:10256", "--metrics-bind-address=127.0.0.1:10249", "--v=1",
	), readyTimeout, nil)
}

// startScheduler runs kube-scheduler beside the API server. Its own endpoints would be one more thing that listens.
func (n *Node) startScheduler(ctx context.Context) error {
	identity, err := n.plane.Scheduler()
	if err != nil {
		return err
	}
	return n.programs.Run(ctx, n.command(scheduler, n.binaries.Scheduler,
		"--kubeconfig="+identity.Kubeconfig, "--leader-elect=false", "--secure-port=0", "--v=1",
	), readyTimeout, nil)
}

// writeFiles writes each file, and makes its folder.
func writeFiles(files map[string][]byte) error {
	var errs []error
	for path, content := range files {
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write the node's configuration: %w", err)
	}
	return nil
}
