// Package node runs a whole Kubernetes node on this machine, with the control plane that it belongs to: pods run, Services
// lead to them, and what an administrator does to a cluster can be done to this one. It needs root, a Linux with control
// groups and overlay mounts, and programs of the distribution's (see Packages); nothing is downloaded but Go modules.
//
// There is no DNS: pods are given addresses. What runs beside the node, such as a database, is reached by them at Address.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tertulia-crm/tertulia/internal/local/binaries"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/filelock"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// Name is the node's name.
const Name = "local"

// apiServerPort is where the API server listens on Address.
const apiServerPort = 6443

// lockFile keeps a second node off this machine: names of devices, of the namespace and of control groups are fixed.
const lockFile = "/run/tertulia-node.lock"

// Options say how to run a node. Dir is needed.
type Options struct {
	// Dir keeps everything: the control plane's data, containers, logs. A node started on the folder of an earlier one has its
	// objects, and starts their pods once their images have been imported again.
	Dir string
	// EnforceNetworkPolicies makes NetworkPolicies work. Default: they are kept and do nothing.
	EnforceNetworkPolicies bool
	// Log is told when a program ended by itself, which is then started again. Default: nobody.
	Log logr.Logger
	// Progress is told about a build of the programs. Default: nobody.
	Progress io.Writer
}

// Node is a running node with its control plane.
type Node struct {
	dir      dir
	lock     *filelock.Lock
	plane    *controlplane.ControlPlane
	binaries binaries.NodeSet
	programs supervise.Group
	enforcer *enforcer // nil where network policies are not enforced
	enforce  bool
	log      logr.Logger
}

// Start runs a control plane and a node, and returns when the node is ready for pods. What an earlier node left behind, one
// that was killed too, is cleared away first. On an error nothing is left running.
func Start(ctx context.Context, o Options) (*Node, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("start a node: Options.Dir is needed")
	}
	absolute, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	lock, err := acquire()
	if err != nil {
		return nil, err
	}
	n := &Node{dir: dir(absolute), lock: lock, enforce: o.EnforceNetworkPolicies, log: o.Log}
	n.programs.Log = o.Log
	if err := n.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start a node: %w", err), n.Stop(context.WithoutCancel(ctx)))
	}
	return n, nil
}

func (n *Node) start(ctx context.Context, o Options) error {
	if err := n.dir.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(string(n.dir), 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	programs, err := binaries.Ensure(ctx, binaries.Options{Progress: o.Progress})
	if err != nil {
		return err
	}
	if n.binaries, err = binaries.EnsureNode(ctx, binaries.Options{Progress: o.Progress}); err != nil {
		return err
	}
	if err := n.prepare(ctx); err != nil {
		return err
	}
	n.plane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: n.dir.controlPlane(), Logs: n.dir.logs(), Port: apiServerPort, Binaries: programs, Log: o.Log,
		Nodes: &controlplane.NodeOptions{Address: net.ParseIP(hostAddress), Names: map[string]net.IP{Name: net.ParseIP(nodeAddress)}},
	})
	if err != nil {
		return err
	}
	return n.startPrograms(ctx)
}

// Clear ends and removes everything that a node which was killed left on this machine. Start does so too; this is for who wants
// to delete its directory.
func Clear(ctx context.Context) error {
	if err := Check(); err != nil {
		return err
	}
	lock, err := acquire()
	if err != nil {
		return err
	}
	return errors.Join(clearNoted(ctx), lock.Release())
}

// acquire makes this process the only one that has a node on this machine.
func acquire() (*filelock.Lock, error) {
	lock, err := filelock.TryAcquire(lockFile)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, errors.New("a node runs on this machine already: there can be one at a time")
	}
	return lock, err
}

// clearNoted clears the directory that the latest node noted, if it could not do so itself.
func clearNoted(ctx context.Context) error {
	earlier, err := os.ReadFile(noteFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an earlier node: %w", err)
	}
	if err := dir(strings.TrimSpace(string(earlier))).clear(ctx); err != nil {
		return err
	}
	return os.Remove(noteFile)
}

