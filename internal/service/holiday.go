package service

import (
	"fmt"
	"time"
)

// holiday is a day off; in every year, where the year is 0.
type holiday struct {
	year  int
	month time.Month
	day   int
}

// parseHolidays reads 2027-03-25 and 12-25. The 29th of February comes in leap years only.
func parseHolidays(list []string) (map[holiday]bool, error) {
	if len(list) > MaxHolidays {
		return nil, fmt.Errorf("holidays: are %d: name at most %d, and drop those that are over", len(list), MaxHolidays)
	}
	days := make(map[holiday]bool, len(list))
	for i, text := range list {
		// A leap year, so that every day of any year can be named.
		full, yearly := text, len(text) == len("12-25")
		if yearly {
			full = "2024-" + text
		}
		date, err := time.Parse(time.DateOnly, full)
		if err != nil {
			return nil, fmt.Errorf("holidays[%d]: %q is no day: write 2027-03-25, or 12-25 for one that comes every year", i, text)
		}
		h := holiday{date.Year(), date.Month(), date.Day()}
		if yearly {
			h.year = 0
		}
		days[h] = true
	}
	return days, nil
}

// off tells whether a date, held as midnight in UTC, is a holiday.
func (c Calendar) off(date time.Time) bool {
	if len(c.holidays) == 0 {
		return false
	}
	year, month, day := date.Date()
	return c.holidays[holiday{year, month, day}] || c.holidays[holiday{0, month, day}]
}
