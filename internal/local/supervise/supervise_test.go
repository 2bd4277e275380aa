package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
)

// parentFolder asks this test binary to play the parent that is killed; its value is the folder to work in.
const parentFolder = "SUPERVISE_TEST_PARENT"

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if folder := os.Getenv(parentFolder); folder != "" {
		playParent(folder)
		return
	}
	os.Exit(m.Run())
}

// playParent starts one child that ends when asked and one that does not listen, says so, and waits to be killed.
func playParent(folder string) {
	for name, script := range map[string]string{"polite": "exec sleep 600", "deaf": `trap "" TERM; echo deaf; while :; do sleep 1; done`} {
		if _, err := Start(context.Background(), shell(folder, name, script)); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func shell(folder, name, script string) Command {
	return Command{
		Name: name, Path: "/bin/sh", Args: []string{"-c", script}, Grace: 200 * time.Millisecond,
		Log: filepath.Join(folder, name+".log"), PIDFile: filepath.Join(folder, name+".pid"),
	}
}

func readPID(t *testing.T, file string) identity {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var id identity
	if err := json.Unmarshal(content, &id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestStop(t *testing.T) {
	tests := map[string]struct {
		reason string
		script string
		want   string
	}{
		"Polite":  {"a program that handles SIGTERM is given the time to", `trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done`, "up\nbye\n"},
		"Deaf":    {"a program that ignores SIGTERM is killed after its grace period", `trap "" TERM; echo up; while :; do sleep 0.05; done`, "up\n"},
		"Already": {"stopping a program that has ended is no error", `echo up`, "up\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			command := shell(t.TempDir(), "child", tc.script)
			if command.Grace = patience; name == "Deaf" {
				command.Grace = time.Second
			}
			p, err := Start(t.Context(), command)
			g.Expect(err).NotTo(HaveOccurred())
			read := func() string {
				content, _ := os.ReadFile(command.Log)
				return string(content)
			}
			g.Eventually(read, patience).Should(HavePrefix("up"))
			g.Expect(p.Stop(t.Context())).To(Succeed())
			g.Expect(p.Done()).To(BeClosed())
			g.Expect(read()).To(Equal(tc.want), tc.reason)
			g.Expect(command.PIDFile).NotTo(BeAnExistingFile())
		})
	}
}

func TestStartTellsWhatIsWrong(t *testing.T) {
	_, err := Start(t.Context(), Command{Name: "ghost", Path: "/does/not/exist"})
	if err == nil || !strings.Contains(err.Error(), "start ghost") {
		t.Fatalf("got %v, want an error that names the program", err)
	}
}

// A parent killed with SIGKILL cannot clean up: the kernel asks its children to end, and those that do not listen are ended
// by whoever starts on the same folder next.
func TestAKilledParentsChildrenEnd(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	parent := exec.Command(os.Args[0]) //nolint:gosec // this test binary
	parent.Env = append(os.Environ(), parentFolder+"="+folder)
	_, err := parent.StdinPipe()
	g.Expect(err).NotTo(HaveOccurred())
	out, err := parent.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(parent.Start()).To(Succeed())
	said := make([]byte, len("ready\n"))
	_, err = io.ReadFull(out, said)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(said)).To(Equal("ready\n"))

	polite, deaf := readPID(t, filepath.Join(folder, "polite.pid")), readPID(t, filepath.Join(folder, "deaf.pid"))
	g.Expect(polite.alive()).To(BeTrue())
	g.Expect(deaf.alive()).To(BeTrue())
	heard := func() (string, error) {
		log, err := os.ReadFile(filepath.Join(folder, "deaf.log"))
		return string(log), err
	}
	g.Eventually(heard, patience).Should(Equal("deaf\n"), "before that it would still listen")
	g.Expect(parent.Process.Signal(syscall.SIGKILL)).To(Succeed())
	_ = parent.Wait()
	g.Eventually(polite.alive, patience).Should(BeFalse(), "the parent-death signal ends it")
	g.Expect(deaf.alive()).To(BeTrue())

	g.Expect(EndLeftovers(t.Context(), folder, 100*time.Millisecond)).To(Succeed())
	g.Expect(deaf.alive()).To(BeFalse())
	left, err := filepath.Glob(filepath.Join(folder, "*.pid"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(BeEmpty())
}

func TestEndLeftoverSparesStrangers(t *testing.T) {
	stranger := exec.Command("sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	})
	real, err := identify(stranger.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	earlier := real
	earlier.Started = "1"
	tests := map[string]struct {
		reason string
		noted  any
	}{
		"EarlierStart": {"the number was recycled: another process had it before", earlier},
		"Init":         {"process 1 is never ours", identity{PID: 1}},
		"Garbage":      {"a crash of the machine can leave any bytes", "not a pid"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			file := filepath.Join(t.TempDir(), "x.pid")
			content, err := json.Marshal(tc.noted)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(os.WriteFile(file, content, 0o600)).To(Succeed())
			g.Expect(EndLeftover(t.Context(), file, time.Second)).To(Succeed())
			g.Expect(real.alive()).To(BeTrue(), tc.reason)
			g.Expect(file).NotTo(BeAnExistingFile())
		})
	}
}

func TestKeepStartsAgain(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	p, err := Start(t.Context(), shell(folder, "child", "echo started; exec sleep 600"))
	g.Expect(err).NotTo(HaveOccurred())
	starts := func() (int, error) {
		log, err := os.ReadFile(filepath.Join(folder, "child.log"))
		return strings.Count(string(log), "started"), err
	}
	g.Eventually(starts, patience).Should(Equal(1))
	kept := Keep(p, logr.Discard())
	first := kept.PID()
	g.Expect(syscall.Kill(first, syscall.SIGKILL)).To(Succeed())
	g.Eventually(kept.PID, patience).Should(Not(Equal(first)))
	g.Eventually(starts, patience).Should(Equal(2))
	second := readPID(t, filepath.Join(folder, "child.pid"))
	g.Expect(strconv.Itoa(second.PID)).To(Equal(strconv.Itoa(kept.PID())))
	g.Expect(kept.Stop(t.Context())).To(Succeed())
	g.Expect(second.alive()).To(BeFalse())
	g.Expect(kept.Stop(t.Context())).To(Succeed(), "stopping twice")
}

func TestNextDelay(t *testing.T) {
	tests := map[string]struct {
		reason              string
		previous, ran, want time.Duration
	}{
		"First":    {"one crash is mended quickly", 0, time.Second, firstDelay},
		"Repeated": {"a program that keeps crashing gets rarer starts", firstDelay, time.Second, 2 * firstDelay},
		"Bounded":  {"a mended cause is noticed within seconds", maxDelay, time.Second, maxDelay},
		"Steady":   {"a program that ran well begins anew", maxDelay, steady, firstDelay},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nextDelay(tc.previous, tc.ran); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}
