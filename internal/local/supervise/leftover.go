package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// goneInterval is how often a process that is not our child is asked whether it is gone: the kernel tells only its parent.
const goneInterval = 20 * time.Millisecond

// errGone says that there is no such process (any more).
var errGone = errors.New("the process has ended")

// identity tells one process from every other that may get its number later: numbers are recycled, and a pid file outlives
// a crash and a reboot.
type identity struct {
	PID int `json:"pid"`
	// Started is the kernel's word on when the process began, in whatever unit it has. Only equality counts.
	Started string `json:"started"`
}

// alive reports whether this very process still runs.
func (i identity) alive() bool {
	now, err := identify(i.PID)
	return err == nil && i == now
}

func writePIDFile(path string, pid int) error {
	id, err := identify(pid)
	if err != nil {
		return err
	}
	content, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	// A reader must find the whole of it or nothing, so it is written aside and renamed.
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// EndLeftover ends the process noted in a pid file, if it is still that process: SIGTERM, and SIGKILL after grace. A missing
// or unreadable pid file means that there is nothing to end.
func EndLeftover(ctx context.Context, pidFile string, grace time.Duration) error {
	content, err := os.ReadFile(pidFile) //nolint:gosec // the caller's own file
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read pid file %s: %w", pidFile, err)
	}
	var noted identity
	if json.Unmarshal(content, &noted) == nil && noted.PID > 1 && noted.alive() {
		if err := end(ctx, noted, grace); err != nil {
			return err
		}
	}
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove pid file %s: %w", pidFile, err)
	}
	return nil
}

// EndLeftovers ends every process noted in the pid files of a folder, all at the same time. A killed parent's children were
// all sent SIGTERM when it died, so there is no order left to keep.
func EndLeftovers(ctx context.Context, folder string, grace time.Duration) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.pid"))
	if err != nil {
		return fmt.Errorf("list pid files in %s: %w", folder, err)
	}
	ended := make(chan error, len(files))
	for _, file := range files {
		go func() { ended <- EndLeftover(ctx, file, grace) }()
	}
	var errs []error
	for range files {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

func end(ctx context.Context, id identity, grace time.Duration) error {
	if err := sendSignal(id, syscall.SIGTERM); err != nil {
		return err
	}
	graceful, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if awaitGone(graceful, id) == nil {
		return nil
	}
	if err := sendSignal(id, syscall.SIGKILL); err != nil {
		return err
	}
	if err := awaitGone(ctx, id); err != nil {
		return fmt.Errorf("wait for process %d to end: %w", id.PID, err)
	}
	return nil
}

func sendSignal(id identity, sig syscall.Signal) error {
	if err := syscall.Kill(id.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", sig, id.PID, err)
	}
	return nil
}

func awaitGone(ctx context.Context, id identity) error {
	ticker := time.NewTicker(goneInterval)
	defer ticker.Stop()
	for id.alive() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
