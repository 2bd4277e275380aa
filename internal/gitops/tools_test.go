package gitops

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// kubectl runs kubectl in the team's namespace, if it has one, with objects as its input, and returns what it says.
func (v *team) kubectl(objects []*unstructured.Unstructured, arguments ...string) (string, error) {
	v.t.Helper()
	arguments = append([]string{"--kubeconfig", v.plane.Kubeconfig()}, arguments...)
	if v.namespace != "" {
		arguments = append(arguments, "-n", v.namespace)
	}
	command := exec.CommandContext(v.t.Context(), v.plane.Kubectl(), arguments...)
	command.Stdin = bytes.NewReader(manifestText(v.t, objects))
	command.Env = append(os.Environ(), "HOME="+v.t.TempDir())
	output, err := command.CombinedOutput()
	return string(output), err
}

// must runs kubectl and fails the test where it fails.
func (v *team) must(objects []*unstructured.Unstructured, arguments ...string) string {
	v.t.Helper()
	output, err := v.kubectl(objects, arguments...)
	if err != nil {
		v.t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return output
}

func manifestText(t *testing.T, objects []*unstructured.Unstructured) []byte {
	t.Helper()
	var text bytes.Buffer
	for _, o := range objects {
		document, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n")
		text.Write(document)
	}
	return text.Bytes()
}

// applied applies objects as a person would, with kubectl on the server's side.
func (v *team) applied(objects ...*unstructured.Unstructured) {
	v.t.Helper()
	v.must(objects, "apply", "--server-side", "-f", "-")
}

// kustomization is one of Flux's: it applies what it is given and prunes what it was given before.
type kustomization struct {
	*team
	name, inventory string
	mu              sync.Mutex
}

func (v *team) kustomization(name string) *kustomization {
	return &kustomization{team: v, name: name, inventory: filepath.Join(v.t.TempDir(), "inventory")}
}

// reconcile is one reconciliation with this content of the repository. It tells what was done to each object.
func (k *kustomization) reconcile(objects ...*unstructured.Unstructured) map[string]string {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	file, err := program()
	if err != nil {
		k.t.Fatal(err)
	}
	command := exec.CommandContext(k.t.Context(), file, "--kubeconfig", k.plane.Kubeconfig(), "--name", k.name, "--inventory", k.inventory)
	command.Stdin = bytes.NewReader(manifestText(k.t, objects))
	output, err := command.CombinedOutput()
	if err != nil {
		k.t.Fatalf("reconcile Kustomization %s: %v\n%s", k.name, err, output)
	}
	actions := map[string]string{}
	for line := range strings.Lines(string(output)) {
		// Campaign/velo/spring-2027 configured
		if fields := strings.Fields(line); len(fields) == 2 {
			kind, _, _ := strings.Cut(fields[0], "/")
			actions[kind] = fields[1]
		}
	}
	return actions
}

// release is the team's manifests as a Helm release.
type release struct {
	*team
	chart string
}

func (v *team) newRelease() *release {
	v.t.Helper()
	r := &release{team: v, chart: v.t.TempDir()}
	write(v.t, filepath.Join(r.chart, "Chart.yaml"), "apiVersion: v2\nname: velo\nversion: 1.0.0\n")
	// Liquid's braces are not Helm's.
	write(v.t, filepath.Join(r.chart, "templates", "all.yaml"), `{{ .Files.Get "velo.yaml" }}`)
	return r
}

func (r *release) upgrade(arguments ...string) (string, error) {
	r.t.Helper()
	write(r.t, filepath.Join(r.chart, "velo.yaml"), string(manifestText(r.t, r.all())))
	return r.helm(append([]string{"upgrade", "--install", "velo", r.chart}, arguments...)...)
}

func (v *team) helm(arguments ...string) (string, error) {
	v.t.Helper()
	arguments = append([]string{"tool", "-modfile=hack/tools/helm/go.mod", "helm", "--kubeconfig", v.plane.Kubeconfig(), "-n", v.namespace}, arguments...)
	command := exec.CommandContext(v.t.Context(), "go", arguments...)
	command.Dir = filepath.Join("..", "..")
	output, err := command.CombinedOutput()
	return string(output), err
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
