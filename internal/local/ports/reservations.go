package ports

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// errTaken says that a port was given out already.
var errTaken = errors.New("given out already")

// reservations are the ports that this user's processes were given, as locks of the bytes of one file: byte n is port n. The
// system lets go of them when a process ends, however it ends.
var reservations = &ledger{path: filepath.Join(os.TempDir(), fmt.Sprintf("tertulia-ports-%d", os.Getuid()))}

type ledger struct {
	path string

	mu sync.Mutex
	// file stays open: closing it would let go of this process's locks.
	file *os.File
	// ours are kept here too, because a process's locks never stand against itself.
	ours map[int]bool
}

// take reserves a port until this process ends. It fails with errTaken if this process or another has it.
func (l *ledger) take(port int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		file, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("reserve a port: %w", err)
		}
		l.file, l.ours = file, map[int]bool{}
	}
	if l.ours[port] {
		return errTaken
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1}
	switch err := syscall.FcntlFlock(l.file.Fd(), syscall.F_SETLK, &lock); {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES):
		return errTaken
	case err != nil:
		return fmt.Errorf("reserve port %d in %s: %w", port, l.path, err)
	}
	l.ours[port] = true
	return nil
}
