package cli

import (
	"os"
	"runtime/debug"
)

// operatorGCPercent makes garbage be collected at half of what is in use, instead of at the double: an operator holds every
// object and rests most of the time, and what a restart costs in garbage would count as memory for ever.
const operatorGCPercent = 50

// collectEarly sets it, unless the environment says otherwise.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(operatorGCPercent)
	}
}
