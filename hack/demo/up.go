package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readyLine is what `tertulia up --output json` prints once.
type readyLine struct {
	Ready      bool   `json:"ready"`
	Kubeconfig string `json:"kubeconfig"`
	Server     string `json:"server"`
	SMTP       string `json:"smtp"`
	Mailbox    string `json:"mailbox"`
	Database   string `json:"database"`
	Kubectl    string `json:"kubectl"`
	Worker     string `json:"worker"` // the command that starts one more
}

// upProcess is a running `tertulia up`.
type upProcess struct {
	ready  readyLine
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // how it ended; read after exited is closed
	log    string
	merged string // the folder that receives campaigns
}

// patience bounds every wait of the demo: longer means that something is broken, and its condition tells what.
const patience = 2 * time.Minute

// startUp starts everything and returns when it is ready.
func startUp(ctx context.Context, show *narrator, o options) (*upProcess, error) {
	show.begin("Starting a Kubernetes API server, PostgreSQL, operator, worker, server and a mailbox")
	up := &upProcess{
		exited: make(chan struct{}),
		log:    filepath.Join(o.dataDir, "up.log"),
		merged: filepath.Join(o.dataDir, "merged"),
	}
	if err := os.MkdirAll(up.merged, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder for campaigns: %w", err)
	}
	log, err := os.Create(up.log)
	if err != nil {
		return nil, fmt.Errorf("make the log of `tertulia up`: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	// Not ctx: it ends with the first Ctrl-C, and `up` is to stop its children in order.
	up.cmd = exec.CommandContext(context.WithoutCancel(ctx), o.program, "up", "--data-dir", o.dataDir,
		"--manifests", standingFolder, "--manifests", listeningFolder, "--manifests", up.merged, "--output", "json")
	up.cmd.Stderr = log
	// A process group of its own: Ctrl-C reaches the demo alone, which then asks `up` to stop.
	up.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := up.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := up.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.program, err)
	}
	lines := make(chan readyLine, 1)
	go func() {
		defer close(lines)
		readLines(bufio.NewScanner(stdout), lines)
		up.err = up.cmd.Wait()
		close(up.exited)
	}()
	select {
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), up.stop())
	case up.ready = <-lines:
	}
	if !up.ready.Ready {
		return nil, up.died()
	}
	show.done("ready: %s", up.ready.Server)
	return up, nil
}

// readLines hands on the line that says ready and drains the rest.
func readLines(in *bufio.Scanner, lines chan<- readyLine) {
	for in.Scan() {
		var line readyLine
		if json.Unmarshal(in.Bytes(), &line) == nil && line.Ready {
			select {
			case lines <- line:
			default: // said already
			}
		}
	}
}

// context ends, with a reason, when `up` ends.
func (u *upProcess) context(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		<-u.exited
		cancel(u.died())
	}()
	return ctx
}

// died is nil while `up` runs, and else tells how it ended with the last lines of its log.
func (u *upProcess) died() error {
	select {
	case <-u.exited:
	default:
		return nil
	}
	how := "without an error"
	if u.err != nil {
		how = "with " + u.err.Error()
	}
	return fmt.Errorf("`tertulia up` ended %s; the end of %s:\n  %s", how, relative(u.log), strings.Join(u.lastLines(8), "\n  "))
}

func (u *upProcess) lastLines(n int) []string {
	text, err := os.ReadFile(u.log)
	if err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return lines[max(0, len(lines)-n):]
}

// stop asks `up` to end and waits until it and its children are gone.
func (u *upProcess) stop() error {
	_ = u.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-u.exited:
		return nil
	case <-time.After(time.Minute):
		_ = u.cmd.Process.Kill()
		return errors.New("`tertulia up` did not stop within a minute and was killed")
	}
}
