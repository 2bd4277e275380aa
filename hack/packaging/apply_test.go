package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestServerSideApply applies both packagings to the same API server, each twice: the second time changes nothing, and the
// one has no quarrel with the other about any field.
func TestServerSideApply(t *testing.T) {
	c := inCluster(t)
	ofBases, ofChart := kustomizeBuild(t, root+"/config/default"), helmTemplate(t)
	for _, tt := range []struct {
		manager string
		objects []*unstructured.Unstructured
	}{{"kustomize", ofBases}, {"helm", ofChart}} {
		c.apply(tt.manager, tt.objects)
		// Kubernetes serves a kind in its own time.
		c.Eventually(func() []string { return c.unserved(tt.objects) }).WithTimeout(patience).Should(gomega.BeEmpty())
		var before map[string]string
		c.Eventually(func() bool {
			last := before
			before = c.versions(tt.objects)
			return cmp.Equal(last, before)
		}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(gomega.BeTrue())
		c.apply(tt.manager, tt.objects)
		if diff := cmp.Diff(before, c.versions(tt.objects)); diff != "" {
			t.Errorf("%s: a second time changes something (-once +twice):\n%s", tt.manager, diff)
		}
	}
}

// TestEveryFieldIsOne applies everything that can be turned on to an API server that knows the Prometheus operator's kinds and
// refuses a field that a kind has not.
func TestEveryFieldIsOne(t *testing.T) {
	c := inCluster(t)
	c.namespace(systemNamespace)
	files, err := filepath.Glob("testdata/kinds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no kinds of the Prometheus operator: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c.apply("prometheus", objects(t, string(text)))
	}
	// The roles of people are another release's, as are the kinds.
	rendered := helmTemplate(t, "--values", "testdata/values/everything.yaml", "--set", "rbac.people=false,crds.install=false")
	c.apply("helm", rendered)
	monitors := 0
	for _, o := range rendered {
		if o.GroupVersionKind().Group != "monitoring.coreos.com" {
			continue
		}
		monitors++
		o.Object["spec"].(map[string]any)["mistyped"] = true
		err := c.api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("helm"))
		if err == nil || !strings.Contains(err.Error(), "mistyped") {
			t.Errorf("%s: a field that it has not is not refused (%v): this test tests nothing", key(o), err)
		}
	}
	if monitors != 3 {
		t.Errorf("%d monitors and rules were applied, want 3", monitors)
	}
}

func TestOperatorsPodsAreRestricted(t *testing.T) {
	c := inCluster(t)
	c.namespace("restricted")
	for name, args := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			for _, o := range helmTemplate(t, args...) {
				if o.GetKind() != "Deployment" {
					continue
				}
				template := typed[appsv1.Deployment](t, o).Spec.Template
				if err := c.admit("restricted", template); err != nil {
					t.Errorf("restricted Pod Security refuses the operator: %v", err)
				}
				template.Spec.SecurityContext.SeccompProfile = nil
				if err := c.admit("restricted", template); !apierrors.IsForbidden(err) {
					t.Errorf("a pod without seccomp is not refused (%v): this test tests nothing", err)
				}
			}
		})
	}
}
