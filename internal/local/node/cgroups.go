package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroup is the control group above all of the node's pods, in each hierarchy.
const cgroup = "tertulia-node"

// goneInterval is how often the kernel is asked whether killed processes are gone, goneTimeout how long.
const (
	goneInterval = 20 * time.Millisecond
	goneTimeout  = 20 * time.Second
)

// hierarchies are the places where control groups are: one for each controller (version 1), one for all (version 2), or both.
func hierarchies() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("look for control groups: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(mounts)) {
		place, kind, _ := strings.Cut(line, " - ")
		fields := strings.Fields(place)
		if len(fields) > 4 && strings.HasPrefix(kind, "cgroup") {
			found = append(found, fields[4])
		}
	}
	return found, nil
}

// createCgroups makes the node's control group in each hierarchy.
func createCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range all {
		if err := os.MkdirAll(filepath.Join(hierarchy, cgroup), 0o755); err != nil { //nolint:gosec // the kernel's files
			return fmt.Errorf("make the node's control group: %w", err)
		}
	}
	return nil
}

// removeCgroups kills whatever runs in the node's control groups and deletes them.
func removeCgroups(ctx context.Context) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	var groups []string // children after their parents
	for _, hierarchy := range all {
		err := filepath.WalkDir(filepath.Join(hierarchy, cgroup), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("look into the node's control groups: %w", err)
		}
	}
	err = killUntilGone(ctx, "in the node's control groups", func() ([]int, error) {
		var pids []int
		for _, group := range groups {
			pids = append(pids, membersOf(group)...)
		}
		return pids, nil
	})
	if err != nil {
		return err
	}
	for _, group := range slices.Backward(groups) {
		if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete a control group: %w", err)
		}
	}
	return nil
}

// membersOf lists the processes of one control group; none where it is gone.
func membersOf(group string) []int {
	content, err := os.ReadFile(filepath.Join(group, "cgroup.procs")) //nolint:gosec // the kernel's files
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(content)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killUntilGone kills what list finds until it finds nothing more.
func killUntilGone(ctx context.Context, where string, list func() ([]int, error)) error {
	ctx, cancel := context.WithTimeout(ctx, goneTimeout)
	defer cancel()
	tick := time.NewTicker(goneInterval)
	defer tick.Stop()
	for {
		pids, err := list()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d %s: %w", pid, where, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes %s do not end: %w", len(pids), where, ctx.Err())
		case <-tick.C:
		}
	}
}
