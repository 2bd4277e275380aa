package campaign

import (
	"fmt"
	"time"

	"github.com/netresearch/go-cron"
)

// DefaultStartingDeadline is how late a send may begin when its schedule does not say.
const DefaultStartingDeadline = 6 * time.Hour

// occurrenceLayout names an occurrence of a schedule that recurs: cron knows no seconds.
const occurrenceLayout = "2006-01-02T15:04"

// ParseLocal reads a local date and time such as 2027-03-21T09:00:00, and holds it as if it were UTC.
func ParseLocal(at string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05", occurrenceLayout} {
		if t, err := time.Parse(layout, at); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no local date and time: write it as 2027-03-21T09:00:00", at)
}

// cronSchedule answers for readings of a clock that is never changed, held as if they were UTC: what a change of the clock
// means is decided where a reading becomes an instant, and nowhere else.
type cronSchedule struct{ cron.Schedule }

// cronParser reads five fields, or a word such as @weekly, as CronJobs do: where both days are restricted, either matches.
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)

func parseCron(spec string) (*cronSchedule, error) {
	parsed, err := cronParser.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w: write five fields (minute, hour, day of month, month, day of week), such as 0 9 * * MON", spec, err)
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	switch {
	case !ok:
		return nil, fmt.Errorf("cron %q has no times of day, by which its occurrences are known: write five fields, such as 0 */6 * * *", spec)
	case fields.Location != time.Local:
		return nil, fmt.Errorf("cron %q names a time zone: say it in timeZone", spec)
	}
	fields.Location = time.UTC
	if fields.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("cron %q never comes: there is no such day", spec)
	}
	return &cronSchedule{fields}, nil
}

// After is the occurrence that follows another, which Local names, and whether there is one before the schedule ends.
//
// Each local time occurs once, also where a clock is set back over it. One that a clock change skips is taken later by what
// was skipped, and left out where that is the time of another occurrence.
func (s Schedule) After(local string) (Occurrence, bool) {
	reading, err := time.Parse(occurrenceLayout, local)
	if err != nil || s.cron == nil {
		return Occurrence{}, false
	}
	return s.following(reading)
}

// Upcoming is the first occurrence for which it is not too late in the schedule's own zone: it begins at this moment or
// later. It also tells whether there is one before the schedule ends.
func (s Schedule) Upcoming(now time.Time) (Occurrence, bool) {
	if s.cron == nil {
		return Occurrence{}, false
	}
	// No clock reads a time that is further behind than this.
	at := now.UTC().Add(furthestBehind).Add(-time.Hour)
	for {
		o, ok := s.following(at)
		if !ok {
			return o, false
		}
		at, _ = time.Parse(occurrenceLayout, o.Local)
		if !Instant(at, s.zone).Before(now) {
			return o, true
		}
	}
}

func (s Schedule) following(reading time.Time) (Occurrence, bool) {
	for {
		reading = s.cron.Next(reading)
		if reading.IsZero() {
			return Occurrence{}, false
		}
		o := s.occurrence(reading)
		if !s.endsAt.IsZero() && !o.StartsAt.Before(s.endsAt) {
			return Occurrence{}, false
		}
		if !s.doubled(reading, o) {
			return o, true
		}
	}
}

// doubled tells whether an occurrence is one that the clock skips and that would be taken at the time of another.
func (s Schedule) doubled(local time.Time, o Occurrence) bool {
	if s.perRecipient || reads(o.StartsAt, local, s.zone) {
		return false
	}
	taken := Reading(o.StartsAt, s.zone)
	return s.cron.Next(taken.Add(-time.Minute)).Equal(taken)
}

// Step is what a schedule that recurs comes to at a moment.
type Step struct {
	// Missed are occurrences whose deadline has passed, or behind which another may begin already: the last of them, at most
	// maxMissed.
	Missed []Occurrence
	// Begun is the one that may begin now; nil for none. Where several may, as after an absence, it is the last: nobody wants
	// the news of three days at once.
	Begun *Occurrence
	// Next is what lies ahead; nil where the schedule has ended.
	Next *Occurrence
}

// maxMissed bounds how many missed occurrences are recorded after a long absence: a daily campaign's of a month.
const maxMissed = 31

// Advance tells which occurrences have come by now, from the one that was next.
func (s Schedule) Advance(next string, now time.Time) (Step, error) {
	reading, err := time.Parse(occurrenceLayout, next)
	if err != nil {
		return Step{}, fmt.Errorf("read occurrence %q: %w", next, err)
	}
	var step Step
	o := s.occurrence(reading)
	for ok := true; ok; o, ok = s.After(o.Local) {
		switch {
		case !s.endsAt.IsZero() && !o.StartsAt.Before(s.endsAt):
			return step, nil
		case now.Before(o.StartsAt):
			step.Next = &o
			return step, nil
		case now.After(o.Deadline) || !s.endsAt.IsZero() && !now.Before(s.endsAt):
			step.miss(o)
		default:
			if step.Begun != nil {
				step.miss(*step.Begun)
			}
			begun := o
			step.Begun = &begun
		}
	}
	return step, nil
}

func (s *Step) miss(o Occurrence) {
	s.Missed = append(s.Missed, o)
	if len(s.Missed) > maxMissed {
		s.Missed = s.Missed[1:]
	}
}
