package binaries

import (
	"bytes"
	"context"
	_ "embed" // the modules' go.mod and go.sum
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/filelock"
)

// The modules that pin what is built. They are not called go.mod, so that the repository stays one module and they can be
// embedded.
var (
	//go:embed kubernetes.mod
	kubernetesMod []byte
	//go:embed kubernetes.sum
	kubernetesSum []byte
	//go:embed etcd.mod
	etcdMod []byte
	//go:embed etcd.sum
	etcdSum []byte
)

// etcdVersion is the release of etcd that its module pins.
const etcdVersion = "v3.7.3"

// recipe builds programs out of one module.
type recipe struct {
	title    string // what the user reads
	typical  string // how long it takes on two cores with nothing in Go's caches
	mod, sum []byte
	programs []program
}

type program struct {
	name, pkg string
}

func recipes() []recipe {
	return []recipe{
		{
			title: "Kubernetes " + KubernetesVersion, typical: "about 4 minutes", mod: kubernetesMod, sum: kubernetesSum,
			programs: []program{
				{apiServer, "k8s.io/kubernetes/cmd/kube-apiserver"},
				{controllerManager, "k8s.io/kubernetes/cmd/kube-controller-manager"},
				{kubectl, "k8s.io/kubernetes/cmd/kubectl"},
			},
		},
		{
			title: "etcd " + etcdVersion, typical: "less than a minute", mod: etcdMod, sum: etcdSum,
			programs: []program{{etcd, "go.etcd.io/etcd/server/v3"}},
		},
	}
}

// nodeRecipes build the rest of Kubernetes out of the same module. What the API server shares with it is in Go's cache by then.
func nodeRecipes() []recipe {
	return []recipe{{
		title: "Kubernetes " + KubernetesVersion, typical: "about 2 minutes", mod: kubernetesMod, sum: kubernetesSum,
		programs: []program{
			{scheduler, "k8s.io/kubernetes/cmd/kube-scheduler"},
			{proxy, "k8s.io/kubernetes/cmd/kube-proxy"},
			{kubelet, "k8s.io/kubernetes/cmd/kubelet"},
		},
	}}
}

// linkerFlags drop symbols and debug information (half of the size) and set the version, without which kubectl and the API
// server's own checks cannot tell which release this is.
const linkerFlags = "-s -w" +
	" -X k8s.io/component-base/version.gitVersion=" + KubernetesVersion +
	" -X k8s.io/component-base/version.gitMajor=1" +
	" -X k8s.io/component-base/version.gitMinor=36" +
	" -X k8s.io/client-go/pkg/version.gitVersion=" + KubernetesVersion

// build makes the missing programs of a recipe and moves them into the cache, each in one step, so that nobody ever runs half
// a program. A lock lets one process build while others wait for it.
func build(ctx context.Context, r recipe, o Options) error {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("the go command is needed: %w", err)
	}
	lock, err := filelock.Acquire(ctx, o.Cache+".lock", func() {
		_, _ = fmt.Fprintf(o.Progress, "Another process is building %s; waiting for it.\n", r.title)
	})
	if err != nil {
		return err
	}
	defer lock.Release() //nolint:errcheck // only its descriptor is closed

	absent := missing(r, o)
	if len(absent) == 0 { // the other process has built them
		return nil
	}
	if err := os.MkdirAll(o.Cache, 0o755); err != nil { //nolint:gosec // programs are no secret
		return fmt.Errorf("make the cache folder: %w", err)
	}
	// Beside the cache, so that the programs can be renamed into it.
	work, err := os.MkdirTemp(filepath.Dir(o.Cache), "build-")
	if err != nil {
		return fmt.Errorf("make a folder to build in: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // a left-over folder in the cache harms nobody
	if err := writeModule(work, r); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(o.Progress, "Building %s (%s) from source. It takes %s on two cores, once on this machine; kept in %s\n",
		names(absent), r.title, r.typical, o.Cache)
	begun := time.Now()
	if err := compile(ctx, goCommand, work, absent, newMeter(o.Progress)); err != nil {
		return err
	}
	for _, p := range absent {
		if err := os.Rename(filepath.Join(work, "out", p.name), filepath.Join(o.Cache, p.name)); err != nil {
			return fmt.Errorf("move %s into the cache: %w", p.name, err)
		}
	}
	_, _ = fmt.Fprintf(o.Progress, "Built %s in %s.\n", names(absent), time.Since(begun).Round(time.Second))
	return nil
}

func writeModule(folder string, r recipe) error {
	for name, content := range map[string][]byte{"go.mod": r.mod, "go.sum": r.sum} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return fmt.Errorf("write the module to build: %w", err)
		}
	}
	return nil
}

// compile builds the programs one after the other: each shares most of its packages with the one before it.
func compile(ctx context.Context, goCommand, work string, programs []program, m *meter) error {
	defer m.finish()
	m.count(ctx, goCommand, work, programs)
	for _, p := range programs {
		m.step(p.name)
		var failure bytes.Buffer
		cmd := exec.CommandContext(ctx, goCommand, "build", "-v", "-trimpath", "-ldflags", linkerFlags, //nolint:gosec // fixed arguments
			"-o", filepath.Join(work, "out", p.name), p.pkg)
		cmd.Dir, cmd.Env = work, buildEnvironment()
		cmd.Stderr = m.listen(&failure)
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("go build %s: %w: %s", p.pkg, err, lastLines(failure.String()))
		}
	}
	return nil
}

// buildEnvironment keeps the user's proxy and caches, and nothing that would change what is built.
func buildEnvironment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=on")
}

func names(programs []program) string {
	var list []string
	for _, p := range programs {
		list = append(list, p.name)
	}
	return strings.Join(list, ", ")
}

// lastLines keeps the end of what the compiler said; the package names that -v prints stand before it.
func lastLines(text string) string {
	const keep = 10
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > keep {
		lines = lines[len(lines)-keep:]
	}
	return strings.Join(lines, "\n")
}
