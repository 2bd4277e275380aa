package expr_test

import (
	"encoding/json"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The oracle is a second meaning of the language: cel-go evaluates the source over contacts in memory, with the language's
// functions and operators written out below in plain Go. It shares no code with the compiler.

// clock is the time of every statement in the oracle's tests, so that events can lie exactly on a window's edge. It is a Sunday,
// one of those on which Europe's summer begins.
var clock = time.Date(2027, 3, 28, 0, 30, 0, 0, time.UTC)

// tenantZone is where people live whose own zone is not known.
const tenantZone = "America/New_York"

// What values are in memory: a String is a types.String, an Integer a types.Int, a Boolean a types.Bool, and these.
type (
	decimal      struct{ *big.Rat }
	instant      struct{ time.Time }
	calendarDate struct{ time.Time }
	unknown      struct{} // what is not known of a contact or an event; null in an expression is cel-go's
)

// person is a contact in memory.
type person struct {
	id          int64
	attributes  map[string]ref.Val // by name; those that are not known are absent
	locale      ref.Val
	timeZone    ref.Val
	tags        []string
	created     instant
	consents    map[string]bool // what the last word on a purpose was
	identifiers map[string]bool
	segments    map[string]bool
	events      []*occurrence
	merged      bool          // of two records
	messages    []*occurrence // received, opened, clicked; the name is the campaign's
}

// occurrence is an event or a message in memory. Of two at one moment the first in the list is the earlier.
type occurrence struct {
	name       string
	what       string // of a message
	at         time.Time
	properties map[string]json.RawMessage
	types      map[string]crm.ValueType
}

func (p *person) field(name string) ref.Val {
	switch name {
	case "locale":
		return p.locale
	case "time_zone":
		return p.timeZone
	case "created_at":
		return p.created
	case "tags":
		return types.DefaultTypeAdapter.NativeToValue(p.tags)
	}
	if v, known := p.attributes[name]; known {
		return v
	}
	return unknown{}
}

// zone is where a person's days begin.
func (p *person) zone() *time.Location {
	if name, known := p.timeZone.(types.String); known {
		zone, err := time.LoadLocation(string(name))
		if err != nil || name == "" || name == "Local" {
			return time.UTC // what the database does not know
		}
		return zone
	}
	zone, err := time.LoadLocation(tenantZone)
	if err != nil {
		panic(err)
	}
	return zone
}

// day is the day of a value where a person lives.
func (p *person) day(v ref.Val) (calendarDate, bool) {
	switch v := v.(type) {
	case calendarDate:
		return v, true
	case instant:
		year, month, day := v.In(p.zone()).Date()
		return calendarDate{time.Date(year, month, day, 0, 0, 0, 0, time.UTC)}, true
	}
	return calendarDate{}, false
}

// age counts birthdays one by one, which nobody would do in SQL.
func age(since, today calendarDate) ref.Val {
	if today.Before(since.Time) {
		return unknown{}
	}
	years := 0
	for !anniversaryIn(since, since.Year()+years+1).After(today.Time) {
		years++
	}
	return types.Int(years)
}

// anniversary looks day by day.
func anniversary(since, today calendarDate) ref.Val {
	for days := 0; ; days++ {
		if at := today.AddDate(0, 0, days); anniversaryIn(since, at.Year()).Equal(at) {
			return types.Int(days)
		}
	}
}

// anniversaryIn is what time.Date makes of it: the 29th of February of a common year is the 1st of March.
func anniversaryIn(since calendarDate, year int) time.Time {
	return time.Date(year, since.Month(), since.Day(), 0, 0, 0, 0, time.UTC)
}

// decimalText is what a JSON string has to look like to count as a number.
var decimalText = regexp.MustCompile(`^-?[0-9]{1,30}(\.[0-9]{1,30})?$`)

// timeText is what a JSON string has to look like to count as an instant.
var timeText = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

// longestNumber is how many characters a number in an event may have, written without an exponent.
const longestNumber = 62

// written counts the characters of a number of JSON, written without an exponent.
func written(number string) int {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	_, fraction, _ := strings.Cut(mantissa, ".")
	shift, _ := strconv.Atoi(exponent)
	return len(rat(number).FloatString(max(len(fraction)-shift, 0)))
}

// property reads a property as its type; what is missing or of another type is unknown.
func (o *occurrence) property(name string) ref.Val {
	typ := o.types[name]
	isNumber := typ == crm.Decimal || typ == crm.Integer
	var value any
	d := json.NewDecoder(strings.NewReader(string(o.properties[name])))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return unknown{}
	}
	switch value := value.(type) {
	case json.Number:
		if isNumber && written(value.String()) <= longestNumber {
			return rat(value.String())
		}
	case string:
		switch {
		case typ == crm.String:
			return types.String(value)
		case typ == crm.Date:
			if day, err := time.Parse(time.DateOnly, value); err == nil && day.Year() > 0 {
				return calendarDate{day}
			}
		case typ == crm.Timestamp && timeText.MatchString(value):
			if at, err := time.Parse(time.RFC3339Nano, value); err == nil && value[:4] != "0000" {
				return instant{at.Truncate(time.Microsecond)}
			}
		case isNumber && decimalText.MatchString(value):
			return rat(value)
		}
	case bool:
		if typ == crm.Boolean {
			return types.Bool(value)
		}
	}
	return unknown{}
}

