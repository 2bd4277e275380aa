// Package controlplane runs a real Kubernetes control plane on this machine: etcd, kube-apiserver and the part of
// kube-controller-manager that lets namespaces finish deleting and owners' dependents go with them. There are no nodes, so
// nothing runs in it: it keeps custom resources, for `tertulia up` and for the tests of controllers. With Options.Nodes it
// is whole, and nodes may join it: see the package node.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tertulia-crm/tertulia/internal/local/binaries"
	"github.com/tertulia-crm/tertulia/internal/local/ports"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// serviceAddress is the first address of ServiceRange, which Kubernetes gives to the API server's own Service.
var serviceAddress = net.IPv4(10, 78, 0, 1)

// The names of the programs, of their logs and of their pid files.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
)

const (
	// ServiceRange is where the addresses of Services come from.
	ServiceRange = "10.78.0.0/24"
	// readyTimeout bounds the wait for a server that has been started. On two busy cores the API server takes 5 to 15 s.
	readyTimeout = 2 * time.Minute
)

// Options say how to run a control plane. Dir is needed.
type Options struct {
	// Dir keeps everything: data, certificates, logs, pid files and the kubeconfig. A control plane started on the folder of an
	// earlier one goes on where that left off. One process at a time may use it.
	Dir string
	// Kubeconfig is where the administrator's kubeconfig is written. Default: Dir/kubeconfig.
	Kubeconfig string
	// Port is the API server's, on 127.0.0.1 (or Nodes.Address). Default: the one used last time in this folder if it is free, else any.
	Port int
	// Logs is the folder of the programs' logs. Default: Dir/logs.
	Logs string
	// PIDs is the folder of the programs' pid files. Default: Dir/run.
	PIDs string
	// Binaries are the programs. Default: binaries.Ensure, which may build them for minutes.
	Binaries binaries.Set
	// Volatile skips etcd's fsync: faster, and right only for tests that do not crash the machine.
	Volatile bool
	// WithoutControllers leaves out kube-controller-manager: namespaces then never finish deleting.
	WithoutControllers bool
	// Nodes makes it a control plane that nodes can join and on which pods run. Default: nil, one that only keeps objects.
	Nodes *NodeOptions
	// Audit is a file in which the API server notes each request: an event of audit.k8s.io a line. Default: none.
	Audit string
	// Log is told when a program ended by itself, which is then started again. Default: nobody.
	Log logr.Logger
	// Progress is told about a build of the programs. Default: nobody.
	Progress io.Writer
}

// ControlPlane is a running control plane. Its methods may be called by several goroutines.
type ControlPlane struct {
	options   Options
	pki       *pki
	config    *rest.Config
	etcdPorts []int // for clients, for peers
	programs  supervise.Group
}

// Start runs a control plane and returns when its API server is ready. On an error nothing is left running.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	if err := o.complete(ctx); err != nil {
		return nil, err
	}
	c := &ControlPlane{options: o}
	c.programs.Log = o.Log
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the control plane: %w", err), c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (o *Options) complete(ctx context.Context) error {
	if o.Dir == "" {
		return errors.New("start the control plane: Options.Dir is needed")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	o.Dir = dir
	for path, name := range map[*string]string{&o.Kubeconfig: "kubeconfig", &o.Logs: "logs", &o.PIDs: "run"} {
		if *path == "" {
			*path = filepath.Join(dir, name)
		}
	}
	if o.Binaries == (binaries.Set{}) {
		o.Binaries, err = binaries.Ensure(ctx, binaries.Options{Progress: o.Progress})
	}
	return err
}

func (c *ControlPlane) start(ctx context.Context) error {
	var err error
	if err = os.MkdirAll(c.options.Dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", c.options.Dir, err)
	}
	if c.etcdPorts, err = ports.Free(2); err != nil {
		return err
	}
	if err = supervise.EndLeftovers(ctx, c.options.PIDs, supervise.DefaultGrace); err != nil {
		return fmt.Errorf("end what an earlier control plane left: %w", err)
	}
	if c.pki, err = ensurePKI(filepath.Join(c.options.Dir, "pki"), c.options.Nodes, time.Now()); err != nil {
		return err
	}
	if c.options.Port == 0 {
		if c.options.Port, err = ports.Remembered(filepath.Join(c.options.Dir, "port")); err != nil {
			return err
		}
	}
	if c.config, err = c.adminConfig(); err != nil {
		return err
	}
	if err = c.StartEtcd(ctx); err != nil {
		return err
	}
	if err = c.StartAPIServer(ctx); err != nil {
		return err
	}
	if err = c.startControllers(ctx); err != nil {
		return err
	}
	return clientcmd.WriteToFile(kubeconfig(c.config), c.options.Kubeconfig)
}

// Config is an administrator's, for this process. The caller owns the copy.
func (c *ControlPlane) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Kubeconfig is the path of the administrator's kubeconfig, which kubectl reads.
func (c *ControlPlane) Kubeconfig() string { return c.options.Kubeconfig }

// URL is the API server's address.
func (c *ControlPlane) URL() string { return c.config.Host }

// Kubectl is the path of a kubectl of the API server's version.
func (c *ControlPlane) Kubectl() string { return c.options.Binaries.Kubectl }

// Stop ends the programs, clients before servers, and returns when they are gone. It may be called again.
func (c *ControlPlane) Stop(ctx context.Context) error {
	return c.programs.Stop(ctx, controllerManager, apiServer, etcd)
}

// StopAPIServer ends the API server alone, for tests of what goes on without it. The data stays in etcd.
func (c *ControlPlane) StopAPIServer(ctx context.Context) error {
	return c.programs.Stop(ctx, apiServer)
}

// StartAPIServer starts the API server that StopAPIServer ended, at the same address, and returns when it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	audit, err := c.auditArguments()
	if err != nil {
		return err
	}
	return c.programs.Run(ctx, c.apiServerCommand(audit...), readyTimeout, c.apiServerReady)
}

// StopEtcd ends etcd alone. An API server that runs meanwhile answers with errors.
func (c *ControlPlane) StopEtcd(ctx context.Context) error {
	return c.programs.Stop(ctx, etcd)
}

// WipeEtcd deletes every object there is: etcd must have been stopped, and its next start begins with nothing. Certificates
// and the key that signs ServiceAccounts' tokens stay.
func (c *ControlPlane) WipeEtcd() error {
	if c.programs.Runs(etcd) {
		return errors.New("wipe etcd: it runs, so stop it first")
	}
	if err := os.RemoveAll(c.etcdData()); err != nil {
		return fmt.Errorf("wipe etcd: %w", err)
	}
	return nil
}

// RestartControllers ends the controller manager and starts it again, as after a control plane was made anew: it remembers
// nothing of what it saw.
func (c *ControlPlane) RestartControllers(ctx context.Context) error {
	if err := c.programs.Stop(ctx, controllerManager); err != nil {
		return err
	}
	return c.startControllers(ctx)
}
