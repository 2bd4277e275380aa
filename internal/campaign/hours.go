package campaign

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Hours are the times of the week in which messages may be begun.
type Hours struct {
	// TimeZone is the IANA zone in which they are read; "" for each recipient's own.
	TimeZone string `json:"timeZone,omitempty"`
	// Open are the windows in one of which who is written to must be; without any, every time is open.
	Open []Window `json:"open,omitempty"`
	// Closed are windows in which nobody is written to, whatever is open.
	Closed []Window `json:"closed,omitempty"`
}

// Window is a span of local time on some days of the week.
type Window struct {
	// Days are those on which it begins, such as Monday; without any, all.
	Days []string `json:"days,omitempty"`
	// From and To are times of day such as 09:00; 24:00 ends a day. A window whose end is not after its beginning ends on
	// the next day.
	From string `json:"from"`
	To   string `json:"to"`
}

// minutesOfDay is how many a day has that no clock change falls on.
const minutesOfDay = 24 * 60

// Span is a window as it is reckoned with, in minutes of the day on which it begins; To may be on the next.
type Span struct {
	Days     [7]bool // in the order of time.Weekday
	From, To int
}

// Parse reads a window. Its errors name the mend.
func (w Window) Parse() (Span, error) {
	var s Span
	for _, day := range w.Days {
		i := slices.Index(weekdays, day)
		if i < 0 {
			return s, fmt.Errorf("%q is no day of the week: write it as Monday", day)
		}
		s.Days[i] = true
	}
	if len(w.Days) == 0 {
		s.Days = [7]bool{true, true, true, true, true, true, true}
	}
	var err error
	if s.From, err = ParseTimeOfDay(w.From); err != nil {
		return s, err
	}
	if s.To, err = ParseTimeOfDay(w.To); err != nil {
		return s, err
	}
	if s.From == minutesOfDay {
		return s, fmt.Errorf("a window cannot begin at 24:00: write 00:00 of the next day")
	}
	if s.To <= s.From {
		s.To += minutesOfDay
	}
	return s, nil
}

// weekdays are in the order of time.Weekday.
var weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

// ParseTimeOfDay reads a time of day such as 09:00, as minutes; 24:00 ends a day.
func ParseTimeOfDay(text string) (int, error) {
	if len(text) == len("09:00") && text[2] == ':' {
		hour, err := strconv.ParseUint(text[:2], 10, 8)
		minute, err2 := strconv.ParseUint(text[3:], 10, 8)
		if at := int(hour)*60 + int(minute); err == nil && err2 == nil && minute < 60 && at <= minutesOfDay { //nolint:gosec // two digits
			return at, nil
		}
	}
	return 0, fmt.Errorf("%q is no time of day: write it as 09:00", text)
}

func (h *Hours) check() error {
	if h.TimeZone != "" {
		if _, err := crm.ParseZone(h.TimeZone); err != nil {
			return fmt.Errorf("hours: %w", err)
		}
	}
	for _, w := range slices.Concat(h.Open, h.Closed) {
		if _, err := w.Parse(); err != nil {
			return fmt.Errorf("hours: %w", err)
		}
	}
	return nil
}

func (h *Hours) equal(o *Hours) bool {
	if h == nil || o == nil {
		return h == o
	}
	same := func(a, b Window) bool { return a.From == b.From && a.To == b.To && slices.Equal(a.Days, b.Days) }
	return h.TimeZone == o.TimeZone && slices.EqualFunc(h.Open, o.Open, same) && slices.EqualFunc(h.Closed, o.Closed, same)
}

// OpenHours answers when a recipient may be written to. Where there are several Hours, as those of a campaign and those of a
// policy, all have to be open. The zero value is always open.
type OpenHours struct {
	rules    []openRule
	fallback *time.Location
}

type openRule struct {
	zone        *time.Location // nil for the recipient's
	spans       []Span         // in one of which it is open; without any, always
	closedSpans []Span         // in which it is not
}

