package expr_test

import (
	"slices"
	"strconv"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The values that data and literals share, so that comparisons meet: empty and odd texts, texts that upper and lower
// case, patterns, quoting and normalisation could confuse, the edges of numbers, dates at the edges of calendars and of
// summer time.
var (
	texts = []string{
		"", "a", "A", "ab", "aB", "abc", "b", "ä", "Ä", "é", "É", "e\u0301", "ß", "ẞ", "ss", "日本", "😀", "I", "i", "ı", "İ", "Σ", "ς", "σ", "ñandú", "ÑANDÚ", "Ж", "ж",
		"\u212a", "k", "K", "%", "_", "a%", `\`, `a\b`, "'", `"`, "{a,b}", "NULL", "null", " ", "a b", "$1", "a\nb", "\u00a0", "\U0010ffff",
	}
	// foldable are the letters of those texts that have more than one case, one of each.
	foldable = []rune("abcdefghijklmnopqrstuvwxyzäéßσñúж")
	integers = []string{"0", "1", "-1", "2", "3", "7", "-9223372036854775808", "9223372036854775807"}
	decimals = []string{
		"0.0", "1.0", "-1.0", "1.10", "2.5", "0.1", "0.3", "0.30000000000000004", "3.00", "7.01", "99999999999999999999.99",
		"-99999999999999999999.99", "0.000000000000000000000000000001", "9223372036854775807.5", "0.666667", "0.333333", "1.8", "-0.000001",
	}
	dates = []string{
		"0001-01-01", "1969-12-31", "2000-02-29", "2009-03-27", "2009-03-28", "2026-12-31", "2027-02-28", "2027-03-01", "2027-03-27", "2027-03-28", "2027-03-29",
		"2027-04-27", "9999-12-31",
	}
	durations       = []string{"1s", "30m", "9h", "1d", "7d", "1d12h", "30d", "4w2d", "3650d"}
	names           = []string{"vip", "news", "beta"} // of tags and of purposes
	segments        = []string{"lapsed", "vips"}
	campaigns       = []string{"spring", "welcome"}
	identifierTypes = []string{crm.EmailIdentifier, crm.PhoneIdentifier, crm.ExternalIdentifier("shop")}
	zones           = []string{"Europe/Madrid", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu", "UTC", "Nowhere/Land"}
	comparisons     = []string{"==", "!=", "<", "<=", ">", ">="}
	valueTypes      = []crm.ValueType{crm.String, crm.Integer, crm.Decimal, crm.Boolean, crm.Date, crm.Timestamp}
)

// moments are instants on the edges of windows, a microsecond beside them, and far away.
var moments = func() []time.Time {
	list := []time.Time{clock, clock.Truncate(24 * time.Hour), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	for _, d := range durations {
		for _, sign := range []time.Duration{-1, 1} {
			edge := clock.Add(sign * length(d))
			list = append(list, edge, edge.Add(time.Microsecond), edge.Add(-time.Microsecond))
		}
	}
	return list
}()

// length is how long a duration of the list is.
func length(d string) time.Duration {
	switch d {
	case "1d":
		return 24 * time.Hour
	case "7d":
		return 7 * 24 * time.Hour
	case "1d12h":
		return 36 * time.Hour
	case "30d", "4w2d":
		return 30 * 24 * time.Hour
	case "3650d":
		return 3650 * 24 * time.Hour
	}
	parsed, err := time.ParseDuration(d)
	if err != nil {
		panic(err)
	}
	return parsed
}

func (g *generator) literal(typ crm.ValueType) node {
	switch typ {
	case crm.String:
		return node{source: strconv.Quote(pick(g.t, texts))}
	case crm.Integer:
		return node{source: pick(g.t, integers)}
	case crm.Decimal:
		return node{source: pick(g.t, decimals)}
	case crm.Boolean:
		return node{source: strconv.FormatBool(g.chance(5))}
	case crm.Date:
		return node{source: g.call("date", pick(g.t, dates))}
	}
	at := pick(g.t, moments)
	written := at
	if year := at.Year(); year > 1 && year < 9999 { // with an offset, it may be another year
		written = at.In(pick(g.t, []*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("", -5*3600-1800)}))
	}
	return node{source: g.call("timestamp", written.Format(time.RFC3339Nano))}
}

// relative draws an instant by the clock.
func (g *generator) relative() node {
	kind := pick(g.t, []string{"now", "ago", "ahead"})
	if kind == "now" {
		g.count(kind)
		return node{source: kind}
	}
	return node{source: g.call(kind, pick(g.t, durations))}
}

func attributeNode(a crm.Attribute) node { return node{source: "contact." + a.Name} }

func (g *generator) property(p crm.Property) node { return node{source: "e." + p.Name} }

// drawValue draws a value of a type for a contact, in memory and as PostgreSQL reads it; null a quarter of the time.
func drawValue(t *rapid.T, typ crm.ValueType) (value ref.Val, text *string) {
	if rapid.IntRange(1, 4).Draw(t, "null") == 1 {
		return nil, nil
	}
	var s string
	switch typ {
	case crm.String:
		s = pick(t, texts)
		value = types.String(s)
	case crm.Integer:
		s = pick(t, integers)
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			panic(err)
		}
		value = types.Int(n)
	case crm.Decimal:
		s = pick(t, slices.Concat(decimals, integers))
		value = rat(s)
	case crm.Boolean:
		b := rapid.Bool().Draw(t, "boolean")
		value, s = types.Bool(b), strconv.FormatBool(b)
	case crm.Date:
		s = pick(t, dates)
		value = calendarDate{parsed(time.DateOnly, types.String(s))}
	case crm.Timestamp:
		at := pick(t, moments)
		s = at.Format(time.RFC3339Nano)
		value = instant{at}
	}
	return value, &s
}

// odd are values of properties that are of no type, of another, or beyond its edges.
var odd = []string{
	"null", "true", `"x"`, "[]", "{}", "1e3", "1e200", "-1e-200", `"1.5"`, `"1e3"`, `""`, "-0.0", `{"a": 1}`, `"NaN"`, `"Infinity"`, `"2026-02-30"`, `"2027-13-01"`, `"0000-01-01"`,
	`"2027-02-29"`, `"10000-01-01"`, `"2027-03-28T25:00:00Z"`, `"2027-03-28T00:00:60Z"`, `"2027-03-28T00:00:00"`, `"0000-12-31T23:59:59Z"`, `"now"`, `"infinity"`,
	`"2027-03-28T00:30:00+24:00"`, `"2027-02-30T00:00:00Z"`,
}

// drawJSON draws what an event may hold for a property: nothing, a value of its type, or one of another.
func drawJSON(t *rapid.T, typ crm.ValueType) (json string, present bool) {
	switch rapid.IntRange(1, 8).Draw(t, "shape") {
	case 1:
		return "", false
	case 2:
		return pick(t, odd), true
	}
	switch typ {
	case crm.Integer:
		return pick(t, integers), true
	case crm.Decimal:
		n := pick(t, decimals)
		if rapid.Bool().Draw(t, "text") {
			return strconv.Quote(n), true
		}
		return n, true
	case crm.Boolean:
		return pick(t, []string{"true", "false"}), true
	case crm.Date:
		return strconv.Quote(pick(t, dates)), true
	case crm.Timestamp:
		at := pick(t, moments)
		if at.Year() > 1 && at.Year() < 9999 {
			at = at.In(pick(t, []*time.Location{time.UTC, time.FixedZone("", 14*3600), time.FixedZone("", -9*3600-1800)}))
		}
		return strconv.Quote(at.Format(pick(t, []string{time.RFC3339Nano, "2006-01-02T15:04:05.000000000Z07:00"}))), true
	}
	return strconv.Quote(pick(t, texts[:24])), true
}
