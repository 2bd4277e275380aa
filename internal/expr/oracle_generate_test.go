package expr_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// node is a part of an expression, as its source.
type node struct {
	source string
	loose  bool // binds less tightly than a comparison, and needs parentheses inside one
	or     bool // binds less tightly than &&
}

// wrapped is the source in parentheses where its place needs them.
func (n node) wrapped() string {
	if n.loose {
		return "(" + n.source + ")"
	}
	return n.source
}

// generator draws well-typed expressions over a schema.
type generator struct {
	t      *rapid.T
	schema crm.Schema
	used   map[string]int // how often each operator and function was drawn
	event  *crm.EventType // of the where around
	about  *crm.EventType // that the expression is about; nil without a subject
	alone  bool           // nothing but that is asked
	depth  int
}

func pick[T any](t *rapid.T, list []T) T { return rapid.SampledFrom(list).Draw(t, "pick") }

func (g *generator) count(production string) { g.used[production]++ }

// chance is true n times of ten.
func (g *generator) chance(n int) bool { return rapid.IntRange(1, 10).Draw(g.t, "chance") <= n }

// call counts a function and writes a call of it with a text, or with nothing.
func (g *generator) call(name string, text ...string) string {
	g.count(name)
	if len(text) == 0 {
		return name + "()"
	}
	return name + "(" + strconv.Quote(text[0]) + ")"
}

// condition draws a condition.
func (g *generator) condition() node {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth < 4 && g.chance(4) {
		return g.connective()
	}
	leaves := []func() node{g.comparison, g.comparison, g.comparison, g.nullTest, g.presence, g.inList, g.search, g.search, g.booleanLeaf}
	if !g.alone {
		leaves = append(leaves, g.tags, g.lookUp)
	}
	if g.event == nil && !g.alone {
		leaves = append(leaves, g.comparison, g.countTest, g.countTest, g.countTest, g.any, g.calendar, g.calendar, g.together)
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
		return node{source: "!" + inner}
	}
	b := g.condition()
	// Parentheses are left out where precedence allows it, so that precedence is tested too.
	side := func(n node) string {
		if n.or && kind == "&&" || n.loose && g.chance(3) {
			return n.wrapped()
		}
		return n.source
	}
	return node{source: side(a) + " " + kind + " " + side(b), loose: true, or: kind == "||"}
}

// pairs are the types that compare.
var pairs = [][2]crm.ValueType{
	{crm.String, crm.String},
	{crm.Integer, crm.Integer},
	{crm.Decimal, crm.Decimal},
	{crm.Integer, crm.Decimal},
	{crm.Decimal, crm.Integer},
	{crm.Boolean, crm.Boolean},
	{crm.Date, crm.Date},
	{crm.Timestamp, crm.Timestamp},
	{crm.Date, crm.Timestamp},
	{crm.Timestamp, crm.Date},
}

// comparison draws two values of a type, or of two types that compare.
func (g *generator) comparison() node {
	pair := pick(g.t, pairs)
	operator := pick(g.t, comparisons)
	if pair[0] == crm.Boolean {
		operator = pick(g.t, comparisons[:2])
	}
	if pair[0] != pair[1] && (pair[0] == crm.Date || pair[1] == crm.Date) {
		operator = pick(g.t, comparisons[2:])
	}
	g.count(operator)
	g.count(fmt.Sprintf("%s %s %s", pair[0], operator, pair[1]))
	a, b := g.variable(pair[0]), g.value(pair[1])
	if isClock(a.source) && b.ofProperty() || isClock(b.source) && a.ofProperty() {
		b = g.literal(pair[1])
		if isClock(a.source) && a.source == b.source || isClock(b.source) {
			b = node{source: `timestamp("2027-01-01T00:00:00Z")`}
		}
	}
	if g.chance(2) {
		return node{source: b.wrapped() + " " + mirrored[operator] + " " + a.wrapped(), loose: true}
	}
	return node{source: a.wrapped() + " " + operator + " " + b.wrapped(), loose: true}
}

func isClock(source string) bool {
	return source == "now" || strings.HasPrefix(source, "ago(") || strings.HasPrefix(source, "ahead(")
}

// ofProperty tells whether a value is a property of an event, which cannot be compared with the clock.
func (n node) ofProperty() bool { // of the event of a where: that of the subject may be
	return strings.HasPrefix(n.source, "e.") || strings.HasPrefix(n.source, "events(") && !strings.HasSuffix(n.source, "()")
}

func (g *generator) nullTest() node {
	g.count("null")
	v := g.nullable()
	operator := pick(g.t, comparisons[:2])
	if g.chance(3) {
		return node{source: "null " + operator + " " + v.source, loose: true}
	}
	return node{source: v.source + " " + operator + " null", loose: true}
}

func (g *generator) presence() node {
	g.count("has")
	if g.event == nil && !g.alone && g.chance(1) {
		return node{source: "has(contact.tags)"}
	}
	return node{source: "has(" + g.field().source + ")"}
}

