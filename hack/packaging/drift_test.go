package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const databaseURLVariable = "TERTULIA_DATABASE_URL"

// TestBothPackagingsMakeTheSame renders the chart and the kustomize bases, with and without a default database, and
// compares every object whole but for what Helm writes about itself.
func TestBothPackagingsMakeTheSame(t *testing.T) {
	for name, tt := range map[string]struct {
		values    []string
		kustomize string
	}{
		"without a database": {nil, root + "/config/default"},
		"with a database":    {[]string{"--set", "database.existingSecret=tertulia-database"}, withDatabase(t)},
	} {
		t.Run(name, func(t *testing.T) {
			ofChart, ofBases := byKey(t, helmTemplate(t, tt.values...)), byKey(t, kustomizeBuild(t, tt.kustomize))
			namespace := ofBases["Namespace /"+systemNamespace]
			if namespace == nil || namespace.GetLabels()["pod-security.kubernetes.io/enforce"] != "restricted" {
				t.Errorf("config/default does not make %s with restricted Pod Security: %v", systemNamespace, namespace)
			}
			delete(ofBases, "Namespace /"+systemNamespace) // helm makes it only with --create-namespace
			if diff := cmp.Diff(slices.Sorted(maps.Keys(ofChart)), slices.Sorted(maps.Keys(ofBases))); diff != "" {
				t.Fatalf("one packaging has objects that the other has not (-chart +kustomize):\n%s", diff)
			}
			for name, object := range ofChart {
				withoutHelm(object)
				if diff := cmp.Diff(object.Object, ofBases[name].Object); diff != "" {
					t.Errorf("%s differs (-chart +kustomize):\n%s", name, diff)
				}
			}
		})
	}
}

// withDatabase is an overlay with the component that brings a default database.
func withDatabase(t *testing.T) string {
	t.Helper()
	base, err := filepath.Abs(root + "/config")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "config"), os.DirFS(base)); err != nil { // kustomize reads no absolute path
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../config/default]\ncomponents: [../config/database]\n"
	if err := os.Mkdir(overlay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// withoutHelm takes away what Helm writes about itself.
func withoutHelm(o *unstructured.Unstructured) {
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	for _, name := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"} {
		delete(labels, name)
	}
	delete(annotations, "helm.sh/resource-policy")
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
}

// TestTheImageReachesTenants sets another image, as a user of the bases does: the operator must run tenants from it too.
func TestTheImageReachesTenants(t *testing.T) {
	dir := filepath.Dir(withDatabase(t)) + "/config/default"
	edit := `
- name: tertulia
  newName: registry.example.com:5000/crm/tertulia
  newTag: v9
`
	file := filepath.Join(dir, "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edited := replaceOnce(t, string(text), "\n- name: tertulia\n  newTag: 0.1.0\n", edit)
	if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	deployment := typed[appsv1.Deployment](t, byKey(t, kustomizeBuild(t, dir))["Deployment.apps tertulia-system/tertulia-operator"])
	operator := deployment.Spec.Template.Spec.Containers[0]
	if want := "registry.example.com:5000/crm/tertulia:v9"; operator.Image != want || operator.Args[1] != "--image="+want {
		t.Errorf("got image %q and argument %q, want %q in both", operator.Image, operator.Args[1], want)
	}
}
