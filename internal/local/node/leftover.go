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

	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// noteFile tells where the data directory of the node on this machine is: its next start may have another, and must find
// what a crash left.
const noteFile = "/run/tertulia-node.dir"

// Files of the data directory that remember what was there before the node.
const (
	foreignNote  = "foreign"
	settingsNote = "settings"
)

// clear ends, unmounts and deletes everything that a node on this directory has made outside of it, and what it keeps of pods.
// It asks the machine, not a memory, so it works after a crash as well. Logs and the control plane's objects stay.
func (d dir) clear(ctx context.Context) error {
	for _, folder := range []string{d.pids(), filepath.Join(d.controlPlane(), "run")} {
		if err := supervise.EndLeftovers(ctx, folder, supervise.DefaultGrace); err != nil {
			return fmt.Errorf("end the programs of an earlier node: %w", err)
		}
	}
	// Containers' processes first, then their shims, which would else report each death to a containerd that is gone.
	errs := []error{removeCgroups(ctx), d.killShims(ctx), d.unmount()}
	errs = append(errs, removeNetwork(ctx), d.restoreSettings(), d.removeForeignFiles())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clear what an earlier node left: %w", err)
	}
	for _, folder := range []string{"containerd", "kubelet", "cni", "pods", foreignNote, settingsNote} {
		if err := os.RemoveAll(d.path(folder)); err != nil {
			return fmt.Errorf("delete what an earlier node kept of its pods: %w", err)
		}
	}
	return nil
}

// killShims ends the processes that hold containers for containerd; they are their own masters and outlive it.
func (d dir) killShims(ctx context.Context) error {
	return killUntilGone(ctx, "that hold containers", func() ([]int, error) {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return nil, err
		}
		var pids []int
		for _, file := range lines {
			line, err := os.ReadFile(file) //nolint:gosec // the kernel's files
			if err != nil {
				continue // it has ended
			}
			args := strings.Split(string(line), "\x00")
			if strings.HasPrefix(filepath.Base(args[0]), "containerd-shim") && slices.Contains(args, d.socket()) {
				pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				if err != nil {
					return nil, err
				}
				pids = append(pids, pid)
			}
		}
		return pids, nil
	})
}

// unmount takes away every mount below the directory, the latest first.
func (d dir) unmount() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for mounts: %w", err)
	}
	var points []string
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], string(d)+"/") {
			points = append(points, fields[4])
		}
	}
	var errs []error
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

// foreign are folders outside of the data directory that kubelet and containerd use whatever they are told.
var foreign = []string{"/var/log/containers", "/var/lib/kubelet", "/run/containerd", "/var/lib/cni", "/usr/libexec/kubernetes"}

// noteForeign remembers which of the foreign folders were not there before the node.
func (d dir) noteForeign() error {
	var absent []string
	for _, folder := range foreign {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			absent = append(absent, folder)
		}
	}
	return d.note(foreignNote, strings.Join(absent, "\n"))
}

// removeForeignFiles deletes the foreign folders that the node made.
func (d dir) removeForeignFiles() error {
	content, err := d.noted(foreignNote)
	if err != nil {
		return err
	}
	var errs []error
	for _, folder := range strings.Fields(content) {
		if slices.Contains(foreign, folder) {
			errs = append(errs, os.RemoveAll(folder))
		}
	}
	return errors.Join(errs...)
}

// settings are the kernel's that kubelet changes for the whole machine.
var settings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// noteSettings remembers the kernel's settings as they are before the node.
func (d dir) noteSettings() error {
	var lines []string
	for _, name := range settings {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			continue // this kernel does not have it
		}
		lines = append(lines, name+" "+strings.TrimSpace(string(value)))
	}
	return d.note(settingsNote, strings.Join(lines, "\n"))
}

// restoreSettings puts back what noteSettings remembers.
func (d dir) restoreSettings() error {
	content, err := d.noted(settingsNote)
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(content) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(settings, name) {
			errs = append(errs, os.WriteFile("/proc/sys/"+name, []byte(value), 0o600))
		}
	}
	return errors.Join(errs...)
}

func (d dir) note(name, content string) error {
	if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
		return fmt.Errorf("note what was there before the node: %w", err)
	}
	return nil
}

// noted reads a note; none is an empty one.
func (d dir) noted(name string) (string, error) {
	content, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read what was there before the node: %w", err)
	}
	return string(content), nil
}