// field draws a field of any type, personal ones included.
func (g *generator) field() node {
	if g.event != nil {
		return g.property(pick(g.t, g.event.Properties))
	}
	if g.about != nil && (g.alone || g.chance(5)) {
		return g.ofSubject(pick(g.t, g.about.Properties))
	}
	if len(g.schema.Attributes) == 0 {
		return node{source: "contact.locale"}
	}
	return attributeNode(pick(g.t, g.schema.Attributes))
}

// nullable draws what may be unknown.
func (g *generator) nullable() node {
	if g.event == nil && !g.alone && g.chance(4) {
		return g.aggregate(pick(g.t, valueTypes))
	}
	return g.field()
}

func (g *generator) inList() node {
	typ := pick(g.t, []crm.ValueType{crm.String, crm.Integer, crm.Decimal, crm.Date, crm.Timestamp})
	g.count("in")
	needle := g.variable(typ)
	for isClock(needle.source) {
		needle = g.variable(typ)
	}
	var sources []string
	for range rapid.IntRange(0, 5).Draw(g.t, "items") {
		item := typ
		if (typ == crm.Integer || typ == crm.Decimal) && g.chance(4) {
			item = pick(g.t, []crm.ValueType{crm.Integer, crm.Decimal})
		}
		sources = append(sources, g.literal(item).source)
	}
	return node{source: needle.wrapped() + " in [" + strings.Join(sources, ", ") + "]", loose: true}
}

func (g *generator) tags() node {
	if g.chance(5) {
		needle := strconv.Quote(pick(g.t, names))
		if g.chance(2) {
			needle = g.variable(crm.String).source
		}
		g.count("in tags")
		return node{source: needle + " in contact.tags", loose: true}
	}
	function := pick(g.t, []string{"hasAny", "hasAll", "hasOnly"})
	g.count(function)
	var list []string
	for range rapid.IntRange(0, 3).Draw(g.t, "tags") {
		list = append(list, strconv.Quote(pick(g.t, names)))
	}
	return node{source: "contact.tags." + function + "([" + strings.Join(list, ", ") + "])"}
}

func (g *generator) search() node {
	function := pick(g.t, []string{
		"startsWith", "endsWith", "contains", "startsWithIgnoreCase", "endsWithIgnoreCase", "containsIgnoreCase", "equalsIgnoreCase", "equalsIgnoreCase",
	})
	g.count(function)
	return node{source: g.variable(crm.String).source + "." + function + "(" + g.value(crm.String).source + ")"}
}

// booleanLeaf draws an attribute or a literal as a condition, or a condition as a value.
func (g *generator) booleanLeaf() node {
	v := g.value(crm.Boolean)
	if g.depth < 4 && g.chance(3) {
		g.count("condition as value")
		c := g.condition()
		for isSelection(c.source) { // asks for a condition, and a value is asked for
			c = g.condition()
		}
		return node{source: v.wrapped() + " == (" + c.source + ")", loose: true}
	}
	g.count("boolean")
	return v
}

// lookUp asks what stands in other tables.
func (g *generator) lookUp() node {
	switch pick(g.t, []string{"consented", "in_segment", "has_identifier"}) {
	case "consented":
		return node{source: g.call("consented", pick(g.t, names))}
	case "in_segment":
		return node{source: g.call("in_segment", pick(g.t, segments))}
	}
	return node{source: g.call("has_identifier", pick(g.t, identifierTypes))}
}

// any draws a selection as a condition.
func (g *generator) any() node {
	g.count("any")
	return node{source: g.selection().source}
}

// isSelection tells whether any has drawn a source.
func isSelection(source string) bool {
	for _, base := range []string{"events(", "received(", "opened(", "clicked("} {
		if strings.HasPrefix(source, base) {
			return true
		}
	}
	return false
}

// calendar compares ages and days until anniversaries with numbers near to those that there are.
func (g *generator) calendar() node {
	days := []string{"created_at"}
	for _, a := range g.schema.Attributes {
		if a.Type == crm.Date || a.Type == crm.Timestamp {
			days = append(days, a.Name)
		}
	}
	function := pick(g.t, []string{"age", "anniversary"})
	number := pick(g.t, map[string][]string{"age": {"0", "1", "17", "18", "26", "27", "2025"}, "anniversary": {"0", "1", "7", "30", "200", "337", "364", "365"}}[function])
	operator := pick(g.t, comparisons)
	g.count(operator)
	return node{source: g.call(function, pick(g.t, days)) + " " + operator + " " + number, loose: true}
}

func (g *generator) countTest() node {
	operator := pick(g.t, comparisons)
	g.count("count " + operator)
	g.count("count")
	s := g.selection()
	number := pick(g.t, []string{"0", "1", "1", "1", "2", "2", "2", "3", "-1", "9223372036854775807"})
	if g.chance(3) {
		return node{source: number + " " + mirrored[operator] + " " + s.source + ".count()", loose: true}
	}
	return node{source: s.source + ".count() " + operator + " " + number, loose: true}
}

