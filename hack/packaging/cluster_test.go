package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/internal/cli"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
)

// runAsProgram asks this test binary to be the tertulia program, so that tests run its processes without building it first.
const runAsProgram = "TERTULIA_TEST_RUN_AS_PROGRAM"

// patience is how long a test waits for what should take seconds.
const patience = 3 * time.Minute

// shared is the cluster of this test process. It knows no kinds of ours but those that a packaging brought, and keeps an
// audit of every request.
var shared struct {
	mu    sync.Mutex
	plane *controlplane.ControlPlane
	dir   string
}

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		os.Exit(cli.Main())
	}
	ctrl.SetLogger(logr.Discard())
	code := m.Run()
	if shared.plane != nil {
		if err := errors.Join(shared.plane.Stop(context.Background()), os.RemoveAll(shared.dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// cluster is a control plane without nodes, as its administrator sees it.
type cluster struct {
	*gomega.WithT
	t     *testing.T
	plane *controlplane.ControlPlane
	api   client.Client
	audit string // file
}

func inCluster(t *testing.T) *cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.plane == nil {
		dir, err := os.MkdirTemp("", "tertulia-packaging-")
		if err != nil {
			t.Fatal(err)
		}
		// Not the test's context: the control plane outlives the test that happens to start it.
		plane, err := controlplane.Start(context.Background(), controlplane.Options{
			Dir: dir, Audit: filepath.Join(dir, "audit.log"), Volatile: true, Progress: os.Stderr,
		})
		if err != nil {
			t.Fatal(err)
		}
		shared.plane, shared.dir = plane, dir
	}
	api, err := client.New(shared.plane.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{WithT: gomega.NewWithT(t), t: t, plane: shared.plane, api: api, audit: filepath.Join(shared.dir, "audit.log")}
}

// apply writes objects as kubectl apply --server-side does: kinds and namespaces first, and no conflict is overruled.
func (c *cluster) apply(manager string, list []*unstructured.Unstructured) {
	c.t.Helper()
	first := func(o *unstructured.Unstructured) int {
		return slices.Index([]string{"Namespace", "CustomResourceDefinition", "ServiceAccount"}, o.GetKind()) & 0xf // -1 is last
	}
	ordered := slices.SortedStableFunc(slices.Values(list), func(a, b *unstructured.Unstructured) int { return first(a) - first(b) })
	for _, o := range ordered {
		write := func() error {
			return c.api.Apply(c.t.Context(), client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner(manager))
		}
		err := write()
		if meta.IsNoMatchError(err) { // a kind that was applied a moment ago
			c.Eventually(write).WithTimeout(patience).Should(gomega.Succeed(), key(o))
			continue
		}
		if err != nil {
			c.t.Fatalf("apply %s as %s: %v", key(o), manager, err)
		}
	}
}

// versions are the resource versions of objects, which each write that changes something raises.
func (c *cluster) versions(list []*unstructured.Unstructured) map[string]string {
	c.t.Helper()
	found := map[string]string{}
	for _, o := range list {
		stored := &unstructured.Unstructured{}
		stored.SetGroupVersionKind(o.GroupVersionKind())
		if err := c.api.Get(c.t.Context(), client.ObjectKeyFromObject(o), stored); err != nil {
			c.t.Fatal(err)
		}
		found[key(o)] = stored.GetResourceVersion()
	}
	return found
}

// unserved are the kinds of a list that the API server does not serve yet: it writes down when it does.
func (c *cluster) unserved(list []*unstructured.Unstructured) (waiting []string) {
	c.t.Helper()
	for _, o := range list {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		stored := &unstructured.Unstructured{}
		stored.SetGroupVersionKind(o.GroupVersionKind())
		if err := c.api.Get(c.t.Context(), client.ObjectKeyFromObject(o), stored); err != nil {
			c.t.Fatal(err)
		}
		conditions, _, _ := unstructured.NestedSlice(stored.Object, "status", "conditions")
		if !slices.ContainsFunc(conditions, func(condition any) bool {
			m := condition.(map[string]any)
			return m["type"] == "Established" && m["status"] == "True"
		}) {
			waiting = append(waiting, key(o))
		}
	}
	return waiting
}

// namespace makes a namespace that refuses whatever is not restricted.
func (c *cluster) namespace(name string) {
	c.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest",
	}}}
	if err := c.api.Create(c.t.Context(), namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		c.t.Fatal(err)
	}
}

// admit asks the API server, without making it, whether it would let in a pod made from a template.
func (c *cluster) admit(namespace string, template corev1.PodTemplateSpec) error {
	c.t.Helper()
	// A ServiceAccount controller makes "default" in a while; others come with the packaging.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: template.Spec.ServiceAccountName}}
	if account.Name == "" {
		account.Name = "default"
	}
	if err := c.api.Create(c.t.Context(), account); err != nil && !apierrors.IsAlreadyExists(err) {
		c.t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.GenerateName = namespace, "tried-"
	return c.api.Create(c.t.Context(), pod, client.DryRunAll)
}
