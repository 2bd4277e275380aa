package crm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxDecimalDigits bounds each side of a decimal's point; expressions read no more either.
const maxDecimalDigits = 30

var (
	errInteger   = errors.New("is no Integer: write a whole number such as 42, without separators")
	errDecimal   = errors.New("is no Decimal: write a number such as 1234.50, with a point and without separators")
	errBoolean   = errors.New("is no Boolean: write true or false")
	errDate      = errors.New("is no Date: write year, month and day, such as 2027-03-21")
	errTimestamp = errors.New("is no Timestamp: write it as RFC 3339, such as 2027-03-21T09:00:00+01:00")
)

// Canonical checks a text against the type and returns the form in which the database reads it: timestamps in UTC,
// booleans in lower case. The error completes the sentence "the value …" and does not repeat it.
func (t ValueType) Canonical(text string) (string, error) {
	switch t {
	case String:
		return text, nil
	case Integer:
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return "", errInteger
		}
		return strings.TrimPrefix(text, "+"), nil
	case Decimal:
		if !isDecimal(text) {
			return "", errDecimal
		}
		return text, nil
	case Boolean:
		return canonicalBoolean(text)
	case Date:
		day, err := time.Parse(time.DateOnly, text)
		if err != nil || day.Year() < 1 {
			return "", errDate
		}
		return text, nil
	case Timestamp:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return "", errTimestamp
		}
		if at = at.UTC(); at.Year() < 1 || at.Year() > 9999 {
			return "", errTimestamp
		}
		return at.Format(time.RFC3339Nano), nil
	}
	return "", fmt.Errorf("has the unknown type %q", string(t))
}

func canonicalBoolean(text string) (string, error) {
	switch {
	case strings.EqualFold(text, "true"):
		return "true", nil
	case strings.EqualFold(text, "false"):
		return "false", nil
	}
	return "", errBoolean
}

// isDecimal accepts -?digits(.digits)?, each run of at most 30.
func isDecimal(s string) bool {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return isDigits(whole) && (!point || isDigits(fraction))
}

func isDigits(s string) bool {
	if s == "" || len(s) > maxDecimalDigits {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Canonical is the type's form of a value, checked against the enum too.
func (a Attribute) Canonical(text string) (string, error) {
	value, err := a.Type.Canonical(text)
	if err != nil {
		return "", err
	}
	if a.Enum != nil && !slices.Contains(a.Enum, value) {
		return "", fmt.Errorf("is none of %s%s", strings.Join(a.Enum, ", "), DidYouMean(value, a.Enum))
	}
	return value, nil
}