// together draws several conditions over the same events.
func (g *generator) together() node {
	g.count("together")
	events := g.events().source
	word := pick(g.t, []string{" && ", " || "})
	var parts []string
	for range rapid.IntRange(2, 3).Draw(g.t, "parts") {
		part, literal := events+".count()", pick(g.t, []string{"0", "1", "2", "3"})
		if g.chance(4) {
			part, literal = events+pick(g.t, []string{".first()", ".last()"}), g.literal(crm.Timestamp).source
		}
		part += " " + pick(g.t, comparisons) + " " + literal
		if g.chance(3) {
			part = "!(" + part + ")"
		}
		parts = append(parts, part)
	}
	return node{source: strings.Join(parts, word), loose: true, or: word == " || "}
}

// mirrored are the operators with their sides exchanged.
var mirrored = map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// value draws a value of a type: often a literal.
func (g *generator) value(typ crm.ValueType) node {
	if g.chance(6) {
		return g.literal(typ)
	}
	return g.variable(typ)
}

// variable draws a value of a type that differs between contacts, as far as the schema has one.
func (g *generator) variable(typ crm.ValueType) node {
	var choices []func() node
	choose := func(source string) { choices = append(choices, func() node { return node{source: source} }) }
	for _, a := range g.schema.Attributes {
		if a.Type == typ && !a.Personal && !g.alone {
			choose("contact." + a.Name)
		}
	}
	if g.about != nil {
		for _, p := range g.about.Properties {
			if p.Type == typ {
				choices = append(choices, func() node { return g.ofSubject(p) }, func() node { return g.ofSubject(p) })
			}
		}
	}
	if g.event != nil {
		for _, p := range g.event.Properties {
			if p.Type == typ {
				choices = append(choices, func() node { return g.property(p) }, func() node { return g.property(p) })
			}
		}
	}
	if typ == crm.String && g.depth < 6 {
		choices = append(choices, g.lower)
	}
	switch {
	case g.alone:
	case typ == crm.String:
		choose("contact.locale")
		choose("contact.time_zone")
	case typ == crm.Timestamp:
		choose("contact.created_at")
		choices = append(choices, g.relative)
	}
	if g.event == nil && !g.alone {
		choices = append(choices, func() node { return g.aggregate(typ) }, func() node { return g.aggregate(typ) })
	}
	if len(choices) == 0 {
		return g.literal(typ)
	}
	return pick(g.t, choices)()
}

// ofSubject draws a field of the event that the expression is about.
func (g *generator) ofSubject(p crm.Property) node {
	g.count("event")
	return node{source: "event." + p.Name}
}

func (g *generator) lower() node {
	g.count("lowerAscii")
	g.depth += 2
	defer func() { g.depth -= 2 }()
	return node{source: g.value(crm.String).source + ".lowerAscii()"}
}

// aggregate draws one value of a type made of a selection.
func (g *generator) aggregate(typ crm.ValueType) node {
	events := g.events()
	ofType := func(types ...crm.ValueType) []string {
		var names []string
		for _, p := range events.event.Properties {
			if slices.Contains(types, p.Type) {
				names = append(names, p.Name)
			}
		}
		return names
	}
	switch typ {
	case crm.Integer:
		if g.chance(5) {
			g.count("count")
			return node{source: g.selection().source + ".count()"}
		}
		return node{source: events.source + "." + g.call("distinct", pick(g.t, ofType(valueTypes...)))}
	case crm.Decimal:
		if g.chance(7) {
			function := pick(g.t, []string{"sum", "sum", "avg", "min", "max"})
			return node{source: events.source + "." + g.call(function, pick(g.t, ofType(crm.Decimal, crm.Integer)))}
		}
	case crm.Timestamp:
		if g.chance(7) {
			return node{source: g.selection().source + "." + g.call(pick(g.t, []string{"first", "last"}))}
		}
	}
	function := pick(g.t, []string{"first", "last"})
	of := ofType(typ)
	if len(of) == 0 {
		return g.literal(typ)
	}
	g.count(function + " of a property")
	return node{source: events.source + "." + g.call(function, pick(g.t, of))}
}

// chain is a selection with the type of its events.
type chain struct {
	source string
	event  crm.EventType
}

// selection draws events or messages.
func (g *generator) selection() chain {
	if g.chance(8) {
		return g.events()
	}
	what := pick(g.t, []string{"received", "opened", "clicked", "opened", "clicked"})
	c := chain{source: g.call(what)}
	if g.chance(7) {
		c.source = g.call(what, pick(g.t, campaigns))
	}
	for range rapid.IntRange(0, 2).Draw(g.t, "windows") {
		c.source += "." + g.call(pick(g.t, []string{"within", "before"}), pick(g.t, durations))
	}
	return c
}

// events draws a chain of windows and conditions in any order.
func (g *generator) events() chain {
	event := pick(g.t, g.schema.Events)
	c := chain{source: g.call("events", event.Name), event: event}
	for range rapid.IntRange(0, 3).Draw(g.t, "links") {
		switch link := pick(g.t, []string{"within", "within", "before", "where"}); link {
		case "within", "before":
			c.source += "." + g.call(link, pick(g.t, durations))
		case "where":
			g.count(link)
			g.event = &event
			condition := g.condition()
			g.event = nil
			c.source += ".where(e, " + condition.source + ")"
		}
	}
	return c
}
