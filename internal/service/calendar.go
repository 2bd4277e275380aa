package service

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Hours are when a team works.
type Hours struct {
	// TimeZone is the IANA zone in which they are read; "" for the tenant's.
	TimeZone string `json:"timeZone,omitempty"`
	// Open are the spans of the week in which it works; without any, it works around the clock.
	Open []campaign.Window `json:"open,omitempty"`
	// Holidays are days on which it does not, from midnight to midnight: 2027-03-25, or 12-25 for every year.
	Holidays []string `json:"holidays,omitempty"`
}

// MaxHolidays is how many days off a calendar may name. With fewer than there are days in a year it opens again.
const MaxHolidays = 200

// horizon is how far a calendar is looked at. What takes more working time than there is in it is due at its end.
const horizon = 3653 * 24 * time.Hour

const minutesOfDay = 24 * 60

// stretch is a part of a day, in its minutes by a clock that is never changed.
type stretch struct{ from, to int }

// Calendar reckons in the hours of a team. The zero value is always open.
//
// It is open whenever the clock on the wall says so. What a clock skips in spring is not worked, and what it shows twice in autumn is worked twice.
type Calendar struct {
	zone     *time.Location
	days     *[7][]stretch // by weekday, in their order and apart from each other; nil for always
	holidays map[holiday]bool
}

// Compile prepares hours. fallback is the zone of those that name none. Its errors name the field and the mend.
func (h Hours) Compile(fallback *time.Location) (Calendar, error) {
	c := Calendar{zone: fallback}
	if h.TimeZone != "" {
		zone, err := crm.ParseZone(h.TimeZone)
		if err != nil {
			return Calendar{}, fmt.Errorf("timeZone: %w", err)
		}
		c.zone = zone
	}
	if c.zone == nil {
		return Calendar{}, errors.New("timeZone: is not given, and there is no other: name an IANA zone, such as Europe/Madrid")
	}
	var err error
	if c.holidays, err = parseHolidays(h.Holidays); err != nil {
		return Calendar{}, err
	}
	if len(h.Open) == 0 && len(h.Holidays) == 0 {
		return c, nil
	}
	open := h.Open
	if len(open) == 0 {
		open = []campaign.Window{{From: "00:00", To: "24:00"}}
	}
	c.days = new([7][]stretch)
	for i, w := range open {
		span, err := w.Parse()
		if err != nil {
			return Calendar{}, fmt.Errorf("open[%d]: %w", i, err)
		}
		c.add(span)
	}
	for day := range c.days {
		c.days[day] = joined(c.days[day])
	}
	return c, nil
}

// add takes a window in. What goes on after midnight is the next day's.
func (c *Calendar) add(s campaign.Span) {
	for day, on := range s.Days {
		if !on {
			continue
		}
		c.days[day] = append(c.days[day], stretch{s.From, min(s.To, minutesOfDay)})
		if rest := s.To - minutesOfDay; rest > 0 {
			next := (day + 1) % 7
			c.days[next] = append(c.days[next], stretch{0, rest})
		}
	}
}

// joined orders stretches and joins those that touch.
func joined(list []stretch) []stretch {
	slices.SortFunc(list, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	var apart []stretch
	for _, s := range list {
		if last := len(apart) - 1; last >= 0 && s.from <= apart[last].to {
			apart[last].to = max(apart[last].to, s.to)
			continue
		}
		apart = append(apart, s)
	}
	return apart
}

// Elapsed is how much working time there is between two moments; 0 where the second is not later.
func (c Calendar) Elapsed(from, to time.Time) time.Duration {
	switch {
	case !to.After(from):
		return 0
	case c.days == nil:
		return to.Sub(from)
	}
	var total time.Duration
	for opens, closes := range c.spans(from, to) {
		total += closes.Sub(opens)
	}
	return total
}

// Due is the first moment by which so much working time has passed since another. It is never in the hours off, but at their beginning: what
// is to take a whole day of work is due when that day's work ends. A time that is no positive one has passed at once.
func (c Calendar) Due(from time.Time, work time.Duration) time.Time {
	switch {
	case work <= 0:
		return from
	case c.days == nil:
		return from.Add(work)
	}
	until := from.Add(horizon)
	for opens, closes := range c.spans(from, until) {
		if worked := closes.Sub(opens); worked < work {
			work -= worked
			continue
		}
		return opens.Add(work)
	}
	return until
}

// Open tells whether the team works at a moment.
func (c Calendar) Open(at time.Time) bool {
	return c.Elapsed(at, at.Add(1)) > 0
}

// spans are the open times between two moments, in their order.
func (c Calendar) spans(from, to time.Time) iter.Seq2[time.Time, time.Time] {
	return func(yield func(opens, closes time.Time) bool) {
		// Between two changes of a clock, instants and what it reads are apart by the same.
		for at := from; at.Before(to); {
			_, end := at.In(c.zone).ZoneBounds()
			if end.IsZero() || end.After(to) {
				end = to
			}
			if !c.unchanged(at, end, yield) {
				return
			}
			at = end
		}
	}
}

// unchanged yields the open times of a period in which the clock is not changed; false where that was enough.
func (c Calendar) unchanged(from, to time.Time, yield func(opens, closes time.Time) bool) bool {
	reading := campaign.Reading(from, c.zone)
	ahead := reading.Sub(from)
	last := to.Add(ahead).UTC()
	for date := reading.Truncate(24 * time.Hour); date.Before(last); date = date.Add(24 * time.Hour) {
		if c.off(date) {
			continue
		}
		for _, s := range c.days[date.Weekday()] {
			opens := later(date.Add(time.Duration(s.from)*time.Minute), reading)
			closes := date.Add(time.Duration(s.to) * time.Minute)
			if closes.After(last) {
				closes = last
			}
			if opens.Before(closes) && !yield(opens.Add(-ahead), closes.Add(-ahead)) {
				return false
			}
		}
	}
	return true
}
