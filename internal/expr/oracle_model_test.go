package expr_test

import (
	"cmp"
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The oracle is a second meaning of the language, in plain Go over contacts in memory. It shares no code with the
// compiler: the generator builds the source of an expression and, beside it, the function that answers it.

// clock is the time of every statement in the oracle's tests, so that events can lie exactly on a window's edge.
var clock = time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)

// instant and calendarDate are what values of type Timestamp and Date are in memory. A String is a string, an Integer
// an int64, a Decimal a *big.Rat, a Boolean a bool, and null is nil.
type (
	instant      struct{ time.Time }
	calendarDate struct{ time.Time }
)

// person is a contact in memory.
type person struct {
	id         int64
	attributes map[string]any // by name; no entry is null
	locale     any
	timeZone   any
	tags       []string
	created    instant
	consents   map[string]bool // what the last word on a purpose was
	events     []occurrence
}

// occurrence is an event in memory.
type occurrence struct {
	name       string
	at         time.Time
	properties map[string]json.RawMessage
}

// subject is what a condition is about: a person and, inside a where, one event.
type subject struct {
	person *person
	event  *occurrence
}

// node is a part of an expression: its source and its meaning.
type node struct {
	source string
	loose  bool // binds less tightly than a comparison, and needs parentheses inside one
	or     bool // binds less tightly than &&
	eval   func(subject) any
}

func (n node) holds(s subject) bool { return n.eval(s) == true }

// wrapped is the source in parentheses where its place needs them.
func (n node) wrapped() string {
	if n.loose {
		return "(" + n.source + ")"
	}
	return n.source
}

// equal is ==: false where a side is null.
func equal(a, b any) bool {
	if a == nil || b == nil {
		return false
	}
	if x, isBoolean := a.(bool); isBoolean {
		return x == b.(bool)
	}
	return compare(a, b) == 0
}

// compare orders two values that are not null.
func compare(a, b any) int {
	if x, isText := a.(string); isText {
		return strings.Compare(x, b.(string))
	}
	if x, isTime := timeOf(a); isTime {
		y, _ := timeOf(b)
		return x.Compare(y)
	}
	return numberOf(a).Cmp(numberOf(b))
}

// timeOf makes an instant of a date: the midnight in UTC with which it begins.
func timeOf(v any) (time.Time, bool) {
	switch v := v.(type) {
	case instant:
		return v.Time, true
	case calendarDate:
		return v.Time, true
	}
	return time.Time{}, false
}

func numberOf(v any) *big.Rat {
	if n, isInteger := v.(int64); isInteger {
		return new(big.Rat).SetInt64(n)
	}
	return v.(*big.Rat)
}

func rat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("not a number: " + text)
	}
	return r
}

// ordered is the meaning of an operator that orders: false where a side is null.
func ordered(operator string, a, b any) bool {
	if a == nil || b == nil {
		return false
	}
	switch c := compare(a, b); operator {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	default:
		return c >= 0
	}
}

func lowerASCII(v any) any {
	if v == nil {
		return nil
	}
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, v.(string))
}

// decimalText is what a JSON string has to look like to count as a number.
var decimalText = regexp.MustCompile(`^-?[0-9]{1,30}(\.[0-9]{1,30})?$`)

// tooLarge is more than a number in an event may be.
var tooLarge = rat("1e62")

// property reads a property as its type; what is missing or of another type is null.
func (o *occurrence) property(p crm.Property) any {
	var value any
	d := json.NewDecoder(strings.NewReader(string(o.properties[p.Name])))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return nil
	}
	switch value := value.(type) {
	case json.Number:
		number := rat(value.String())
		if (p.Type == crm.Decimal || p.Type == crm.Integer) && number.Cmp(tooLarge) < 0 {
			return number
		}
	case string:
		switch {
		case p.Type == crm.String, p.Type == crm.Date, p.Type == crm.Timestamp:
			return value
		case (p.Type == crm.Decimal || p.Type == crm.Integer) && decimalText.MatchString(value):
			return rat(value)
		}
	case bool:
		if p.Type == crm.Boolean {
			return value
		}
	}
	return nil
}

// chain is a selection of events: its source and which events it lets through.
type chain struct {
	source string
	event  crm.EventType
	passes []func(subject) bool // the subject's event is the one in question
}

// of lists the person's events that have happened and that the chain selects.
func (c chain) of(p *person) []*occurrence {
	var selected []*occurrence
	for i := range p.events {
		o := &p.events[i]
		passed := o.name == c.event.Name && !o.at.After(clock)
		for _, passes := range c.passes {
			passed = passed && passes(subject{p, o})
		}
		if passed {
			selected = append(selected, o)
		}
	}
	return selected
}

// aggregate is sum, min or max: of nothing the sum is 0, the others are null.
func (c chain) aggregate(function string, p crm.Property, who *person) any {
	var result *big.Rat
	if function == "sum" {
		result = new(big.Rat)
	}
	for _, o := range c.of(who) {
		value, isNumber := o.property(p).(*big.Rat)
		switch {
		case !isNumber:
		case result == nil:
			result = value
		case function == "sum":
			result = new(big.Rat).Add(result, value)
		case cmp.Compare(value.Cmp(result), 0) == map[string]int{"min": -1, "max": 1}[function]:
			result = value
		}
	}
	if result == nil {
		return nil
	}
	return result
}
