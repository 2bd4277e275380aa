package controllers_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/internal/cli"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

// asOperator asks this test binary to be `tertulia operator`, so that a test sees a whole process: its signals, its
// lease, its addresses.
const asOperator = "TERTULIA_TEST_RUN_AS_OPERATOR"

func runAsOperator() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := cli.NewOperatorCommand()
	command.SilenceUsage = true
	if err := command.ExecuteContext(ctx); err != nil {
		return 1
	}
	return 0
}

// process is an operator of its own.
type process struct {
	*exec.Cmd
	health, metrics string
	log             *safeBuffer
}

// safeBuffer holds what a process writes while a test reads it.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startProcess starts an operator over the same world, so that it finds everything as it would leave it.
func startProcess(t *testing.T, w *world, lease string) *process {
	t.Helper()
	p := &process{health: portstest.Address(t), metrics: portstest.Address(t), log: &safeBuffer{}}
	p.Cmd = exec.Command(os.Args[0], "--kubeconfig", controlplanetest.Shared(t).Kubeconfig(), "--tenants", w.root, "--server-url", serverURL,
		"--health-listen", p.health, "--metrics-listen", p.metrics, "--leader-elect", "--leader-election-namespace", lease)
	p.Env = append(os.Environ(), asOperator+"=1", "TERTULIA_DATABASE_URL="+w.server.URL("postgres"))
	p.Stdout, p.Stderr = p.log, p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _, _ = p.Process.Wait() })
	return p
}

func get(url string) (status int, body string, err error) {
	response, err := http.Get(url) //nolint:gosec // an address of this test's own
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func TestOperatorProcessesTakeTurns(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t)}
	holder := func() string {
		lease := &coordinationv1.Lease{}
		key := types.NamespacedName{Namespace: h.namespace, Name: "operator.crm.tertulia.dev"}
		if err := h.api.Get(t.Context(), key, lease); err != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		return *lease.Spec.HolderIdentity
	}
	healthy := func(p *process) {
		t.Helper()
		h.eventually(func(g gomega.Gomega) {
			for _, path := range []string{"/livez", "/readyz"} {
				status, body, err := get("http://" + p.health + path)
				g.Expect(err).NotTo(gomega.HaveOccurred(), "%s", p.log)
				g.Expect(status).To(gomega.Equal(http.StatusOK), "%s: %s", path, body)
			}
		})
	}
	first := startProcess(t, h.world, h.namespace)
	healthy(first)
	h.eventually(func(g gomega.Gomega) { g.Expect(holder()).NotTo(gomega.BeEmpty()) })
	leader := holder()
	second := startProcess(t, h.world, h.namespace)
	healthy(second) // standing by is ready
	if holder() != leader {
		t.Error("the second operator took the lease from the first")
	}
	h.eventually(func(g gomega.Gomega) { // they begin in the moment after the lease was taken
		_, metrics, err := get("http://" + first.metrics + "/metrics")
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(metrics).To(gomega.ContainSubstring(fmt.Sprintf("controller_runtime_max_concurrent_reconciles{controller=%q}", "campaign")))
	})
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first operator did not end well: %v\n%s", err, first.log)
	}
	// The lease is given back, so that nobody waits for it to expire.
	h.eventually(func(g gomega.Gomega) {
		g.Expect(holder()).NotTo(gomega.BeEmpty())
		g.Expect(holder()).NotTo(gomega.Equal(leader))
	})
	if strings.Contains(second.log.String(), "password") {
		t.Error("a log mentions a password")
	}
}
