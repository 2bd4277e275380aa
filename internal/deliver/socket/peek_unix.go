//go:build unix

package socket

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peek looks at a socket without waiting: whether the other side closed or reset it, and whether it said something
// that nobody has read. Where there is no socket to look at, neither is known to be so.
func Peek(raw syscall.RawConn) (closed, pending bool) {
	if raw == nil {
		return false, false
	}
	var n int
	var err error
	var b [1]byte
	failed := raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case failed != nil:
		return true, false
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return false, false
	case err != nil || n == 0:
		return true, false
	}
	return false, true
}
