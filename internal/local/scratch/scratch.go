// Package scratch makes directories for what need not outlive a process, such as the databases of tests: in memory, where the machine has enough. A file system
// with a journal is slow at making and removing databases by the thousand, because it does not use an inode again that was freed just before, and looks
// through all of those whenever it needs one.
package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/local/filelock"
)

// room is how much memory a machine has at least, and how much of the file system in memory is free, where that is used.
const room = 6 << 30

// prefix begins the names of all directories.
const prefix = "tertulia-scratch-"

// lockName is the file that this process locks in its directory for as long as it lives.
const lockName = "lock"

// Dir is a directory of this process.
type Dir struct {
	path string
	lock *filelock.Lock
}

// Make makes a directory. What processes left behind that were killed is removed, so that it does not fill the memory.
func Make() (*Dir, error) { return makeIn(parent()) }

// parent is where directories are made.
func parent() string {
	if memory, ok := inMemory(); ok {
		return memory
	}
	return os.TempDir()
}

func makeIn(parent string) (*Dir, error) {
	// One at a time: a directory that is not locked yet is nobody's.
	turn, err := filelock.Acquire(context.Background(), filepath.Join(parent, fmt.Sprintf("tertulia-scratch.lock-%d", os.Getuid())), nil)
	if err != nil {
		return nil, err
	}
	d, err := makeInTurn(parent)
	return d, errors.Join(err, turn.Release())
}

func makeInTurn(parent string) (*Dir, error) {
	if err := sweep(parent); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, fmt.Errorf("make a directory for some time: %w", err)
	}
	lock, err := filelock.TryAcquire(filepath.Join(path, lockName))
	if err != nil {
		return nil, err
	}
	return &Dir{path: path, lock: lock}, nil
}

// sweep removes the directories of processes that are gone.
func sweep(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("look for what was left behind: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		lock, err := filelock.TryAcquire(filepath.Join(path, lockName))
		if err != nil { // it is somebody's, or another user's
			continue
		}
		if err := errors.Join(os.RemoveAll(path), lock.Release()); err != nil {
			return fmt.Errorf("remove what was left behind: %w", err)
		}
	}
	return nil
}

// Path is where the directory is.
func (d *Dir) Path() string { return d.path }

// Remove removes the directory with all that is in it. Nil has nothing.
func (d *Dir) Remove() error {
	if d == nil {
		return nil
	}
	if err := errors.Join(os.RemoveAll(d.path), d.lock.Release()); err != nil {
		return fmt.Errorf("remove a directory: %w", err)
	}
	return nil
}
