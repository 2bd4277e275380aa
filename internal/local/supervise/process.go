// Package supervise runs programs as children of this process: their output goes to log files, they end when this process
// ends (even when it is killed), and what a killed predecessor left behind is found by pid files and ended first.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// DefaultGrace is how long a program may take to end after SIGTERM before it is killed.
const DefaultGrace = 10 * time.Second

// maxLogSize is the size in bytes past which a log is set aside as <log>.1 when its program is started again.
const maxLogSize = 16 << 20

// Command says what to run.
type Command struct {
	// Name is what people call the program, such as worker-1.
	Name string
	// Path is the program's file, Args its arguments without the program itself.
	Path string
	Args []string
	// Env is added to this process's environment.
	Env []string
	// Dir is the program's working directory. Default: this process's.
	Dir string
	// Log is the file to which standard output and standard error are appended. Default: none, they are discarded.
	Log string
	// PIDFile is where the running program is noted, so that a later process can end it. Default: none.
	PIDFile string
	// Grace is how long the program may take to end after SIGTERM. Default: DefaultGrace.
	Grace time.Duration
}

func (c Command) grace() time.Duration {
	if c.Grace > 0 {
		return c.Grace
	}
	return DefaultGrace
}

// Process is a running child, or one that has ended.
type Process struct {
	command Command
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // how the program ended; written before done is closed
}

// Start runs the program. A predecessor noted in the pid file is ended first. The child gets a process group of its own, so
// that Ctrl-C at the terminal reaches this process alone, which ends its children in order.
func Start(ctx context.Context, c Command) (*Process, error) {
	if c.PIDFile != "" {
		if err := EndLeftover(ctx, c.PIDFile, c.grace()); err != nil {
			return nil, fmt.Errorf("end what is left of %s: %w", c.Name, err)
		}
	}
	cmd := exec.Command(c.Path, c.Args...) //nolint:gosec // running the caller's program is what this package is for
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.SysProcAttr = childAttributes()
	if c.Log != "" {
		log, err := openLog(c.Log)
		if err != nil {
			return nil, err
		}
		defer log.Close() //nolint:errcheck // the child has a descriptor of its own
		cmd.Stdout, cmd.Stderr = log, log
	}
	p := &Process{command: c, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	if c.PIDFile != "" {
		if err := writePIDFile(c.PIDFile, p.PID()); err != nil && !errors.Is(err, errGone) {
			return nil, errors.Join(fmt.Errorf("note the pid of %s: %w", c.Name, err), p.Kill())
		}
	}
	return p, nil
}

// run starts the child and waits for it on one thread: Linux sends the parent-death signal when the *thread* that forked
// ends, and Go's runtime ends threads as it likes unless a goroutine holds on to them.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID is the process id of the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the program ended: nil for exit code 0. Call it after Done.
func (p *Process) Err() error {
	<-p.done
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.command.Name, p.err)
	}
	return nil
}

// Stop asks the program to end (SIGTERM), waits for its grace period or until ctx ends, whichever is first, and then kills it.
// It returns once the program is gone. How the program ended is no error here: see Err.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	grace := time.NewTimer(p.command.grace())
	defer grace.Stop()
	select {
	case <-p.done:
		return p.forget()
	case <-grace.C:
	case <-ctx.Done():
	}
	return p.Kill()
}

// Kill ends the program at once (SIGKILL) and returns when it is gone.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return p.forget()
}

func (p *Process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", sig, p.command.Name, err)
	}
	return nil
}

// forget removes the pid file of a program that has ended.
func (p *Process) forget() error {
	if p.command.PIDFile == "" {
		return nil
	}
	if err := os.Remove(p.command.PIDFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the pid file of %s: %w", p.command.Name, err)
	}
	return nil
}

// openLog opens a log for appending; one that has grown past maxLogSize is set aside first.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of log %s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("set aside log %s: %w", path, err)
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
	return log, nil
}
