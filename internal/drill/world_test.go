package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
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
	"github.com/tertulia-crm/tertulia/internal/cli"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/server"
)

// patience is how long a test waits for what must happen; it is reached only when something is broken.
const patience = 60 * time.Second

// world is an operator over an API server, and an HTTP server for all of its tenants.
type world struct {
	config *rest.Config
	api    client.Client
	root   string // of the tenant directories
	http   string // URL of the HTTP server

	stopOperator func() error
	stopServer   func() error
}

var shared struct {
	once  sync.Once
	world *world
	dir   string
	err   error
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(operatortest.Logger("DRILL_LOG"))
	controlplanetest.Main(m, stopWorld)
}

func stopWorld() error {
	var err error
	if shared.world != nil {
		err = shared.world.stop()
	}
	return errors.Join(err, os.RemoveAll(shared.dir))
}

// inWorld is the world that the drills of this package share.
func inWorld(t *testing.T) *world {
	t.Helper()
	plane := controlplanetest.Shared(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "tertulia-drill-"); shared.err == nil {
			shared.world, shared.err = newWorld(plane.Config(), filepath.Join(shared.dir, "tenants"))
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.world
}

func newWorld(config *rest.Config, root string) (*world, error) {
	w := &world{config: operatortest.Quick(config), root: root}
	var err error
	if w.api, err = operatortest.Client(config); err != nil {
		return nil, err
	}
	if err := w.serve(); err != nil {
		return nil, err
	}
	return w, w.startOperator()
}

func (w *world) stop() error { return errors.Join(w.stopOperator(), w.stopServer()) }

func (w *world) serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.http = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.New(server.Options{Roots: []string{w.root}}).Run(ctx, listener) }()
	w.stopServer = func() error {
		cancel()
		return <-ended
	}
	return nil
}

// startOperator starts an operator that looks at marks often, so that drills are short.
func (w *world) startOperator() error {
	limited, done := context.WithTimeout(context.Background(), patience)
	defer done()
	if err := controllers.AwaitKinds(limited, w.config); err != nil {
		return err
	}
	mgr, err := operatortest.Manager(rest.CopyConfig(w.config))
	if err != nil {
		return err
	}
	_, err = controllers.Setup(mgr, controllers.Options{
		Directory: &credentials.Directory{Root: w.root}, ServerURL: w.http, PollInterval: 50 * time.Millisecond, MarkInterval: 100 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	w.stopOperator = func() error {
		cancel()
		return <-ended
	}
	return nil
}

// run runs a verb as a person would.
func run(ctx context.Context, arguments ...string) (stdout string, err error) {
	command := cli.NewCommand()
	var out, errs bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&errs)
	command.SetArgs(arguments)
	if err := command.ExecuteContext(ctx); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), nil
}
