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

// startField is the index of starttime, field 22 of proc_pid_stat(5), counted from the field after the command's name,
// which is field 2 and may itself hold blanks and parentheses.
const startField = 22 - 3

// identify reads what /proc knows of a process.
func identify(pid int) (identity, error) {
	stat, err := readProc(pid, "stat")
	if err != nil {
		return identity{}, err
	}
	_, rest, found := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) <= startField {
		return identity{}, fmt.Errorf("look up process %d: /proc/%d/stat has an unknown form", pid, pid)
	}
	cmdline, err := readProc(pid, "cmdline")
	if err != nil {
		return identity{}, err
	}
	if len(cmdline) == 0 { // a zombie
		return identity{}, fmt.Errorf("look up process %d: %w", pid, errGone)
	}
	args := strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
	return identity{PID: pid, Started: fields[startField], Args: args}, nil
}

// readProc reads one of the files of a process. A process that goes away meanwhile gives ENOENT or ESRCH.
func readProc(pid int, name string) ([]byte, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		err = errGone
	}
	if err != nil {
		return nil, fmt.Errorf("look up process %d: %w", pid, err)
	}
	return content, nil
}
