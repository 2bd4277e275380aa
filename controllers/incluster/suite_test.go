// Package incluster_test runs an operator as it runs in a cluster, over a real API server and a real PostgreSQL. There is no
// node: what controllers and kubelets would write into a status is written by the tests.
package incluster_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/controllers/crmtenant"
	"github.com/tertulia-crm/tertulia/controllers/metricstoken"
	"github.com/tertulia-crm/tertulia/controllers/operatortest"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/local/scratch"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// image is what the operator runs for tenants.
const image = "registry.example/tertulia:v1"

// operatorNamespace is the operator's own namespace, as the generated roles name it.
const operatorNamespace = "tertulia-system"

// world is what the tests of this package share. The operator acts as a user who has the rights of the generated roles and
// no others.
type world struct {
	config   *rest.Config
	api      client.Client // as an administrator
	server   *postgres.Server
	cluster  *store.Cluster
	tenants  *tenancy.Registry
	writes   operatortest.Writes
	stop     context.CancelFunc
	finished chan error
}

var shared struct {
	once  sync.Once
	world *world
	err   error
	dir   *scratch.Dir
}

func TestMain(m *testing.M) { controlplanetest.Main(m, stopWorld) }

func stopWorld() error {
	w := shared.world
	if w == nil {
		return shared.dir.Remove()
	}
	w.stop()
	err := <-w.finished
	w.cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(err, w.server.Stop(ctx), shared.dir.Remove())
}

func inWorld(t *testing.T) *world {
	t.Helper()
	plane := controlplanetest.Shared(t)
	shared.once.Do(func() { shared.world, shared.err = startWorld(plane.Config()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.world
}

func startWorld(config *rest.Config) (*world, error) {
	ctrl.SetLogger(operatortest.Logger("CONTROLLERS_LOG"))
	api, err := operatortest.Client(operatortest.Quick(config))
	if err != nil {
		return nil, err
	}
	if shared.dir, err = scratch.Make(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w := &world{config: config, api: api, finished: make(chan error, 1)}
	// Autovacuum writes by itself; a test counts what we write.
	w.server, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(shared.dir.Path(), "data"), Settings: map[string]string{"autovacuum": "off"}})
	if err != nil {
		return nil, err
	}
	if w.cluster, err = store.OpenCluster(ctx, w.server.URL("postgres")); err != nil {
		return nil, err
	}
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return nil, err
	}
	if err := operatortest.Grant(ctx, api, "../../config/rbac/role.yaml", operatorNamespace); err != nil {
		return nil, err
	}
	if err := controllers.AwaitKinds(ctx, config); err != nil {
		return nil, err
	}
	return w, w.startOperator(crmtenant.Workloads{Image: image})
}

// startOperator runs an operator that runs tenants in this way.
func (w *world) startOperator(workloads crmtenant.Workloads) error {
	config := w.writes.Acting(w.config)
	mgr, err := operatortest.Manager(config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if workloads.Metrics, err = metricstoken.New(ctx, typed.CoreV1(), operatorNamespace); err != nil {
		return err
	}
	w.tenants, err = controllers.Setup(mgr, controllers.Options{Cluster: w.cluster, Workloads: &workloads, PollInterval: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	go func() { w.finished <- mgr.Start(ctx) }()
	return nil
}

// replaceOperator does what an upgrade does: one operator ends, another begins.
func (w *world) replaceOperator(t *testing.T, workloads crmtenant.Workloads) {
	t.Helper()
	w.stop()
	if err := <-w.finished; err != nil {
		t.Fatal(err)
	}
	if err := w.startOperator(workloads); err != nil {
		t.Fatal(err)
	}
}
