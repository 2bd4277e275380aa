package manifests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Retries after a pass with problems begin quickly and grow rarer, up to Options.Recheck.
const firstRetry = time.Second

var errClosed = errors.New("watch the manifests: the watcher was closed")

// Watch makes a pass whenever a directory changes, soon again after one with problems, and every Options.Recheck, until ctx
// ends. It returns an error only when it cannot watch at all.
func (a *Applier) Watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the manifests: %w", err)
	}
	defer watcher.Close() //nolint:errcheck // nothing is lost with it
	var retry time.Duration
	for ctx.Err() == nil {
		problems, folders := a.Sync(ctx)
		if watch(watcher, append(folders, a.options.Directories...)) {
			continue // a folder that is new to us may have changed between its reading and its watching
		}
		retry = nextRetry(retry, len(problems) > 0, a.options.Recheck)
		changed, err := a.await(ctx, watcher, cmp.Or(retry, a.options.Recheck))
		if err != nil {
			return err
		}
		if changed {
			retry = 0
		}
	}
	return nil
}

// nextRetry is how long to wait before trying again what had problems, given the wait before; 0 where there were none.
func nextRetry(previous time.Duration, problems bool, atMost time.Duration) time.Duration {
	if !problems {
		return 0
	}
	return min(max(2*previous, firstRetry), atMost)
}

// await returns when a watched folder has changed and been quiet for a while (true), or after the time given (false).
func (a *Applier) await(ctx context.Context, watcher *fsnotify.Watcher, atMost time.Duration) (changed bool, err error) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-timer.C:
			return changed, nil
		case event, open := <-watcher.Events:
			if !open {
				return false, errClosed
			}
			if event.Op == fsnotify.Chmod {
				continue
			}
			changed = true
			timer.Reset(a.options.Debounce)
		case _, open := <-watcher.Errors: // such as more events than the kernel keeps: something has changed
			if !open {
				return false, errClosed
			}
			changed = true
			timer.Reset(a.options.Debounce)
		}
	}
}

// watch makes the watcher follow exactly these folders, as far as they exist, and reports whether one was added.
func watch(watcher *fsnotify.Watcher, folders []string) (added bool) {
	for _, old := range watcher.WatchList() {
		if !slices.Contains(folders, old) {
			_ = watcher.Remove(old) // gone, most likely
		}
	}
	for _, folder := range folders {
		if slices.Contains(watcher.WatchList(), folder) {
			continue
		}
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			continue // reported by the pass, and looked for again by the next
		}
		added = watcher.Add(folder) == nil || added
	}
	return added
}
