package campaign

import (
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Timing is when a campaign is sent, as its author declares it. It is stored with the send, so that a worker plans by it
// without the cluster. Either At or Cron is set.
type Timing struct {
	At   string `json:"at,omitempty"`   // a local date and time
	Cron string `json:"cron,omitempty"` // five fields, as CronJobs have them
	// TimeZone is the IANA zone in which At, Cron and EndsAt are read; where PerRecipient is set, the zone of recipients of
	// whom no zone is known.
	TimeZone string `json:"timeZone,omitempty"`
	// PerRecipient has each recipient's own clock decide about At or Cron.
	PerRecipient bool `json:"perRecipient,omitempty"`
	// StartingDeadline is a duration such as 6h; "" means DefaultStartingDeadline.
	StartingDeadline string `json:"startingDeadline,omitempty"`
	EndsAt           string `json:"endsAt,omitempty"` // a local date and time; "" for no end
	// Hours are those in which messages may be begun; without any, all are.
	Hours *Hours `json:"hours,omitempty"`
}

// Schedule is a Timing that has been read and found right.
type Schedule struct {
	at           time.Time // the clock's reading, held as if it were UTC; zero where the schedule recurs
	cron         *cronSchedule
	zone         *time.Location
	perRecipient bool
	deadline     time.Duration
	endsAt       time.Time // an instant; zero for no end
}

// Parse reads a timing. Its errors name the field and the mend.
func (t Timing) Parse() (Schedule, error) {
	s := Schedule{perRecipient: t.PerRecipient, deadline: DefaultStartingDeadline}
	var err error
	if s.zone, err = crm.ParseZone(t.TimeZone); err != nil {
		return Schedule{}, err
	}
	switch {
	case (t.At == "") == (t.Cron == ""):
		return Schedule{}, fmt.Errorf("give either at, for a campaign that is sent once, or cron, for one that recurs")
	case t.Cron != "":
		s.cron, err = parseCron(t.Cron)
	default:
		s.at, err = ParseLocal(t.At)
	}
	if err != nil {
		return Schedule{}, err
	}
	if t.StartingDeadline != "" {
		if s.deadline, err = ParseDuration(t.StartingDeadline); err != nil {
			return Schedule{}, fmt.Errorf("starting deadline: %w", err)
		}
	}
	if t.EndsAt != "" {
		local, err := ParseLocal(t.EndsAt)
		if err != nil {
			return Schedule{}, fmt.Errorf("endsAt: %w", err)
		}
		s.endsAt = Instant(local, s.zone)
	}
	if t.Hours != nil {
		if err := t.Hours.check(); err != nil {
			return Schedule{}, err
		}
	}
	return s, nil
}

// SameHours tells whether two timings have messages begun in the same hours.
func (t Timing) SameHours(o Timing) bool { return t.Hours.equal(o.Hours) }

// SameStart tells whether two timings begin at the same moments.
func (t Timing) SameStart(o Timing) bool {
	return t.At == o.At && t.Cron == o.Cron && t.TimeZone == o.TimeZone && t.PerRecipient == o.PerRecipient &&
		t.StartingDeadline == o.StartingDeadline
}

// Recurs tells whether the schedule has occurrences.
func (s Schedule) Recurs() bool { return s.cron != nil }

// PerRecipient tells whether each recipient's own clock decides.
func (s Schedule) PerRecipient() bool { return s.perRecipient }

// EndsAt is the moment after which nothing is begun; the zero time for no end.
func (s Schedule) EndsAt() time.Time { return s.endsAt }

// Occurrence is one beginning of a schedule.
type Occurrence struct {
	// Local is the date and time that names it among those of a schedule that recurs, such as 2027-03-21T09:00; "" for the
	// only one of a schedule that does not.
	Local string
	// StartsAt is when it begins, and Deadline until when it may. Where each recipient's clock decides, they are those of the
	// first zone on Earth in which it is that time and of the last one.
	StartsAt time.Time
	Deadline time.Time
}

// Once is the only occurrence of a schedule that does not recur.
func (s Schedule) Once() Occurrence {
	o := s.occurrence(s.at)
	o.Local = ""
	return o
}

// The clocks on Earth that are furthest ahead and behind. No zone's offset has been beyond them since 1995.
const (
	furthestAhead  = 14 * time.Hour
	furthestBehind = -12 * time.Hour
)

func (s Schedule) occurrence(local time.Time) Occurrence {
	o := Occurrence{Local: local.Format(occurrenceLayout)}
	if s.perRecipient {
		o.StartsAt, o.Deadline = local.Add(-furthestAhead), local.Add(-furthestBehind).Add(s.deadline)
		return o
	}
	o.StartsAt = Instant(local, s.zone)
	o.Deadline = o.StartsAt.Add(s.deadline)
	return o
}

// Begin is when a recipient's message may be begun.
type Begin struct {
	StartsAt time.Time
	Deadline time.Time
}

// BeginIn is when an occurrence begins for recipients of a zone, which must be one that crm.ParseZone knows; others have the
// schedule's. local names the occurrence; "" is the only one of a schedule that does not recur.
func (s Schedule) BeginIn(zone, local string) (Begin, error) {
	reading, at := s.at, s.zone
	if local != "" {
		var err error
		if reading, err = time.Parse(occurrenceLayout, local); err != nil {
			return Begin{}, fmt.Errorf("read occurrence %q: %w", local, err)
		}
	}
	if s.perRecipient {
		if own, err := crm.ParseZone(zone); err == nil {
			at = own
		}
	}
	starts := Instant(reading, at)
	return Begin{StartsAt: starts, Deadline: starts.Add(s.deadline)}, nil
}

// Begins are the beginnings of an occurrence in each of the zones that are known, and what those of no known zone have,
// under "".
func (s Schedule) Begins(zones []string, local string) (map[string]Begin, error) {
	begins := make(map[string]Begin, len(zones)+1)
	for _, zone := range append([]string{""}, zones...) {
		if _, err := crm.ParseZone(zone); err != nil && zone != "" {
			continue
		}
		begin, err := s.BeginIn(zone, local)
		if err != nil {
			return nil, err
		}
		begins[zone] = begin
	}
	return begins, nil
}
