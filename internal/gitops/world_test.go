// Package gitops holds the tests of what GitOps tools and people do to objects: several write one object, objects are
// pruned, come back and move between owners. They run against a real API server, a real PostgreSQL, the operator and a
// worker, with the tools themselves: kubectl, Helm and Flux's engine.
package gitops

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/controllers/operatortest"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/local/scratch"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// world is what the tests share: an API server, a PostgreSQL, one operator and one worker of all tenants.
type world struct {
	plane   *controlplane.ControlPlane
	api     client.Client // as an administrator
	server  *postgres.Server
	cluster *store.Cluster
	tenants string // directory of the tenant directories
	stop    context.CancelFunc
	running sync.WaitGroup
	ended   chan error
}

// operatorManager is how the API server names the operator as a manager of fields.
const operatorManager = "tertulia-operator"

var shared struct {
	once  sync.Once
	world *world
	err   error
	dir   *scratch.Dir
}

func TestMain(m *testing.M) { controlplanetest.Main(m, stopWorld) }

func stopWorld() error {
	defer func() { _ = shared.dir.Remove() }()
	w := shared.world
	if w == nil {
		return nil
	}
	w.stop()
	w.running.Wait()
	close(w.ended)
	var errs []error
	for err := range w.ended {
		errs = append(errs, err)
	}
	w.cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return errors.Join(append(errs, w.server.Stop(ctx))...)
}

func inWorld(t *testing.T) *world {
	t.Helper()
	plane := controlplanetest.Shared(t)
	shared.once.Do(func() { shared.world, shared.err = startWorld(plane) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.world
}

func startWorld(plane *controlplane.ControlPlane) (*world, error) {
	log := operatortest.Logger("GITOPS_LOG")
	ctrl.SetLogger(log)
	w := &world{plane: plane, ended: make(chan error, 2)}
	var err error
	if shared.dir, err = scratch.Make(); err != nil {
		return nil, err
	}
	w.tenants = filepath.Join(shared.dir.Path(), "tenants")
	if err := os.MkdirAll(w.tenants, 0o700); err != nil {
		return nil, err
	}
	config := operatortest.Quick(plane.Config())
	if w.api, err = operatortest.Client(config); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if w.server, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(shared.dir.Path(), "data")}); err != nil {
		return nil, err
	}
	if w.cluster, err = store.OpenCluster(ctx, w.server.URL("postgres")); err != nil {
		return nil, err
	}
	if err := controllers.AwaitKinds(ctx, config); err != nil {
		return nil, err
	}
	var running context.Context
	running, w.stop = context.WithCancel(logr.NewContext(context.Background(), log))
	return w, errors.Join(w.startOperator(running), w.startWorker(running))
}

func (w *world) startOperator(ctx context.Context) error {
	config := operatortest.Quick(w.plane.Config())
	config.UserAgent = operatorManager
	mgr, err := operatortest.Manager(config)
	if err != nil {
		return err
	}
	_, err = controllers.Setup(mgr, controllers.Options{
		Cluster: w.cluster, Directory: &credentials.Directory{Root: w.tenants}, ServerURL: "http://127.0.0.1:8080", PollInterval: 50 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	w.running.Go(func() { w.ended <- mgr.Start(ctx) })
	return nil
}

func (w *world) startWorker(ctx context.Context) error {
	const soon = 50 * time.Millisecond
	briefly := campaign.Backoff{First: soon, Max: 2 * soon}
	worker, err := work.New(work.Options{
		TenantsDir: w.tenants, TenantPoll: soon, SendPoll: soon, CampaignPoll: soon, SegmentPoll: soon, SweepPoll: soon, StatusEvery: soon,
		Deferral: briefly, ChannelBackoff: briefly, DatabaseBackoff: briefly, PauseBackoff: briefly, Grace: 5 * time.Second,
		ListenPoll: soon, ListenNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		return err
	}
	w.running.Go(func() { w.ended <- worker.Run(ctx) })
	return nil
}

// program builds a Go program once for all tests and returns its path.
var program = sync.OnceValues(func() (string, error) {
	file := filepath.Join(shared.dir.Path(), "flux")
	build := exec.Command("go", "build", "-o", file, ".")
	build.Dir = filepath.Join("..", "..", "hack", "flux")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hack/flux: %w: %s", err, output)
	}
	return file, nil
})
