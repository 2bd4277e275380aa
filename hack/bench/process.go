package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a process that is measured.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// usage is what a child used up to now.
type usage struct {
	cpu     time.Duration
	peakRSS int64 // bytes
}

// startChild starts a process that ends with ctx at the latest.
func startChild(ctx context.Context, log io.Writer, program string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, program, args...), exited: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// startServing starts this program once more, as one that serves at an address that it prints, and returns that.
func startServing(ctx context.Context, log io.Writer, args ...string) (c *child, address string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find this program: %w", err)
	}
	c = &child{cmd: exec.CommandContext(ctx, self, args...), exited: make(chan struct{})}
	c.cmd.Stderr = log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start the %s: %w", args[0], err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	if err != nil {
		c.kill()
		return nil, "", fmt.Errorf("read the address of the %s: %w", args[0], err)
	}
	return c, strings.TrimSuffix(line, "\n"), nil
}

// stop asks the child to end and returns the CPU time that it used in all, and its peak memory.
func (c *child) stop(ctx context.Context) (usage, error) {
	peak, err := peakMemory(c.cmd.Process.Pid)
	if err != nil {
		return usage{}, err
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-ctx.Done():
		c.kill()
		return usage{}, errors.New("the measured process did not stop")
	}
	state := c.cmd.ProcessState
	return usage{cpu: state.UserTime() + state.SystemTime(), peakRSS: peak}, nil
}

// kill ends the child when something else went wrong. It may have ended already.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMemory reads the high-water mark of a process's memory. The one of getrusage would not do: on Linux it begins
// with the memory of the process that forked it.
func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the process's peak memory: %w", err)
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		return 0, errors.New("the process's status has no high-water mark of its memory")
	}
	kib, err := strconv.ParseInt(string(found[1]), 10, 64)
	return kib << 10, err
}
