// Package incluster_test runs an operator as it runs in a cluster, over a real API server and a real PostgreSQL. There is no
// node: what controllers and kubelets would write into a status is written by the tests.
package incluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/controllers/crmtenant"
	"github.com/tertulia-crm/tertulia/controllers/metricstoken"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
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
	scheme   *runtime.Scheme
	api      client.Client // as an administrator
	server   *postgres.Server
	cluster  *store.Cluster
	tenants  *tenancy.Registry
	writes   sync.Map // by namespace, an *atomic.Int64
	stop     context.CancelFunc
	finished chan error
}

var shared struct {
	once  sync.Once
	world *world
	err   error
	dir   string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(stopWorld(), controlplanetest.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func stopWorld() error {
	w := shared.world
	if w == nil {
		return os.RemoveAll(shared.dir)
	}
	w.stop()
	err := <-w.finished
	w.cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(err, w.server.Stop(ctx), os.RemoveAll(shared.dir))
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
	ctrl.SetLogger(testLogger())
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 500, 1000
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	if shared.dir, err = os.MkdirTemp("", "tertulia-incluster-"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w := &world{config: config, scheme: scheme, api: api, finished: make(chan error, 1)}
	// Autovacuum writes by itself; a test counts what we write.
	w.server, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(shared.dir, "data"), Settings: map[string]string{"autovacuum": "off"}})
	if err != nil {
		return nil, err
	}
	if w.cluster, err = store.OpenCluster(ctx, w.server.URL("postgres")); err != nil {
		return nil, err
	}
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return nil, err
	}
	if err := grantOperator(ctx, api); err != nil {
		return nil, err
	}
	if err := controllers.AwaitKinds(ctx, config); err != nil {
		return nil, err
	}
	return w, w.startOperator(crmtenant.Workloads{Image: image})
}

const operatorUser = "operator-under-test"

// grantOperator binds the generated roles to the user as whom the operator acts.
func grantOperator(ctx context.Context, api client.Client) error {
	text, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		return err
	}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: operatorUser}}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return err
		}
		var role, binding client.Object
		switch kind.Kind {
		case "ClusterRole":
			role = &rbacv1.ClusterRole{}
			binding = &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: operatorUser}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "tertulia-operator"},
			}
		case "Role":
			role = &rbacv1.Role{}
			binding = &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: operatorUser}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "tertulia-operator"},
			}
		default:
			continue
		}
		if err := yaml.Unmarshal(document, role); err != nil {
			return err
		}
		if err := errors.Join(api.Create(ctx, role), api.Create(ctx, binding)); err != nil {
			return err
		}
	}
	return nil
}

// startOperator runs an operator that runs tenants in this way.
func (w *world) startOperator(workloads crmtenant.Workloads) error {
	config := rest.CopyConfig(w.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: operatorUser}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return countingTransport{next, w} })
	yes := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:     w.scheme,
		Cache:      cache.Options{ByObject: controllers.Cached()},
		Client:     client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &yes}, // an operator that begins again has the same controllers
	})
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

// countingTransport counts the requests that change something in a namespace.
type countingTransport struct {
	next  http.RoundTripper
	world *world
}

// RoundTrip implements http.RoundTripper.
func (c countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		c.world.written(namespaceOf(r.URL.Path)).Add(1)
	}
	return c.next.RoundTrip(r)
}

// written counts the operator's writes in a namespace.
func (w *world) written(namespace string) *atomic.Int64 {
	counter, _ := w.writes.LoadOrStore(namespace, &atomic.Int64{})
	return counter.(*atomic.Int64)
}

// namespaceOf is the namespace in a path such as /apis/crm.tertulia.dev/v1alpha1/namespaces/velo/segments/all/status.
func namespaceOf(path string) string {
	_, rest, _ := strings.Cut(path, "/namespaces/")
	namespace, _, _ := strings.Cut(rest, "/")
	return namespace
}

// testLogger is silent unless CONTROLLERS_LOG is set.
func testLogger() logr.Logger {
	if os.Getenv("CONTROLLERS_LOG") == "" {
		return logr.Discard()
	}
	return textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(1)))
}
