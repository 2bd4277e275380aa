package expr_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The values that data and literals share, so that comparisons meet: empty and odd texts, texts that upper and lower
// case, patterns, quoting and normalisation could confuse, the edges of numbers, dates at the edges of calendars.
var (
	texts = []string{
		"", "a", "A", "ab", "aB", "abc", "b", "ä", "Ä", "é", "e\u0301", "ß", "ss", "日本", "😀", "I", "i", "ı", "%", "_", "a%", `\`, `a\b`, "'", `"`,
		"{a,b}", "NULL", "null", " ", "a b", "$1", "a\nb", "\u00a0", "\U0010ffff",
	}
	integers = []string{"0", "1", "-1", "2", "3", "7", "-9223372036854775808", "9223372036854775807"}
	decimals = []string{
		"0.0", "1.0", "-1.0", "1.10", "2.5", "0.1", "0.3", "0.30000000000000004", "3.00", "7.01", "99999999999999999999.99",
		"-99999999999999999999.99", "0.000000000000000000000000000001", "9223372036854775807.5",
	}
	dates = []string{
		"0001-01-01", "1969-12-31", "2000-02-29", "2026-12-31", "2027-03-14", "2027-03-20", "2027-03-21", "2027-03-22", "2027-04-20", "9999-12-31",
	}
	durations = []string{"1s", "30m", "9h", "1d", "7d", "1d12h", "30d", "4w2d", "3650d"}
	names     = []string{"vip", "news", "beta"} // of tags and of purposes
	operators = []string{"==", "!=", "<", "<=", ">", ">="}
)

