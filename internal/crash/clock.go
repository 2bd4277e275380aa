package crash

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockVariable names the file by which a worker tells the time: it holds how many nanoseconds its clock is ahead of the machine's.
// A scenario sets it, so that days pass while it runs.
const clockVariable = "TERTULIA_CRASH_CLOCK"

// readClock is the time by a file. One that cannot be read changes nothing.
func readClock(path string) time.Time {
	now := time.Now()
	content, err := os.ReadFile(path) //nolint:gosec // the suite's own file
	if err != nil {
		return now
	}
	ahead, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	if err != nil {
		return now
	}
	return now.Add(time.Duration(ahead))
}

// setClock makes it this time for the scenario's workers, from now on.
func (w *world) setClock(now time.Time) error {
	next := w.clock + ".next"
	if err := os.WriteFile(next, []byte(strconv.FormatInt(int64(time.Until(now)), 10)), 0o600); err != nil {
		return fmt.Errorf("set the workers' clock: %w", err)
	}
	if err := os.Rename(next, w.clock); err != nil { // never half a number
		return fmt.Errorf("set the workers' clock: %w", err)
	}
	return nil
}
