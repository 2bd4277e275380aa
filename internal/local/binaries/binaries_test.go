package binaries

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tinyRecipe builds programs with the real names out of a module that takes no time.
func tinyRecipe(t *testing.T) []recipe {
	t.Helper()
	source := t.TempDir()
	files := map[string]string{"go.mod": "module example.com/tiny\n\ngo 1.26\n"}
	for _, name := range []string{etcd, apiServer, controllerManager, kubectl} {
		files[filepath.Join(name, "main.go")] = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"" + name + "\") }\n"
	}
	for name, content := range files {
		path := filepath.Join(source, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	r := recipe{
		title: "tiny", typical: "no time",
		mod: []byte("module example.com/build\n\ngo 1.26\n\nrequire example.com/tiny v0.0.0\n\nreplace example.com/tiny => " + source + "\n"),
	}
	for _, name := range []string{etcd, apiServer, controllerManager, kubectl} {
		r.programs = append(r.programs, program{name, "example.com/tiny/" + name})
	}
	return []recipe{r}
}

func TestBuildOnceForSeveral(t *testing.T) {
	recipes := tinyRecipe(t)
	cache := filepath.Join(t.TempDir(), "cache")
	t.Setenv(AssetsVariable, "")
	var together sync.WaitGroup
	progress := make([]bytes.Buffer, 3)
	for i := range progress {
		together.Go(func() {
			set, err := ensure(context.Background(), Options{Cache: cache, Progress: &progress[i]}, recipes)
			if err != nil {
				t.Error(err)
				return
			}
			out, err := exec.Command(set.ControllerManager).Output() //nolint:gosec // built above
			if err != nil || string(out) != controllerManager+"\n" {
				t.Errorf("run the program: %q, %v", out, err)
			}
		})
	}
	together.Wait()
	built := 0
	for i := range progress {
		built += strings.Count(progress[i].String(), "Building ")
	}
	if built != 1 {
		t.Errorf("built %d times, want once", built)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(cache), "build-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	t.Log("only what is missing is built again")
	if err := os.Remove(filepath.Join(cache, kubectl)); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if _, err := ensure(t.Context(), Options{Cache: cache, Progress: &again}, recipes); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(again.String(), "Building kubectl (tiny)") {
		t.Errorf("got %q", again.String())
	}
}

func TestAssetsArePreferred(t *testing.T) {
	assets, cache := t.TempDir(), t.TempDir()
	for _, path := range []string{
		filepath.Join(assets, etcd), filepath.Join(assets, apiServer), filepath.Join(assets, kubectl),
		filepath.Join(cache, etcd), filepath.Join(cache, controllerManager),
	} {
		if err := os.WriteFile(path, nil, 0o700); err != nil { //nolint:gosec // it must look like a program
			t.Fatal(err)
		}
	}
	t.Setenv(AssetsVariable, assets)
	got, err := Ensure(t.Context(), Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	want := Set{
		Etcd: filepath.Join(assets, etcd), APIServer: filepath.Join(assets, apiServer),
		ControllerManager: filepath.Join(cache, controllerManager), Kubectl: filepath.Join(assets, kubectl),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProgramsOfANodeAreFoundApart(t *testing.T) {
	assets := t.TempDir()
	for _, name := range []string{scheduler, proxy, kubelet} {
		if err := os.WriteFile(filepath.Join(assets, name), nil, 0o700); err != nil { //nolint:gosec // it must look like a program
			t.Fatal(err)
		}
	}
	got, err := EnsureNode(t.Context(), Options{Assets: assets, Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	want := NodeSet{
		Scheduler: filepath.Join(assets, scheduler), Proxy: filepath.Join(assets, proxy), Kubelet: filepath.Join(assets, kubelet),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, r := range recipes() { // what `up` and the tests wait for
		for _, p := range r.programs {
			if p.name == scheduler || p.name == proxy || p.name == kubelet {
				t.Errorf("%s is built for who needs no node", p.name)
			}
		}
	}
}

func TestAFailedBuildSaysWhatTheCompilerSaid(t *testing.T) {
	recipes := tinyRecipe(t)
	recipes[0].programs[0].pkg = "example.com/tiny/missing"
	_, err := ensure(t.Context(), Options{Cache: filepath.Join(t.TempDir(), "cache"), Assets: t.TempDir()}, recipes)
	if err == nil || !strings.Contains(err.Error(), "build tiny: go build example.com/tiny/missing") || !strings.Contains(err.Error(), AssetsVariable) {
		t.Errorf("got %v", err)
	}
}

// People are told the versions that are built.
func TestVersionsAreThoseOfTheModules(t *testing.T) {
	for want, module := range map[string][]byte{
		"k8s.io/kubernetes " + KubernetesVersion: kubernetesMod, "go.etcd.io/etcd/server/v3 " + etcdVersion: etcdMod,
	} {
		if !bytes.Contains(module, []byte(want)) {
			t.Errorf("the module does not have %q", want)
		}
	}
}

func TestMeterLine(t *testing.T) {
	tests := map[string]struct {
		reason string
		meter  *meter
		want   string
	}{
		"Counting":    {"Go is asked what there is", &meter{}, "1m30s  looking what there is to build"},
		"Downloading": {"modules come first", &meter{program: "x", fetching: "k8s.io/api v0.36.3"}, "1m30s  downloading k8s.io/api v0.36.3"},
		"Compiling":   {"with a total", &meter{program: "kubectl", compiled: 7, total: 90}, "1m30s  kubectl: 7 of at most 90 packages compiled"},
		"NoTotal":     {"without one", &meter{program: "kubectl", compiled: 7}, "1m30s  kubectl: 7 packages compiled"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.meter.line(90 * time.Second); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
