package expr

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of a window or an age.
const (
	day         = 24 * time.Hour
	minDuration = time.Second
	maxDuration = 3650 * day
)

var (
	durationPattern = regexp.MustCompile(`^([0-9]{1,12}[wdhms])+$`)
	durationPart    = regexp.MustCompile(`[0-9]+[wdhms]`)
	decimalPattern  = regexp.MustCompile(`^([0-9]{1,30}(\.[0-9]{1,30})?|\.[0-9]{1,30})$`)
)

var durationUnits = map[byte]time.Duration{'w': 7 * day, 'd': day, 'h': time.Hour, 'm': time.Minute, 's': time.Second}

// parseDuration reads 90d, 36h or 1w2d: whole weeks, days of 24 hours, hours, minutes and seconds. There are no months
// and years, because their lengths differ.
func parseDuration(text string) (time.Duration, error) {
	if !durationPattern.MatchString(text) {
		return 0, fmt.Errorf("%s is not a duration: write weeks, days, hours, minutes or seconds, such as 90d or 36h", strconv.Quote(text))
	}
	var total time.Duration
	for _, part := range durationPart.FindAllString(text, -1) {
		n, err := strconv.ParseInt(part[:len(part)-1], 10, 64)
		unit := durationUnits[part[len(part)-1]]
		if err != nil || n > math.MaxInt64/int64(unit) || time.Duration(n)*unit > maxDuration-total {
			return 0, fmt.Errorf("the duration %s is too long: at most 3650d are allowed", text)
		}
		total += time.Duration(n) * unit
	}
	if total < minDuration {
		return 0, fmt.Errorf("the duration %s is too short: at least 1s is needed", text)
	}
	return total, nil
}

// intervalText is a duration as PostgreSQL reads an interval: in seconds, so that no time zone changes its length.
func intervalText(d time.Duration) string {
	return strconv.FormatInt(int64(d/time.Second), 10) + " seconds"
}

// parseDate reads 2026-03-21 and returns it as PostgreSQL reads it.
func parseDate(text string) (string, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 {
		return "", fmt.Errorf("%s is not a date: write year, month and day, such as 2026-03-21", strconv.Quote(text))
	}
	return t.Format(time.DateOnly), nil
}

// parseTimestamp reads an instant as RFC 3339 writes it, to the microsecond, and returns it in UTC.
func parseTimestamp(text string) (string, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return "", fmt.Errorf("%s is not a timestamp: write it as 2026-03-21T09:00:00Z or, with an offset, 2026-03-21T09:00:00+01:00", strconv.Quote(text))
	}
	t = t.UTC()
	if t.Nanosecond()%1000 != 0 {
		return "", errors.New("a timestamp has at most six digits after the second")
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return "", errors.New("a timestamp lies between the years 1 and 9999")
	}
	return t.Format("2006-01-02T15:04:05.999999Z"), nil
}

// numberText finds a number with a point or an exponent at the beginning of a source. The sign may stand apart.
var numberText = regexp.MustCompile(`^(-?)(?:\s|//[^\n]*\n)*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)`)

// parseDecimal takes the text of a number as it stands in the source, so that no digit passes through a float. The
// value that CEL read tells whether it is the same number.
func parseDecimal(source string, value float64) (string, error) {
	parts := numberText.FindStringSubmatch(source)
	if parts == nil || !decimalPattern.MatchString(parts[2]) {
		return "", errors.New("write a decimal with at most 30 digits before and after the point and no exponent, such as 1250.50")
	}
	text := parts[1] + parts[2]
	if read, err := strconv.ParseFloat(text, 64); err != nil || read != value {
		return "", errors.New("this number cannot be read exactly")
	}
	return text, nil
}

// checkText refuses what PostgreSQL cannot store in a text.
func checkText(text string) error {
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return errors.New("a text holds Unicode characters without NUL")
	}
	return nil
}
