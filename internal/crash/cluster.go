package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// cluster is an API server with an operator, and the PostgreSQL on which the operator makes its tenants' databases. Scenarios share
// it one after the other; each has a tenant of its own there.
type cluster struct {
	dir      string
	plane    *controlplane.ControlPlane
	database *database
	client   client.Client
	operator *process
	starts   int
	tenants  int
}

// ensureCluster starts the cluster, unless an earlier scenario did.
func (s *Suite) ensureCluster(ctx context.Context) (*cluster, error) {
	if s.cluster != nil {
		return s.cluster, nil
	}
	dir, err := os.MkdirTemp(s.dir, "cluster-")
	if err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	// PostgreSQL may run as another user, who has to pass.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // as above
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	c := &cluster{dir: dir}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.stop())
	}
	s.cluster = c
	return c, nil
}

func (c *cluster) start(ctx context.Context) error {
	var err error
	if c.database, err = startDatabase(ctx, filepath.Join(c.dir, "data")); err != nil {
		return err
	}
	c.plane, err = controlplane.Start(ctx, controlplane.Options{Dir: filepath.Join(c.dir, "plane"), Volatile: true})
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if c.client, err = client.New(c.plane.Config(), client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client of the API server: %w", err)
	}
	if err := controlplane.InstallCRDs(ctx, c.plane.Config(), crd.Files); err != nil {
		return err
	}
	return c.startOperator(ctx)
}

// databaseVariable is where the operator reads the URL of its cluster from, which no argument of a process should hold.
const databaseVariable = "TERTULIA_DATABASE_URL"

func (c *cluster) startOperator(ctx context.Context) error {
	free, err := addresses(1)
	if err != nil {
		return err
	}
	c.starts++
	c.operator, err = startProcess(ctx, c.dir, fmt.Sprintf("operator-%d", c.starts), roleProgram,
		[]string{databaseVariable + "=" + c.database.server.URL("postgres")},
		"operator", "--kubeconfig", c.plane.Kubeconfig(), "--tenants", c.path("tenants"), "--health-listen", free[0])
	if err != nil {
		return err
	}
	return c.operator.AwaitReady(ctx, startTimeout, supervise.Healthy("http://"+free[0]+"/readyz"))
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// stop ends all of it.
func (c *cluster) stop() error {
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	if c.operator != nil {
		errs = append(errs, c.operator.Kill())
	}
	if c.plane != nil {
		errs = append(errs, c.plane.Stop(ctx))
	}
	return errors.Join(append(errs, c.database.stop())...)
}

// leaveCluster ends the cluster after a scenario that did not hold: it may have left it in any state.
func (s *Suite) leaveCluster() error {
	err := s.cluster.stop()
	s.cluster = nil
	return err
}

// away stops the API server and etcd, does something, and starts them again.
func (c *cluster) away(ctx context.Context, do func() error) error {
	if err := errors.Join(c.plane.StopAPIServer(ctx), c.plane.StopEtcd(ctx)); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	if err := c.plane.StartEtcd(ctx); err != nil {
		return err
	}
	return c.plane.StartAPIServer(ctx)
}
