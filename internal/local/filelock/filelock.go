// Package filelock lets processes of one machine take turns. The kernel holds the lock for as long as the process that took
// it lives, so a process that is killed leaves nothing behind that the next one would have to clean up.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld is returned by TryAcquire when another process (or another Lock of this one) holds the lock.
var ErrHeld = errors.New("the lock is held by another process")

// pollInterval is how often Acquire asks again. flock(2) can wait by itself, but then no context could end the wait.
const pollInterval = 100 * time.Millisecond

// Lock is a lock that this process holds.
type Lock struct{ file *os.File }

// TryAcquire takes the lock on the file at path, which is made when it is missing, or returns ErrHeld at once.
func TryAcquire(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of lock %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock %s: %w", path, err)
	}
	switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return &Lock{file: file}, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(ErrHeld, file.Close())
	default:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
}

// Acquire waits for the lock until ctx ends. waiting, where it is not nil, is called once if somebody else has the lock.
func Acquire(ctx context.Context, path string, waiting func()) (*Lock, error) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		lock, err := TryAcquire(path)
		if !errors.Is(err, ErrHeld) {
			return lock, err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lock %s: %w", path, ctx.Err())
		case <-ticker.C:
		}
	}
}

// Release gives the lock back. The file stays: removing it would let two processes lock two files of one name.
func (l *Lock) Release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release lock %s: %w", l.file.Name(), err)
	}
	return nil
}
