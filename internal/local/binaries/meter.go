package binaries

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// How often progress is shown: a terminal's line is rewritten, a log gets a new line.
const (
	terminalInterval = time.Second
	logInterval      = 20 * time.Second
)

// meter shows how far a build is: which program, for how long, how many packages compiled. Packages that Go's build cache
// already has are never announced, so the count may end early; elapsed time is what is exact.
type meter struct {
	out      io.Writer
	terminal bool
	begun    time.Time
	stop     chan struct{}
	stopped  sync.WaitGroup

	mu       sync.Mutex
	program  string
	compiled int
	total    int // 0: unknown
	fetching string
}

func newMeter(out io.Writer) *meter {
	m := &meter{out: out, begun: time.Now(), stop: make(chan struct{})}
	interval := logInterval
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		m.terminal, interval = true, terminalInterval
	}
	m.stopped.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-ticker.C:
				m.show()
			}
		}
	})
	return m
}

// count asks Go how many packages the programs have. It is a nicety: where it fails, the total stays unknown.
func (m *meter) count(ctx context.Context, goCommand, work string, programs []program) {
	args := []string{"list", "-deps"}
	for _, p := range programs {
		args = append(args, p.pkg)
	}
	var scrap bytes.Buffer
	cmd := exec.CommandContext(ctx, goCommand, args...) //nolint:gosec // fixed arguments
	cmd.Dir, cmd.Env, cmd.Stderr = work, buildEnvironment(), m.listen(&scrap)
	out, err := cmd.Output()
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total, m.fetching = bytes.Count(out, []byte("\n")), ""
}

func (m *meter) step(program string) {
	m.mu.Lock()
	m.program, m.fetching = program, ""
	m.mu.Unlock()
}

// listen returns a writer for the go command's standard error that counts what -v announces and keeps all of it in raw.
func (m *meter) listen(raw *bytes.Buffer) io.Writer {
	return &announcements{meter: m, raw: raw}
}

type announcements struct {
	meter   *meter
	raw     *bytes.Buffer
	partial string
}

func (a *announcements) Write(p []byte) (int, error) {
	a.raw.Write(p)
	lines := strings.Split(a.partial+string(p), "\n")
	a.partial = lines[len(lines)-1]
	a.meter.mu.Lock()
	defer a.meter.mu.Unlock()
	for _, line := range lines[:len(lines)-1] {
		if module, found := strings.CutPrefix(line, "go: downloading "); found {
			a.meter.fetching = module
		} else {
			a.meter.compiled, a.meter.fetching = a.meter.compiled+1, ""
		}
	}
	return len(p), nil
}

func (m *meter) show() {
	m.mu.Lock()
	line := m.line(time.Since(m.begun))
	m.mu.Unlock()
	if m.terminal {
		_, _ = fmt.Fprintf(m.out, "\r\033[K  %s", line)
		return
	}
	_, _ = fmt.Fprintf(m.out, "  %s\n", line)
}

// line is what is shown after the time elapsed.
func (m *meter) line(elapsed time.Duration) string {
	since := elapsed.Round(time.Second)
	switch {
	case m.fetching != "":
		return fmt.Sprintf("%s  downloading %s", since, m.fetching)
	case m.program == "":
		return fmt.Sprintf("%s  looking what there is to build", since)
	case m.total > 0:
		return fmt.Sprintf("%s  %s: %d of at most %d packages compiled", since, m.program, m.compiled, m.total)
	default:
		return fmt.Sprintf("%s  %s: %d packages compiled", since, m.program, m.compiled)
	}
}

// finish stops the showing and clears the terminal's line.
func (m *meter) finish() {
	close(m.stop)
	m.stopped.Wait()
	if m.terminal {
		_, _ = fmt.Fprint(m.out, "\r\033[K")
	}
}
