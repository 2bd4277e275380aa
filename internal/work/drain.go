package work

import (
	"math"
	"time"
)

// drainWindow is how far back the pace of a channel is looked at.
const drainWindow = 5 * time.Minute

// drains remember how many messages of each channel had an outcome at the last looks.
type drains map[string][]drainLook

// drainLook is one of them.
type drainLook struct {
	at      time.Time
	settled int64
}

// look notes how many messages of a channel have an outcome by now, and tells how many seconds those that are pending take at
// the pace of the window: +Inf while none gets an outcome. It is not known at the first look.
func (d drains) look(channel string, at time.Time, settled, pending int64) (seconds float64, known bool) {
	looks := d[channel]
	if n := len(looks); n > 0 && settled < looks[n-1].settled {
		looks = nil // sends that ended long ago are not counted any more: the numbers cannot be compared
	}
	for len(looks) > 1 && at.Sub(looks[1].at) >= drainWindow {
		looks = looks[1:] // the oldest that is kept is as old as the window
	}
	looks = append(looks, drainLook{at: at, settled: settled})
	d[channel] = looks
	first := looks[0]
	took := at.Sub(first.at).Seconds()
	switch {
	case pending == 0:
		return 0, true
	case took <= 0:
		return 0, false
	case settled == first.settled:
		return math.Inf(1), true
	}
	return float64(pending) * took / float64(settled-first.settled), true
}