// prepare clears what is left of earlier nodes and makes what a node stands on.
func (n *Node) prepare(ctx context.Context) error {
	if err := clearNoted(ctx); err != nil {
		return err
	}
	if err := n.dir.clear(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(noteFile, []byte(n.dir), 0o600); err != nil {
		return fmt.Errorf("note the data directory: %w", err)
	}
	for _, step := range []func() error{n.dir.noteForeign, n.dir.noteSettings, createCgroups} {
		if err := step(); err != nil {
			return err
		}
	}
	return createNetwork(ctx)
}

func (n *Node) startPrograms(ctx context.Context) error {
	if err := n.startContainerd(ctx); err != nil {
		return err
	}
	archive := n.dir.path(containerd, "pause.tar")
	if err := writePauseImage(ctx, n.dir.path(containerd, "pause"), archive); err != nil {
		return err
	}
	if err := n.ImportImage(ctx, archive); err != nil {
		return err
	}
	return n.join(ctx)
}

// join starts what remembers the cluster's objects, and waits until the node is one of them.
func (n *Node) join(ctx context.Context) error {
	for _, start := range []func(context.Context) error{n.startScheduler, n.startKubelet, n.startProxy, n.awaitReady, n.startEnforcer} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) startEnforcer(ctx context.Context) (err error) {
	if n.enforce {
		n.enforcer, err = startEnforcer(ctx, n.plane.Config(), n.log)
	}
	return err
}

// awaitReady waits until the kubelet that was just started has said that the node is ready: what an earlier one said may
// still stand.
func (n *Node) awaitReady(ctx context.Context) error {
	begun := time.Now().Truncate(time.Second) // as fine as a condition tells time
	client, err := kubernetes.NewForConfig(n.plane.Config())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := "the kubelet has not registered it"
		node, err := client.CoreV1().Nodes().Get(ctx, Name, metav1.GetOptions{})
		if err == nil {
			if missing = notReady(node, begun); missing == "" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the node to be ready: %w: %s (logs are in %s)", ctx.Err(), missing, n.dir.logs())
		case <-tick.C:
		}
	}
}

// notReady says why a node is not ready; "" when it was said to be since a moment.
func notReady(node *corev1.Node, since time.Time) string {
	for _, condition := range node.Status.Conditions {
		switch {
		case condition.Type != corev1.NodeReady:
		case condition.LastHeartbeatTime.Time.Before(since):
			return "the kubelet has said nothing since its start"
		case condition.Status != corev1.ConditionTrue:
			return condition.Message
		default:
			return ""
		}
	}
	return "it has no condition yet"
}

// ControlPlane is the one that the node belongs to. It stops with the node.
func (n *Node) ControlPlane() *controlplane.ControlPlane { return n.plane }

// Rejoin restarts what remembers the cluster's objects and registers the node again, after etcd was wiped: the controller
// manager, scheduler, kubelet and proxy. Containers run on until the kubelet finds that nobody asks for them.
func (n *Node) Rejoin(ctx context.Context) error {
	n.enforcer.stop()
	if err := n.programs.Stop(ctx, kubelet, proxy, scheduler); err != nil {
		return err
	}
	if err := n.plane.RestartControllers(ctx); err != nil {
		return err
	}
	return n.join(ctx)
}

// Stop ends every program and every container, and takes away devices, mounts and control groups. Logs and the control plane's
// data stay in the directory. It may be called again.
func (n *Node) Stop(ctx context.Context) error {
	n.enforcer.stop()
	errs := []error{n.programs.Stop(ctx, scheduler, proxy, kubelet, containerd)}
	if n.plane != nil {
		errs = append(errs, n.plane.Stop(ctx))
	}
	errs = append(errs, n.dir.clear(ctx))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the node: %w", err)
	}
	if err := os.Remove(noteFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("stop the node: %w", err)
	}
	lock := n.lock
	n.lock = nil
	if lock == nil {
		return nil
	}
	return lock.Release()
}
