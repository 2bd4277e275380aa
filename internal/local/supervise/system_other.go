//go:build unix && !linux

package supervise

import (
	"errors"
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
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = errGone
	}
	if err != nil {
		return identity{}, fmt.Errorf("look up process %d: %w", pid, err)
	}
	return identity{PID: pid, Started: strings.TrimSpace(string(out))}, nil
}
