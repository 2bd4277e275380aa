package cli

import (
	"os"
	"runtime/debug"
)

// gcPercent makes garbage be collected at half of what is in use, instead of at the double. An operator holds every object
// and rests most of the time, and what a restart costs in garbage would count as memory for ever. A server makes garbage fast
// while it imports. Memory is dearer to both than the collector's time.
const gcPercent = 50

// collectEarly sets it, unless the environment says otherwise.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
