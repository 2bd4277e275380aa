package automate

import (
	"fmt"
	"strings"
)

// Mermaid draws a rule that Check takes as a flowchart of Mermaid. What comes from the rule is escaped: no name breaks out of its box.
func (r Rule) Mermaid() string {
	p := bare(r)
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	steps := p.Rule.Steps
	fmt.Fprintf(&b, "  on([%s])\n", label(p.Rule.On.String()))
	first := "s0"
	if r.When != "" {
		fmt.Fprintf(&b, "  when{%s}\n  on --> when\n  when -->|yes| s0\n", label(p.Rule.When))
		first = "when"
	}
	if first == "s0" {
		b.WriteString("  on --> s0\n")
	}
	ends := false
	for i, s := range steps {
		fmt.Fprintf(&b, "  s%d%s\n", i, shape(s))
		for _, way := range p.drawn(i) {
			to := fmt.Sprintf("s%d", way.to)
			if way.to >= len(steps) {
				to, ends = "ended", true
			}
			arrow := " --> "
			if way.label != "" {
				arrow = " -->|" + label(way.label) + "| "
			}
			fmt.Fprintf(&b, "  s%d%s%s\n", i, arrow, to)
		}
	}
	if ends {
		b.WriteString("  ended((( )))\n")
	}
	if r.Exit != "" {
		fmt.Fprintf(&b, "  exit[/%s/]\n", label("leaves at any wait when "+p.Rule.Exit))
	}
	return b.String()
}

// way is an arrow.
type way struct {
	to    int
	label string
}

// drawn are the ways from a step with what they mean.
func (p *Plan) drawn(place int) []way {
	s, to := p.Rule.Steps[place], p.ways(place)
	switch {
	case s.If != nil:
		return []way{{to[0], "yes"}, {to[1], "no"}}
	case s.Split != nil:
		total, list := 0, []way{}
		for _, b := range s.Split {
			total += b.Weight
		}
		for i, b := range s.Split {
			list = append(list, way{to[i], fmt.Sprintf("%.3g %%", float64(b.Weight)*100/float64(total))})
		}
		return list
	case s.Wait != nil && len(to) == 2:
		return []way{{to[0], "came"}, {to[1], "not by then"}}
	}
	var list []way
	for _, place := range to {
		list = append(list, way{place, ""})
	}
	return list
}

// shape is a step's box: what it is shows in its form.
func shape(s Step) string {
	text := label(s.Name + ": " + s.String())
	switch {
	case s.If != nil:
		return "{" + text + "}"
	case s.Split != nil:
		return "{{" + text + "}}"
	case s.Wait != nil:
		return "([" + text + "])"
	case s.Exit != nil:
		return "((" + text + "))"
	}
	return "[" + text + "]"
}

// longestLabel is how many characters of an expression a box shows.
const longestLabel = 200

// label is a text in quotation marks as Mermaid takes it: entities for all that could end it, or be read as HTML or Markdown.
func label(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range []rune(text) {
		switch {
		case i == longestLabel:
			b.WriteString("…\"")
			return b.String()
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		case strings.ContainsRune("\"#&<>`*_\\|[]{}();%~", r):
			fmt.Fprintf(&b, "#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
