package controllers_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/controllers/operatortest"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/local/scratch"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// world is what the tests of this package share: an API server, a PostgreSQL and one operator over both. The operator
// acts as a user who has the rights of the generated role and no others.
type world struct {
	config   *rest.Config
	api      client.Client // as an administrator
	server   *postgres.Server
	cluster  *store.Cluster
	tenants  *tenancy.Registry
	metrics  *controllers.Metrics // of the operator that runs
	root     string               // of the tenant directories
	writes   operatortest.Writes
	stop     context.CancelFunc
	finished chan error
	left     float64 // in the queues of operators that ended: their gauges stay as they were
}

var shared struct {
	once  sync.Once
	world *world
	err   error
	dir   *scratch.Dir
}

func TestMain(m *testing.M) {
	if os.Getenv(asOperator) != "" {
		os.Exit(runAsOperator())
	}
	controlplanetest.Main(m, stopWorld)
}

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
	ctrl.SetLogger(operatortest.Logger(logVariable))
	api, err := operatortest.Client(operatortest.Quick(config))
	if err != nil {
		return nil, err
	}
	if shared.dir, err = scratch.Make(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w := &world{config: config, api: api, root: filepath.Join(shared.dir.Path(), "tenants"), finished: make(chan error, 1)}
	// Autovacuum writes by itself; a test counts what we write.
	w.server, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(shared.dir.Path(), "data"), Settings: map[string]string{"autovacuum": "off"}})
	if err != nil {
		return nil, err
	}
	if w.cluster, err = store.OpenCluster(ctx, w.server.URL("postgres")); err != nil {
		return nil, err
	}
	if err := operatortest.Grant(ctx, api, "../config/rbac/role.yaml", ""); err != nil {
		return nil, err
	}
	if err := controllers.AwaitKinds(ctx, config); err != nil {
		return nil, err
	}
	if err := w.startOperator(); err != nil {
		return nil, err
	}
	return w, nil
}

// logVariable names the environment variable with which tests log.
const logVariable = "CONTROLLERS_LOG"

const serverURL = "http://127.0.0.1:8080"

func (w *world) startOperator() error {
	mgr, err := operatortest.Manager(w.writes.Acting(w.config))
	if err != nil {
		return err
	}
	w.metrics = controllers.NewMetrics()
	w.tenants, err = controllers.Setup(mgr, controllers.Options{
		Metrics: w.metrics,
		Cluster: w.cluster, Directory: &credentials.Directory{Root: w.root}, ServerURL: serverURL, PollInterval: 50 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.finished <- mgr.Start(ctx) }()
	return nil
}

// restartOperator does what a rollout does: one operator ends, another begins.
func (w *world) restartOperator() error {
	w.stop()
	if err := <-w.finished; err != nil {
		return err
	}
	var err error
	if _, w.left, err = reconciliations(); err != nil {
		return err
	}
	return w.startOperator()
}
