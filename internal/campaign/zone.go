package campaign

import "time"

// Instant is when the clock of a zone reads a local time, which is held as if it were UTC. A time that a clock change
// skips is taken later by what was skipped (usually an hour); one that happens twice, the first time.
func Instant(local time.Time, zone *time.Location) time.Time {
	// The offsets a day before and a day after are those on the two sides of any change near this time.
	before := local.Add(-offsetAt(local.Add(-24*time.Hour), zone))
	after := local.Add(-offsetAt(local.Add(24*time.Hour), zone))
	switch {
	case reads(before, local, zone) && reads(after, local, zone):
		if after.Before(before) {
			return after
		}
		return before
	case reads(after, local, zone):
		return after
	default:
		// Either the clock reads it with the older offset, or never: then the older offset gives the later reading.
		return before
	}
}

func offsetAt(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// reads tells whether the clock of a zone reads a local time at an instant.
func reads(at, local time.Time, zone *time.Location) bool {
	return Reading(at, zone).Equal(local)
}

// Reading is what the clock of a zone reads at an instant, held as if it were UTC.
func Reading(at time.Time, zone *time.Location) time.Time {
	return at.Add(offsetAt(at, zone)).UTC()
}
