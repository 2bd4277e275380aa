package campaign

import (
	"errors"
	"fmt"
	"math"
	"time"
)

var errDuration = errors.New("must be a duration of days, hours, minutes or seconds, such as 90d, 6h or 1d12h")

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
			return 0, fmt.Errorf("%q %w", text, errDuration)
		}
		for len(units) > 0 && units[0].letter != letter {
			units = units[1:]
		}
		if len(units) == 0 || n > int64((math.MaxInt64-total)/units[0].length) {
			return 0, fmt.Errorf("%q %w", text, errDuration)
		}
		total += time.Duration(n) * units[0].length
		units, rest = units[1:], after
	}
	if text == "" {
		return 0, fmt.Errorf("%q %w", text, errDuration)
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
