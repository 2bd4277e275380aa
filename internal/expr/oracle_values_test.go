package expr_test

import (
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

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
	choose := func(n node) { choices = append(choices, func() node { return n }) }
	for _, a := range g.schema.Attributes {
		if a.Type == typ && !a.Personal {
			choose(attributeNode(a))
		}
	}
	if g.event != nil {
		for _, p := range g.event.Properties {
			if p.Type == typ {
				choices = append(choices, func() node { return g.property(p) }, func() node { return g.property(p) })
			}
		}
	}
	switch typ {
	case crm.String:
		choose(localeNode)
		choose(zoneNode)
		if g.depth < 6 {
			choices = append(choices, g.lower)
		}
	case crm.Timestamp:
		choose(createdNode)
		choices = append(choices, g.relative)
	}
	if g.event == nil {
		switch typ {
		case crm.Integer:
			choices = append(choices, g.counted)
		case crm.Decimal:
			choices = append(choices, g.aggregate)
		}
	}
	if len(choices) == 0 {
		return g.literal(typ)
	}
	return pick(g.t, choices)()
}

func (g *generator) lower() node {
	g.count("lowerAscii")
	g.depth += 2
	defer func() { g.depth -= 2 }()
	of := g.value(crm.String)
	return node{source: of.source + ".lowerAscii()", eval: func(s subject) any { return lowerASCII(of.eval(s)) }}
}

func (g *generator) counted() node {
	g.count("count")
	events := g.events()
	return node{source: events.source + ".count()", eval: func(s subject) any { return int64(len(events.of(s.person))) }}
}

func (g *generator) aggregate() node {
	function := pick(g.t, []string{"sum", "sum", "min", "max"})
	g.count(function)
	events := g.events()
	var numbers []crm.Property
	for _, p := range events.event.Properties {
		if p.Type == crm.Decimal || p.Type == crm.Integer {
			numbers = append(numbers, p)
		}
	}
	p := pick(g.t, numbers)
	return node{source: events.source + "." + function + "(" + strconv.Quote(p.Name) + ")", eval: func(s subject) any {
		return events.aggregate(function, p, s.person)
	}}
}

// events draws a chain of windows and conditions in any order.
func (g *generator) events() chain {
	event := pick(g.t, g.schema.Events)
	c := chain{source: "events(" + strconv.Quote(event.Name) + ")", event: event}
	for range rapid.IntRange(0, 3).Draw(g.t, "links") {
		switch link := pick(g.t, []string{"within", "within", "before", "where"}); link {
		case "within":
			g.count(link)
			d := pick(g.t, durations)
			c.source += ".within(" + strconv.Quote(d) + ")"
			c.passes = append(c.passes, func(s subject) bool { return s.event.at.After(clock.Add(-length(d))) })
		case "before":
			g.count(link)
			d := pick(g.t, durations)
			c.source += ".before(" + strconv.Quote(d) + ")"
			c.passes = append(c.passes, func(s subject) bool { return !s.event.at.After(clock.Add(-length(d))) })
		case "where":
			g.count(link)
			g.event = &event
			condition := g.condition()
			g.event = nil
			c.source += ".where(e, " + condition.source + ")"
			c.passes = append(c.passes, condition.holds)
		}
	}
	return c
}

func (g *generator) literal(typ crm.ValueType) node {
	switch typ {
	case crm.String:
		return textNode(pick(g.t, texts))
	case crm.Integer:
		return integerNode(pick(g.t, integers))
	case crm.Decimal:
		text := pick(g.t, decimals)
		value := rat(text)
		return node{source: text, eval: func(subject) any { return value }}
	case crm.Boolean:
		value := g.chance(5)
		return node{source: strconv.FormatBool(value), eval: func(subject) any { return value }}
	case crm.Date:
		text := pick(g.t, dates)
		value := dateOf(text)
		return node{source: `date("` + text + `")`, eval: func(subject) any { return value }}
	}
	g.count("timestamp")
	at := pick(g.t, moments())
	written := at
	if year := at.Year(); year > 1 && year < 9999 { // with an offset, it may be another year
		written = at.In(pick(g.t, []*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("", -5*3600-1800)}))
	}
	return node{source: `timestamp("` + written.Format(time.RFC3339Nano) + `")`, eval: func(subject) any { return instant{at} }}
}

// relative draws an instant by the clock.
func (g *generator) relative() node {
	kind := pick(g.t, []string{"now", "ago", "ahead"})
	g.count(kind)
	at, source := clock, kind
	if kind != "now" {
		d := pick(g.t, durations)
		source += `("` + d + `")`
		at = clock.Add(length(d) * map[string]time.Duration{"ago": -1, "ahead": 1}[kind])
	}
	return node{source: source, eval: func(subject) any { return instant{at} }}
}

func textNode(text string) node {
	return node{source: strconv.Quote(text), eval: func(subject) any { return text }}
}

func integerNode(text string) node {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return node{source: text, eval: func(subject) any { return value }}
}

func dateOf(text string) calendarDate {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return calendarDate{t}
}

var (
	localeNode  = node{source: "contact.locale", eval: func(s subject) any { return s.person.locale }}
	zoneNode    = node{source: "contact.time_zone", eval: func(s subject) any { return s.person.timeZone }}
	createdNode = node{source: "contact.created_at", eval: func(s subject) any { return s.person.created }}
)

func attributeNode(a crm.Attribute) node {
	return node{source: "contact." + a.Name, eval: func(s subject) any { return s.person.attributes[a.Name] }}
}

func (g *generator) property(p crm.Property) node {
	return node{source: "e." + p.Name, eval: func(s subject) any { return s.event.property(p) }}
}

// drawValue draws a value of a type for a contact, in memory and as PostgreSQL reads it; null a quarter of the time.
func drawValue(t *rapid.T, typ crm.ValueType) (value any, text *string) {
	if rapid.IntRange(1, 4).Draw(t, "null") == 1 {
		return nil, nil
	}
	var s string
	switch typ {
	case crm.String:
		s = pick(t, texts)
		value = s
	case crm.Integer:
		s = pick(t, integers)
		value = integerNode(s).eval(subject{})
	case crm.Decimal:
		s = pick(t, slices.Concat(decimals, integers))
		value = rat(s)
	case crm.Boolean:
		value = rapid.Bool().Draw(t, "boolean")
		s = strconv.FormatBool(value.(bool))
	case crm.Date:
		s = pick(t, dates)
		value = dateOf(s)
	case crm.Timestamp:
		at := pick(t, moments())
		s = at.Format(time.RFC3339Nano)
		value = instant{at}
	}
	return value, &s
}

// drawJSON draws what an event may hold for a property: nothing, a value of its type, or one of another.
func drawJSON(t *rapid.T, typ crm.ValueType) (json string, present bool) {
	switch rapid.IntRange(1, 8).Draw(t, "shape") {
	case 1:
		return "", false
	case 2:
		return pick(t, []string{"null", "true", `"x"`, "[]", "{}", "1e3", "1e200", `"1.5"`, `"1e3"`, `""`, "-0.0", `{"a": 1}`}), true
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
	}
	return pick(t, []string{`""`, `"a"`, `"A"`, `"ab"`, `"ä"`, `"日本"`, `"%"`, `"\\"`, `"'"`, `"NULL"`}), true
}
