//go:build unix

package smtp

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// peek looks at a socket without waiting: whether the other side closed or reset it, and whether it said something
// that nobody has read.
func peek(raw syscall.RawConn) (closed, pending bool) {
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
