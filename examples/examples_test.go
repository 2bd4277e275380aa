// Package examples_test keeps the examples true: the API server takes them, and what they say compiles.
package examples_test

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// folders are the kustomizations of the example, in the order in which they are applied.
var folders = []string{"velo/crm", "velo/campaigns/winter-2026", "velo/campaigns/club-rides-2026", "velo/campaigns/tour-2027", "velo/listening", "velo/rules", "velo/service"}

// TestTheAPIServerTakesTheExamples applies them strictly: an unknown field is an error.
func TestTheAPIServerTakesTheExamples(t *testing.T) {
	config := controlplanetest.Shared(t).Config()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	known, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(known))
	for _, folder := range folders {
		for _, object := range objectsOf(t, folder) {
			kind := object.GroupVersionKind()
			mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
			if err != nil {
				t.Fatalf("%s: %v", folder, err)
			}
			manifest, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			options := metav1.PatchOptions{FieldManager: "examples", FieldValidation: metav1.FieldValidationStrict}
			// The patch is what `kubectl apply --server-side` sends.
			_, err = client.Resource(mapping.Resource).Namespace(object.GetNamespace()).
				Patch(t.Context(), object.GetName(), types.ApplyPatchType, manifest, options)
			if err != nil {
				t.Errorf("%s: apply %s %s: %v", folder, kind.Kind, object.GetName(), err)
			}
		}
	}
}

// objectsOf builds a kustomization.
func objectsOf(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatalf("build %s: %v", folder, err)
	}
	var objects []*unstructured.Unstructured
	for _, resource := range built.Resources() {
		fields, err := resource.Map()
		if err != nil {
			t.Fatalf("read %s of %s: %v", resource.GetName(), folder, err)
		}
		objects = append(objects, &unstructured.Unstructured{Object: fields})
	}
	return objects
}