// CompileHours prepares hours for a tenant's recipients. fallback is the zone of recipients of whom no zone is known.
func CompileHours(list []Hours, fallback *time.Location) (OpenHours, error) {
	compiled := OpenHours{fallback: fallback}
	for i := range list {
		h := &list[i]
		if err := h.check(); err != nil {
			return OpenHours{}, err
		}
		var rule openRule
		if h.TimeZone != "" {
			rule.zone, _ = crm.ParseZone(h.TimeZone)
		}
		rule.spans, rule.closedSpans = parseWindows(h.Open), parseWindows(h.Closed)
		compiled.rules = append(compiled.rules, rule)
	}
	return compiled, nil
}

// parseWindows reads windows that have been checked.
func parseWindows(list []Window) []Span {
	var spans []Span
	for _, w := range list {
		s, _ := w.Parse()
		spans = append(spans, s)
	}
	return spans
}

// Always tells whether everybody may be written to at any time.
func (o OpenHours) Always() bool { return len(o.rules) == 0 }

// ByRecipient tells whether the recipient's own zone matters.
func (o OpenHours) ByRecipient() bool {
	return slices.ContainsFunc(o.rules, func(r openRule) bool { return r.zone == nil })
}

// never is how long a recipient waits whose hours do not open within a week and a day, as when two rules exclude each other.
// Then they are looked at again: rules are edited.
const never = 24 * time.Hour

// Next is the first moment, now or later, at which a recipient of a zone may be written to.
func (o OpenHours) Next(zone string, now time.Time) time.Time {
	own, err := crm.ParseZone(zone)
	if err != nil {
		own = o.fallback
	}
	at := now
	// Each step goes from one opening to a later one of another rule: a week has few of them.
	const steps = 200
	for range steps {
		later := at
		for _, r := range o.rules {
			opens, ok := r.next(own, at)
			if !ok {
				return now.Add(never)
			}
			if opens.After(later) {
				later = opens
			}
		}
		if later.Equal(at) {
			return at
		}
		at = later
	}
	return now.Add(never)
}

// next is the first moment, at or after the given one, at which the rule is open; false where it does not open in a week.
func (r openRule) next(own *time.Location, at time.Time) (time.Time, bool) {
	zone := r.zone
	if zone == nil {
		zone = own
	}
	local := Reading(at, zone)
	if r.open(local) {
		return at, true
	}
	// It opens where a window begins or a closed one ends. The first day is yesterday: what began then may end today.
	midnight := local.Truncate(24*time.Hour).AddDate(0, 0, -1)
	var first time.Time
	consider := func(date time.Time, minutes int) {
		opens := Instant(date.Add(time.Duration(minutes)*time.Minute), zone)
		// A beginning that the clock skips can be taken at a time at which the window is over.
		if opens.After(at) && r.open(Reading(opens, zone)) && (first.IsZero() || opens.Before(first)) {
			first = opens
		}
	}
	for day := range 10 {
		date := midnight.AddDate(0, 0, day)
		for _, s := range r.spans {
			if s.Days[date.Weekday()] {
				consider(date, s.From)
			}
		}
		for _, s := range r.closedSpans {
			if s.Days[date.Weekday()] {
				consider(date, s.To)
			}
		}
	}
	return first, !first.IsZero()
}

// open tells whether a clock's reading is in an open window and in no closed one.
func (r openRule) open(local time.Time) bool {
	return (len(r.spans) == 0 || within(r.spans, local)) && !within(r.closedSpans, local)
}

func within(spans []Span, local time.Time) bool {
	minute := local.Hour()*60 + local.Minute()
	day, before := local.Weekday(), local.AddDate(0, 0, -1).Weekday()
	for _, s := range spans {
		if s.Days[day] && minute >= s.From && minute < s.To || s.Days[before] && minute+minutesOfDay < s.To {
			return true
		}
	}
	return false
}