func rat(text string) decimal {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("not a number: " + text)
	}
	return decimal{r}
}

// rounded has six digits behind the point; a half goes away from zero.
func rounded(r *big.Rat) decimal {
	million := big.NewRat(1_000_000, 1)
	scaled := new(big.Rat).Mul(new(big.Rat).Abs(r), million)
	scaled.Add(scaled, big.NewRat(1, 2))
	whole := new(big.Rat).SetInt(new(big.Int).Quo(scaled.Num(), scaled.Denom()))
	whole.Quo(whole, million)
	if r.Sign() < 0 {
		whole.Neg(whole)
	}
	return decimal{whole}
}

// What cel-go asks of a value. Nothing is compared by Equal: the oracle's operators are functions of their own.
var opaque = types.NewOpaqueType("oracle")

func (decimal) ConvertToNative(reflect.Type) (any, error)      { panic("not asked for") }
func (decimal) ConvertToType(ref.Type) ref.Val                 { panic("not asked for") }
func (decimal) Equal(ref.Val) ref.Val                          { panic("not asked for") }
func (decimal) Type() ref.Type                                 { return opaque }
func (d decimal) Value() any                                   { return d }
func (instant) ConvertToNative(reflect.Type) (any, error)      { panic("not asked for") }
func (instant) ConvertToType(ref.Type) ref.Val                 { panic("not asked for") }
func (i instant) Equal(ref.Val) ref.Val                        { panic("not asked for") }
func (instant) Type() ref.Type                                 { return opaque }
func (i instant) Value() any                                   { return i }
func (calendarDate) ConvertToNative(reflect.Type) (any, error) { panic("not asked for") }
func (calendarDate) ConvertToType(ref.Type) ref.Val            { panic("not asked for") }
func (c calendarDate) Equal(ref.Val) ref.Val                   { panic("not asked for") }
func (calendarDate) Type() ref.Type                            { return opaque }
func (c calendarDate) Value() any                              { return c }
func (unknown) ConvertToNative(reflect.Type) (any, error)      { panic("not asked for") }
func (unknown) ConvertToType(ref.Type) ref.Val                 { panic("not asked for") }
func (unknown) Equal(ref.Val) ref.Val                          { panic("not asked for") }
func (unknown) Type() ref.Type                                 { return opaque }
func (u unknown) Value() any                                   { return u }
func (*person) ConvertToNative(reflect.Type) (any, error)      { panic("not asked for") }
func (*person) ConvertToType(ref.Type) ref.Val                 { panic("not asked for") }
func (p *person) Equal(ref.Val) ref.Val                        { panic("not asked for") }
func (*person) Type() ref.Type                                 { return opaque }
func (p *person) Value() any                                   { return p }
func (p *person) Get(name ref.Val) ref.Val                     { return p.field(string(name.(types.String))) }
func (*occurrence) ConvertToNative(reflect.Type) (any, error)  { panic("not asked for") }
func (*occurrence) ConvertToType(ref.Type) ref.Val             { panic("not asked for") }
func (o *occurrence) Equal(ref.Val) ref.Val                    { panic("not asked for") }
func (*occurrence) Type() ref.Type                             { return opaque }
func (o *occurrence) Value() any                               { return o }
func (o *occurrence) Get(name ref.Val) ref.Val                 { return o.property(string(name.(types.String))) }
