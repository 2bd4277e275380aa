// Package controlplanetest gives tests a real Kubernetes API server that knows our kinds: one for all tests of a package,
// with a namespace for each.
package controlplanetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
)

// shared is the test process's control plane; nothing runs until a test asks for it.
var shared struct {
	mu    sync.Mutex
	plane *controlplane.ControlPlane
	dir   string
}

// Main runs a package's tests, and after them what else has to end, in this order, and the control plane:
//
//	func TestMain(m *testing.M) { controlplanetest.Main(m) }
func Main(m *testing.M, ends ...func() error) {
	code := m.Run()
	var errs []error
	for _, end := range append(ends, stop) {
		errs = append(errs, end())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// stop ends the shared control plane and removes its data, if a test started one.
func stop() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.plane == nil {
		return nil
	}
	err := shared.plane.Stop(context.Background())
	shared.plane = nil
	if err != nil {
		return fmt.Errorf("stop the shared control plane: %w", err)
	}
	return os.RemoveAll(shared.dir)
}

// Shared is the control plane of this test process, started by the first test that asks and with our kinds installed.
// A test that stops its API server takes one of its own instead: see controlplane.Start.
func Shared(t testing.TB) *controlplane.ControlPlane {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.plane != nil {
		return shared.plane
	}
	dir, err := os.MkdirTemp("", "tertulia-controlplane-")
	if err != nil {
		t.Fatal(err)
	}
	// Not the test's context: the control plane outlives the test that happens to start it.
	ctx := context.Background()
	plane, err := controlplane.Start(ctx, controlplane.Options{Dir: dir, Volatile: true, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	shared.plane, shared.dir = plane, dir
	if err := controlplane.InstallCRDs(ctx, plane.Config(), crd.Files); err != nil {
		t.Fatal(err)
	}
	return plane
}

// Namespace makes a namespace in the shared control plane for one test; its deletion begins when the test ends.
func Namespace(t testing.TB) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(Shared(t).Config())
	if err != nil {
		t.Fatal(err)
	}
	namespaces := client.CoreV1().Namespaces()
	made, err := namespaces.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespaces.Delete(context.Background(), made.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	return made.Name
}
