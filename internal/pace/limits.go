package pace

import (
	"errors"
	"fmt"
	"time"
)

// Limits are what a channel declares. The zero value sets none.
type Limits struct {
	PerSecond          int     `json:"perSecond,omitempty"`          // messages over the channel; 0: no limit
	PerDomainPerSecond int     `json:"perDomainPerSecond,omitempty"` // messages to one receiver; 0: no limit
	PerDay             int64   `json:"perDay,omitempty"`             // messages over the channel in a day of the tenant's time zone; 0: no limit
	WarmUp             *WarmUp `json:"warmUp,omitempty"`             // nil: none
}

// WarmUp bounds the first days of a sender that receivers do not know yet.
type WarmUp struct {
	StartsOn string `json:"startsOn"` // the first day, such as 2027-03-01
	Steps    []Step `json:"steps"`    // by day, from day 1
}

// Step is the bound of the days from one on until the next step's.
type Step struct {
	Day    int   `json:"day"` // 1 is StartsOn
	PerDay int64 `json:"perDay"`
}

// Day is a day of the tenant's time zone with the messages that may leave within it.
type Day struct {
	From  time.Time
	Bound int64
}

// Limited tells whether there is any limit.
func (l Limits) Limited() bool {
	return l.PerSecond > 0 || l.PerDomainPerSecond > 0 || l.Daily()
}

// Daily tells whether there is a bound for the day.
func (l Limits) Daily() bool { return l.PerDay > 0 || l.WarmUp != nil }

// Check tells what is wrong with limits, naming the field and the mend.
func (l Limits) Check() error {
	if l.PerSecond < 0 || l.PerDomainPerSecond < 0 || l.PerDay < 0 {
		return errors.New("a rate is a positive number: remove the field for no limit")
	}
	if l.WarmUp == nil {
		return nil
	}
	if _, err := time.Parse(time.DateOnly, l.WarmUp.StartsOn); err != nil {
		return fmt.Errorf("warmUp.startsOn %q is no day: write it as 2027-03-01", l.WarmUp.StartsOn)
	}
	if len(l.WarmUp.Steps) == 0 || l.WarmUp.Steps[0].Day != 1 {
		return errors.New("warmUp.steps begin with day 1: say how many messages may leave on it")
	}
	for i, s := range l.WarmUp.Steps {
		if s.PerDay < 1 || (i > 0 && s.Day <= l.WarmUp.Steps[i-1].Day) {
			return fmt.Errorf("warmUp.steps: day %d is out of order, twice, or has no positive perDay", s.Day)
		}
	}
	return nil
}

// daysAround is how many days are told from yesterday on, so that who decides a little earlier or later finds his day.
const daysAround = 3

// Days are yesterday, today and tomorrow in a time zone with their bounds, and nil where there is no bound for the day.
func (l Limits) Days(zone *time.Location, now time.Time) []Day {
	if !l.Daily() {
		return nil
	}
	days := make([]Day, 0, daysAround)
	year, month, today := now.In(zone).Date()
	for i := range daysAround {
		from := time.Date(year, month, today-1+i, 0, 0, 0, 0, zone)
		days = append(days, Day{From: from, Bound: l.bound(time.Date(year, month, today-1+i, 0, 0, 0, 0, time.UTC))})
	}
	return days
}

// bound is how many messages may leave on a date. Before a warm-up has begun its first step holds, and after its last step
// that one: a sender is never faster because somebody counted the days wrongly.
func (l Limits) bound(date time.Time) int64 {
	bound := l.PerDay
	if l.WarmUp == nil {
		return bound
	}
	first, err := time.Parse(time.DateOnly, l.WarmUp.StartsOn)
	if err != nil {
		return 0
	}
	number := 1 + int(date.Sub(first).Hours()/24)
	step := l.WarmUp.Steps[0]
	for _, s := range l.WarmUp.Steps {
		if s.Day <= number {
			step = s
		}
	}
	if bound == 0 {
		return step.PerDay
	}
	return min(bound, step.PerDay)
}

// dailyOverdraft is the part of a day's bound by which transactional messages may exceed it.
const dailyOverdraft = 10

// Room is how many messages of a class may still leave on a day that has seen so many. Transactional ones may exceed the
// bound by a tenth, and by one at least.
func (d Day) Room(granted int64, c Class) int64 {
	bound := d.Bound
	if c == Transactional {
		bound += max(1, d.Bound/dailyOverdraft)
	}
	return max(0, bound-granted)
}
