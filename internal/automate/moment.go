package automate

import (
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// lastMoment is the latest until which anybody waits: JSON and people write years with four digits.
var lastMoment = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// bounded keeps a moment within what can be written down.
func bounded(at time.Time) time.Time {
	if at.After(lastMoment) {
		return lastMoment
	}
	return at.UTC().Truncate(time.Microsecond)
}

// days is how many are looked at for the next one of some weekdays: a week and the days around a change of the clock.
const days = 9

// next is the moment until which a wait lasts that begins at a time; false where the attribute's value is not known. A time of day that a change
// of the clock skips is taken later by what was skipped, and one that comes twice the first time.
func (m Moment) next(from time.Time, own *time.Location, typ crm.ValueType, value time.Time, known bool) (time.Time, bool) {
	zone := own
	if m.TimeZone != "" {
		zone = crm.ZoneOrUTC(m.TimeZone)
	}
	if m.At != "" {
		local, err := campaign.ParseLocal(m.At)
		return bounded(campaign.Instant(local, zone)), err == nil
	}
	if m.Attribute == "" {
		return bounded(m.nextDay(campaign.Reading(from, zone), zone, from)), true
	}
	if !known {
		return time.Time{}, false
	}
	local := value
	if typ == crm.Timestamp {
		local = campaign.Reading(value, zone)
	}
	if typ == crm.Date || m.TimeOfDay != "" {
		local = local.Truncate(24 * time.Hour).Add(m.timeOfDay())
	}
	local = local.AddDate(0, 0, m.OffsetDays)
	for !m.on(local) {
		local = local.AddDate(0, 0, 1)
	}
	return bounded(campaign.Instant(local, zone)), true
}

// nextDay is the next time of day on one of the weekdays, after a moment.
func (m Moment) nextDay(reading time.Time, zone *time.Location, after time.Time) time.Time {
	day := reading.Truncate(24 * time.Hour)
	for i := range days {
		local := day.AddDate(0, 0, i-1).Add(m.timeOfDay()) // yesterday's may be skipped into today
		if at := campaign.Instant(local, zone); m.on(local) && at.After(after) {
			return at
		}
	}
	return after.AddDate(0, 0, days) // no clock on Earth comes here
}

// on tells whether a local time is on one of the weekdays.
func (m Moment) on(local time.Time) bool {
	return len(m.Weekdays) == 0 || slices.Contains(m.Weekdays, local.Weekday().String())
}

// timeOfDay is how long after midnight, by a clock that is never changed.
func (m Moment) timeOfDay() time.Duration {
	minutes, _ := campaign.ParseTimeOfDay(m.TimeOfDay) // "" is midnight
	return time.Duration(minutes) * time.Minute
}
