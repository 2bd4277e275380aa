package controlplanetest

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

func TestMain(m *testing.M) { Main(m) }

func TestTheSharedControlPlaneKnowsOurKinds(t *testing.T) {
	namespace := Namespace(t)
	client, err := dynamic.NewForConfig(Shared(t).Config())
	if err != nil {
		t.Fatal(err)
	}
	segments := client.Resource(schema.GroupVersionResource{Group: "crm.tertulia.dev", Version: "v1alpha1", Resource: "segments"}).Namespace(namespace)
	if list, err := segments.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Fatalf("list segments: got %v, %v; want none and no error", list, err)
	}
	empty := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "crm.tertulia.dev/v1alpha1", "kind": "Segment", "metadata": map[string]any{"name": "empty"},
	}}
	if _, err := segments.Create(t.Context(), empty, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Fatalf("create a segment without a spec: got %v, want Invalid", err)
	}
}
