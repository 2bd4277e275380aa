package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	root  = "../.."
	chart = root + "/charts/tertulia"
	// systemNamespace is where the kustomize bases put the operator, and where tests put the chart's.
	systemNamespace = "tertulia-system"
)

// programs are the pinned tools, built when a test asks for one.
var programs = map[string]func() (string, error){"helm": sync.OnceValues(built("helm")), "kustomize": sync.OnceValues(built("kustomize"))}

func built(name string) func() (string, error) {
	return func() (string, error) {
		out, err := exec.Command("go", "tool", "-n", "-modfile="+root+"/hack/tools/"+name+"/go.mod", name).Output() //nolint:gosec // our own tools
		return strings.TrimSpace(string(out)), err
	}
}

// tool runs one of the pinned tools and returns what it printed.
func tool(t *testing.T, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	program, err := programs[name]()
	if err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	command := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // our own tools
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err = command.Run()
	return out.String(), errs.String(), err
}

// helmTemplate renders the chart as the release "tertulia".
func helmTemplate(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	return helmTemplateAs(t, "tertulia", append([]string{"--namespace", systemNamespace}, args...)...)
}

// helmTemplateAs renders the chart as a release.
func helmTemplateAs(t *testing.T, release string, args ...string) []*unstructured.Unstructured {
	t.Helper()
	out, stderr, err := tool(t, "helm", append([]string{"template", release, chart}, args...)...)
	if err != nil {
		t.Fatalf("helm template %v: %v\n%s", args, err, stderr)
	}
	return objects(t, out)
}

// kustomizeBuild renders a kustomization.
func kustomizeBuild(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	out, stderr, err := tool(t, "kustomize", "build", dir)
	if err != nil {
		t.Fatalf("kustomize build %s: %v\n%s", dir, err, stderr)
	}
	return objects(t, out)
}

// objects reads a stream of documents. A key that stands twice is an error, as it is for a strict API server.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var found []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("read what was rendered: %v", err)
		}
		if len(object.Object) > 0 {
			found = append(found, object)
		}
	}
}

func key(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName())
}

func byKey(t *testing.T, list []*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	t.Helper()
	found := map[string]*unstructured.Unstructured{}
	for _, o := range list {
		if found[key(o)] != nil {
			t.Fatalf("%s is there twice", key(o))
		}
		found[key(o)] = o
	}
	return found
}

// typed reads an object as its Go type.
func typed[T any](t *testing.T, o *unstructured.Unstructured) *T {
	t.Helper()
	if o == nil {
		t.Fatal("the object is not there")
	}
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, into, true); err != nil {
		t.Fatalf("%s: %v", key(o), err)
	}
	return into
}

// valuesFiles are the files of values with which the chart is tried, by name; "default" is none.
func valuesFiles(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of values: %v", err)
	}
	args := map[string][]string{"default": nil}
	for _, file := range files {
		args[strings.TrimSuffix(filepath.Base(file), ".yaml")] = []string{"--values", file}
	}
	return args
}

func replaceOnce(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q stands %d times in the text, want once", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, replacement, 1)
}
