//go:build !linux

package postgres

import "syscall"

// setParentDeathSignal has no counterpart here: the next start on the same directory ends what was left behind.
func setParentDeathSignal(*syscall.SysProcAttr) {}
