package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/tertulia-crm/tertulia/internal/local/ports"
)

// program is a process of tertulia as a container would run it.
type program struct {
	t       *testing.T
	command *exec.Cmd
	log     *safeBuffer
	ended   chan struct{}
	// addresses are where the container's ports are here, by name.
	addresses map[string]string
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

// runContainer starts what a container would run, with the arguments that it would have: but its ports are free ones of
// the loopback interface, its mounts are the given directories, and it may be told more.
func runContainer(t *testing.T, container corev1.Container, mounts map[string]string, env []string, more ...string) *program {
	t.Helper()
	p := &program{t: t, log: &safeBuffer{}, ended: make(chan struct{}), addresses: map[string]string{}}
	args := append(append([]string{}, container.Command...), container.Args...)
	for _, port := range container.Ports {
		p.addresses[port.Name] = freeAddress(t)
		for i := range args {
			args[i] = strings.Replace(args[i], fmt.Sprintf("=:%d", port.ContainerPort), "="+p.addresses[port.Name], 1)
			if args[i] == fmt.Sprintf(":%d", port.ContainerPort) {
				args[i] = p.addresses[port.Name]
			}
		}
	}
	for path, dir := range mounts {
		for i := range args {
			args[i] = strings.Replace(args[i], path, dir, 1)
		}
	}
	p.command = exec.Command(os.Args[0], append(args, more...)...) //nolint:gosec // this test binary
	p.command.Env = append(append(os.Environ(), runAsProgram+"=yes"), env...)
	p.command.Stdout, p.command.Stderr = p.log, p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", args[0], p.log)
		}
	})
	return p
}

// ready waits until a program that is probed says that it is ready.
func (p *program) ready() *program {
	p.t.Helper()
	gomega.NewWithT(p.t).Eventually(func() (string, error) {
		select {
		case <-p.ended:
			return "", gomega.StopTrying("the process ended:\n" + p.log.String())
		default:
		}
		response, err := http.Get("http://" + p.addresses["health"] + "/readyz")
		if err != nil {
			return "", err
		}
		return response.Status, response.Body.Close()
	}).WithTimeout(patience).Should(gomega.HavePrefix("200"))
	return p
}

// stop tells a program to end, and waits until it has.
func (p *program) stop() {
	p.t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("a process that was told to stop ended with %d", code)
	}
}

func (p *program) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(free[0]))
}

// mount writes a Secret into a directory, as the kubelet would.
func mount(t *testing.T, secret *corev1.Secret) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range secret.Data {
		if err := os.WriteFile(filepath.Join(dir, name), value, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
