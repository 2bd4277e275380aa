package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
		// Kubernetes numbers a Deployment, allots a Service's address and serves a kind in its own time.
		var before map[string]string
		c.Eventually(func() bool {
			last := before
			before = c.versions(tt.objects)
			return cmp.Equal(last, before)
		}).WithTimeout(patience).Should(gomega.BeTrue())
		c.apply(tt.manager, tt.objects)
		if diff := cmp.Diff(before, c.versions(tt.objects)); diff != "" {
			t.Errorf("%s: a second time changes something (-once +twice):\n%s", tt.manager, diff)
		}
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