// moments are instants on the edges of windows, a microsecond beside them, and far away.
func moments() []time.Time {
	list := []time.Time{clock, clock.Truncate(24 * time.Hour), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	for _, d := range durations {
		for _, sign := range []time.Duration{-1, 1} {
			edge := clock.Add(sign * length(d))
			list = append(list, edge, edge.Add(time.Microsecond), edge.Add(-time.Microsecond))
		}
	}
	return list
}

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

// generator draws well-typed expressions over a schema.
type generator struct {
	t      *rapid.T
	schema crm.Schema
	used   map[string]int // how often each production was drawn
	event  *crm.EventType // of the where around
	depth  int
}

func pick[T any](t *rapid.T, list []T) T { return rapid.SampledFrom(list).Draw(t, "pick") }

func (g *generator) count(production string) { g.used[production]++ }

// chance is true n times of ten.
func (g *generator) chance(n int) bool { return rapid.IntRange(1, 10).Draw(g.t, "chance") <= n }

// condition draws a condition.
func (g *generator) condition() node {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth < 4 && g.chance(6) {
		return g.connective()
	}
	leaves := []func() node{
		g.comparison, g.comparison, g.comparison, g.nullTest, g.presence, g.inList, g.search, g.booleanLeaf, g.inTags, g.consented,
	}
	if g.event == nil {
		leaves = append(leaves, g.countTest, g.countTest, g.countTest)
	}
	return pick(g.t, leaves)()
}

func (g *generator) connective() node {
	kind := pick(g.t, []string{"&&", "||", "!"})
	g.count(kind)
	a := g.condition()
	if kind == "!" {
		inner := a.wrapped()
		if strings.HasPrefix(inner, "!") { // CEL's parser drops !! before it could make a condition of a value
			inner = "(" + inner + ")"
		}
		return node{source: "!" + inner, eval: func(s subject) any { return !a.holds(s) }}
	}
	b := g.condition()
	// Parentheses are left out where precedence allows it, so that precedence is tested too.
	side := func(n node) string {
		if n.or && kind == "&&" || n.loose && g.chance(3) {
			return n.wrapped()
		}
		return n.source
	}
	n := node{source: side(a) + " " + kind + " " + side(b), loose: true, or: kind == "||"}
	n.eval = func(s subject) any { return a.holds(s) && b.holds(s) }
	if n.or {
		n.eval = func(s subject) any { return a.holds(s) || b.holds(s) }
	}
	return n
}

// comparison draws two values of a type, or of two types that compare.
func (g *generator) comparison() node {
	pairs := [][2]crm.ValueType{
		{crm.String, crm.String},
		{crm.Integer, crm.Integer},
		{crm.Decimal, crm.Decimal},
		{crm.Integer, crm.Decimal},
		{crm.Decimal, crm.Integer},
		{crm.Boolean, crm.Boolean},
	}
	if g.event == nil {
		pairs = append(pairs, [2]crm.ValueType{crm.Date, crm.Date}, [2]crm.ValueType{crm.Timestamp, crm.Timestamp},
			[2]crm.ValueType{crm.Date, crm.Timestamp}, [2]crm.ValueType{crm.Timestamp, crm.Date})
	}
	pair := pick(g.t, pairs)
	operator := pick(g.t, operators)
	if pair[0] == crm.Boolean {
		operator = pick(g.t, operators[:2])
	}
	if pair[0] != pair[1] && (pair[0] == crm.Date || pair[1] == crm.Date) {
		operator = pick(g.t, operators[2:])
	}
	g.count(fmt.Sprintf("%s %s %s", pair[0], operator, pair[1]))
	a, b := g.variable(pair[0]), g.value(pair[1])
	n := node{source: a.wrapped() + " " + operator + " " + b.wrapped(), loose: true}
	switch operator {
	case "==":
		n.eval = func(s subject) any { return equal(a.eval(s), b.eval(s)) }
	case "!=":
		n.eval = func(s subject) any { return !equal(a.eval(s), b.eval(s)) }
	default:
		n.eval = func(s subject) any { return ordered(operator, a.eval(s), b.eval(s)) }
	}
	return n
}

func (g *generator) nullTest() node {
	g.count("null")
	v := g.nullable()
	operator := pick(g.t, operators[:2])
	n := node{source: v.source + " " + operator + " null", loose: true}
	if g.chance(3) {
		n.source = "null " + operator + " " + v.source
	}
	n.eval = func(s subject) any { return (v.eval(s) == nil) == (operator == "==") }
	return n
}

func (g *generator) presence() node {
	g.count("has")
	if g.event == nil && g.chance(1) {
		return node{source: "has(contact.tags)", eval: func(s subject) any { return len(s.person.tags) > 0 }}
	}
	v := g.nullable()
	return node{source: "has(" + v.source + ")", eval: func(s subject) any { return v.eval(s) != nil }}
}

// nullable draws a field of any type, personal ones included.
func (g *generator) nullable() node {
	if g.event != nil {
		return g.property(pick(g.t, g.event.Properties))
	}
	if len(g.schema.Attributes) == 0 {
		return localeNode
	}
	return attributeNode(pick(g.t, g.schema.Attributes))
}

func (g *generator) inList() node {
	typ := pick(g.t, []crm.ValueType{crm.String, crm.Integer, crm.Decimal, crm.Date, crm.Timestamp})
	if g.event != nil {
		typ = pick(g.t, []crm.ValueType{crm.String, crm.Integer, crm.Decimal})
	}
	g.count("in " + string(typ))
	needle := g.variable(typ)
	var sources []string
	var items []node
	for range rapid.IntRange(0, 5).Draw(g.t, "items") {
		item := typ
		if (typ == crm.Integer || typ == crm.Decimal) && g.chance(4) {
			item = pick(g.t, []crm.ValueType{crm.Integer, crm.Decimal})
		}
		n := g.literal(item)
		sources, items = append(sources, n.source), append(items, n)
	}
	return node{source: needle.wrapped() + " in [" + strings.Join(sources, ", ") + "]", loose: true, eval: func(s subject) any {
		value := needle.eval(s)
		return slices.ContainsFunc(items, func(item node) bool { return equal(value, item.eval(s)) })
	}}
}

func (g *generator) inTags() node {
	g.count("in tags")
	needle := textNode(pick(g.t, names))
	if g.chance(2) {
		needle = g.variable(crm.String)
	}
	return node{source: needle.source + " in contact.tags", loose: true, eval: func(s subject) any {
		text, isText := needle.eval(s).(string)
		return isText && slices.Contains(s.person.tags, text)
	}}
}

func (g *generator) search() node {
	function := pick(g.t, []string{"startsWith", "endsWith", "contains"})
	g.count(function)
	a, b := g.variable(crm.String), g.value(crm.String)
	test := map[string]func(string, string) bool{"startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix, "contains": strings.Contains}[function]
	return node{source: a.source + "." + function + "(" + b.source + ")", eval: func(s subject) any {
		x, isText := a.eval(s).(string)
		y, areTexts := b.eval(s).(string)
		return isText && areTexts && test(x, y)
	}}
}

// booleanLeaf draws an attribute or a literal as a condition, or a condition as a value.
func (g *generator) booleanLeaf() node {
	v := g.value(crm.Boolean)
	if g.depth < 4 && g.chance(3) {
		g.count("condition as value")
		c := g.condition()
		return node{source: v.wrapped() + " == (" + c.source + ")", loose: true, eval: func(s subject) any { return equal(v.eval(s), c.eval(s)) }}
	}
	g.count("boolean")
	return v
}

func (g *generator) consented() node {
	g.count("consented")
	purpose := pick(g.t, names)
	return node{source: "consented(" + strconv.Quote(purpose) + ")", eval: func(s subject) any { return s.person.consents[purpose] }}
}

func (g *generator) countTest() node {
	operator := pick(g.t, operators)
	g.count("count " + operator)
	events := g.events()
	number := pick(g.t, []string{"0", "1", "2", "3", "-1", "-9223372036854775808", "9223372036854775807"})
	n := node{source: events.source + ".count() " + operator + " " + number, loose: true}
	if g.chance(3) {
		n.source = number + " " + map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}[operator] + " " + events.source + ".count()"
	}
	n.eval = func(s subject) any {
		a, b := int64(len(events.of(s.person))), integerNode(number).eval(s)
		switch operator {
		case "==":
			return equal(a, b)
		case "!=":
			return !equal(a, b)
		}
		return ordered(operator, a, b)
	}
	return n
}
