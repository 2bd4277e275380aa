//go:build unix && !linux

package supervise

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// childAttributes: other systems have no parent-death signal, so after a kill -9 the pid files alone find what is left.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// identify asks ps, which every Unix has.
func identify(pid int) (identity, error) {
	read := func(column string) (string, error) {
		out, err := exec.Command("ps", "-o", column+"=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
		if err != nil {
			return "", fmt.Errorf("look up process %d: %w", pid, err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	started, err := read("lstart")
	if err != nil {
		return identity{}, err
	}
	command, err := read("command")
	if err != nil {
		return identity{}, err
	}
	return identity{PID: pid, Started: started, Args: []string{command}}, nil
}
