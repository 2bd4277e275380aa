package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// childAttributes makes the kernel send SIGTERM to the child when this process dies, however it dies.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// Indexes of fields 3 and 22 of proc_pid_stat(5), counted from field 3: those before it are the number and the command's name,
// which may itself hold blanks and parentheses.
const (
	stateField = 0
	startField = 19
)

// identify reads what /proc knows of a process: the clock ticks between boot and its start, and which boot that was. The
// command line would be no surer: it is empty while a program is being loaded, and programs may change it.
func identify(pid int) (identity, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("look up this boot: %w", err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		err = errGone
	}
	if err != nil {
		return identity{}, fmt.Errorf("look up process %d: %w", pid, err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= startField {
		return identity{}, fmt.Errorf("look up process %d: its stat file has an unknown form", pid)
	}
	if state := fields[stateField]; state == "Z" || state == "X" { // only its parent has not been told yet
		return identity{}, fmt.Errorf("look up process %d: %w", pid, errGone)
	}
	return identity{PID: pid, Started: strings.TrimSpace(string(boot)) + "+" + fields[startField]}, nil
}
