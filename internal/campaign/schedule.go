package campaign

import (
	"errors"
	"fmt"
	"math"
	"time"
	_ "time/tzdata" // schedules work on machines that have no zone files
)

// DefaultStartingDeadline is how late a send may begin when its schedule does not say.
const DefaultStartingDeadline = 6 * time.Hour

// Schedule is when a send begins: a local date and time in a zone.
type Schedule struct {
	local    time.Time // the clock's reading, held as if it were UTC
	zone     *time.Location
	deadline time.Duration
}

// ParseSchedule reads a local time such as 2027-03-21T09:00:00 (the seconds may be missing), an IANA zone, and a
// starting deadline such as 6h, for which "" means DefaultStartingDeadline. Its errors name the field and the mend.
func ParseSchedule(at, zone, deadline string) (Schedule, error) {
	local, err := parseLocal(at)
	if err != nil {
		return Schedule{}, err
	}
	// "" and Local are places of this machine to Go, and no zones to an author.
	if zone == "" || zone == "Local" {
		return Schedule{}, fmt.Errorf("time zone %q is unknown: name an IANA zone, such as Europe/Madrid", zone)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return Schedule{}, fmt.Errorf("time zone %q is unknown: name an IANA zone, such as Europe/Madrid", zone)
	}
	s := Schedule{local: local, zone: location, deadline: DefaultStartingDeadline}
	if deadline != "" {
		if s.deadline, err = ParseDuration(deadline); err != nil {
			return Schedule{}, fmt.Errorf("starting deadline: %w", err)
		}
	}
	return s, nil
}

func parseLocal(at string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, at); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no local date and time: write it as 2027-03-21T09:00:00", at)
}

// StartsAt is the instant at which the send begins. A time that a clock change skips is taken later by what was skipped
// (usually an hour); one that happens twice, the first time.
func (s Schedule) StartsAt() time.Time {
	// The offsets a day before and a day after are those on the two sides of any change near this time.
	before := s.at(s.offset(s.local.Add(-24 * time.Hour)))
	after := s.at(s.offset(s.local.Add(24 * time.Hour)))
	switch {
	case s.reads(before) && s.reads(after):
		if after.Before(before) {
			return after
		}
		return before
	case s.reads(after):
		return after
	default:
		// Either the clock reads it with the older offset, or never: then the older offset gives the later reading.
		return before
	}
}

// StartingDeadline is the last instant at which the send may begin.
func (s Schedule) StartingDeadline() time.Time { return s.StartsAt().Add(s.deadline) }

func (s Schedule) offset(instant time.Time) time.Duration {
	_, seconds := instant.In(s.zone).Zone()
	return time.Duration(seconds) * time.Second
}

func (s Schedule) at(offset time.Duration) time.Time { return s.local.Add(-offset) }

func (s Schedule) reads(instant time.Time) bool {
	return instant.Add(s.offset(instant)).Equal(s.local)
}

// ErrDuration says that a text is no duration.
var ErrDuration = errors.New("must be a duration of days, hours, minutes or seconds, such as 90d, 6h or 1d12h")

// ParseDuration reads a duration as manifests write it: whole days (24 hours each), hours, minutes and seconds, in this
// order, each at most once.
func ParseDuration(text string) (time.Duration, error) {
	units := []struct {
		letter byte
		length time.Duration
	}{{'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}
	var total time.Duration
	rest := text
	for rest != "" {
		n, letter, after, ok := leadingQuantity(rest)
		if !ok {
			return 0, fmt.Errorf("%q %w", text, ErrDuration)
		}
		for len(units) > 0 && units[0].letter != letter {
			units = units[1:]
		}
		if len(units) == 0 || n > int64((math.MaxInt64-total)/units[0].length) {
			return 0, fmt.Errorf("%q %w", text, ErrDuration)
		}
		total += time.Duration(n) * units[0].length
		units, rest = units[1:], after
	}
	if text == "" {
		return 0, fmt.Errorf("%q %w", text, ErrDuration)
	}
	return total, nil
}

// leadingQuantity takes a whole number and its unit from the beginning of a text.
func leadingQuantity(text string) (n int64, unit byte, rest string, ok bool) {
	const maxDigits = 12 // far more than any unit has room for, and no overflow
	i := 0
	for i < len(text) && i < maxDigits && text[i] >= '0' && text[i] <= '9' {
		n = n*10 + int64(text[i]-'0')
		i++
	}
	if i == 0 || i == len(text) {
		return 0, 0, "", false
	}
	return n, text[i], text[i+1:], true
}
