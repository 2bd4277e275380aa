package work_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/tertulia-crm/tertulia/internal/work"
)

// workerProcess names the variable that makes this test binary a worker for the directory of tenants that it holds.
const workerProcess = "TERTULIA_TEST_WORKER"

// patientWorker names the variable that gives such a worker the usual time limits.
const patientWorker = "TERTULIA_TEST_PATIENT_WORKER"

// runWorkerProcess works until SIGTERM.
func runWorkerProcess(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx = logr.NewContext(ctx, funcr.New(func(prefix, args string) { fmt.Println(prefix, args) }, funcr.Options{}))
	o := quickOptions(dir)
	// A worker that is stopped for as long as a test stops it has lost its leases, and one that is killed leaves intents
	// that a test can wait for.
	o.Lease, o.IntentAge = 500*time.Millisecond, 2*time.Second
	if os.Getenv(patientWorker) != "" {
		o.Lease, o.IntentAge = 0, 0
	}
	w, err := work.New(o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := w.Run(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// process starts a worker in a process of its own. It is killed when the test ends.
func (h *house) process() *exec.Cmd {
	h.t.Helper()
	return h.startProcess()
}

// patientProcess is process with the usual times: a lease does not run out while a test waits.
func (h *house) patientProcess() *exec.Cmd {
	h.t.Helper()
	return h.startProcess(patientWorker + "=1")
}

func (h *house) startProcess(env ...string) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), workerProcess+"="+h.tenants), env...)
	output, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			h.t.Logf("worker %d: %s", cmd.Process.Pid, lines.Text())
		}
	}()
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-logged
		_ = cmd.Wait()
	})
	return cmd
}

func (h *house) send(cmd *exec.Cmd, s syscall.Signal) {
	h.t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		h.t.Fatalf("signal %s: %v", s, err)
	}
}
