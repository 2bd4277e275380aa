package render

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/osteele/liquid/expressions"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// expression is a compiled expression: the library's, and for the few forms that most templates are made of a path of names
// and what is done with its value, which need no evaluator.
type expression struct {
	path   []string
	then   operator
	with   any // what then takes: a string, an int, a float64, a bool or nil
	eval   expressions.Expression
	cost   int // steps: one and one for each filter
	offset int // in the source, for errors
}

// use is a variable that a template reads.
type use struct {
	name         string // dotted: contact.first_name
	locale, part string
	line, column int
}

// reader goes over the source of an expression to find what the library's parser does not tell: which variables and
// filters it names, and where.
type reader struct {
	source string
	at     int
	found  []named
}

// named is something that an expression names.
type named struct {
	kind   nameKind
	name   string
	offset int
}

type nameKind int

const (
	variable nameKind = iota
	filter
	keyword   // limit:, offset:
	rangeDots // (1..5); its name is the text before and after the dots where these are whole numbers
	dateNow   // a literal "now" or "today"
)

func readNames(source string) []named {
	r := &reader{source: source}
	for r.at < len(source) {
		r.step()
	}
	return r.found
}

func (r *reader) step() {
	switch c := r.source[r.at]; {
	case c == '"' || c == '\'':
		start := r.at
		if text := r.quoted(); text == "now" || text == "today" {
			r.add(dateNow, text, start)
		}
	case isLetter(c):
		r.variable()
	case c == '|':
		r.at++
		r.blanks()
		start := r.at
		if name := r.word(); name != "" {
			r.add(filter, name, start)
		}
		if r.at < len(r.source) && r.source[r.at] == ':' {
			r.at++
		}
	case c == '.' && strings.HasPrefix(r.source[r.at:], ".."):
		r.add(rangeDots, r.around(), r.at)
		r.at += 2
	case c == '.' && r.at+1 < len(r.source) && isLetter(r.source[r.at+1]): // a property of something bracketed
		r.at++
		r.word()
	default:
		r.at++
	}
}

func (r *reader) add(kind nameKind, name string, offset int) {
	r.found = append(r.found, named{kind: kind, name: name, offset: offset})
}

func (r *reader) blanks() {
	for r.at < len(r.source) && strings.IndexByte(" \t\r\n", r.source[r.at]) >= 0 {
		r.at++
	}
}

// word reads an identifier, as the library's scanner defines one.
func (r *reader) word() string {
	start := r.at
	for r.at < len(r.source) && (isLetter(r.source[r.at]) || r.at > start && (isDigit(r.source[r.at]) || r.source[r.at] == '-')) {
		r.at++
	}
	if r.at > start && r.at < len(r.source) && r.source[r.at] == '?' {
		r.at++
	}
	return r.source[start:r.at]
}

// quoted reads a string; there are no escapes.
func (r *reader) quoted() string {
	end := strings.IndexByte(r.source[r.at+1:], r.source[r.at])
	if end < 0 {
		r.at = len(r.source)
		return ""
	}
	text := r.source[r.at+1 : r.at+1+end]
	r.at += end + 2
	return text
}

// variable reads a path such as contact.first_name or contact["first_name"]. A word before a colon is a keyword.
func (r *reader) variable() {
	start := r.at
	name := r.word()
	if r.at < len(r.source) && r.source[r.at] == ':' {
		r.add(keyword, name, start)
		return
	}
	if slices.Contains(literalNames, name) {
		return
	}
	for {
		resume := r.at
		r.blanks()
		rest := r.source[r.at:]
		switch {
		case len(rest) > 1 && rest[0] == '.' && isLetter(rest[1]):
			r.at++
			name += "." + r.word()
			continue
		case len(rest) > 1 && rest[0] == '[' && (rest[1] == '"' || rest[1] == '\''):
			r.at++
			key := r.quoted()
			if r.blanks(); r.at < len(r.source) && r.source[r.at] == ']' {
				r.at++
				name += "." + key
				continue
			}
		}
		r.at = resume
		break
	}
	r.add(variable, name, start)
}

// around gives "a b" for the whole numbers on both sides of the dots, and "" where one of them is something else.
func (r *reader) around() string {
	before := strings.TrimRight(r.source[:r.at], " \t")
	after := strings.TrimLeft(r.source[r.at+2:], " \t")
	a := before[strings.LastIndexAny(before, "( \t")+1:]
	b, _, _ := strings.Cut(after, ")")
	return a + " " + strings.TrimSpace(b)
}

// literalNames are words of the language.
var literalNames = []string{"true", "false", "nil", "and", "or", "contains", "in"}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// literalRange tells how many numbers a range of literals has.
func literalRange(bounds string) (n float64, ok bool) {
	from, to, _ := strings.Cut(bounds, " ")
	a, errA := strconv.ParseFloat(from, 64)
	b, errB := strconv.ParseFloat(to, 64)
	if errA != nil || errB != nil {
		return 0, false
	}
	return math.Max(0, b-a+1), true
}

// checkNames reports filters that do not exist and what a template must not do, and counts the filters.
func checkNames(names []named, loop bool, problem func(offset int, message string)) (filters int) {
	ranged := -1
	for _, n := range names {
		switch n.kind {
		case filter:
			filters++
			if !isFilter(n.name) {
				problem(n.offset, fmt.Sprintf("there is no filter %q%s", n.name, crm.DidYouMean(n.name, filterNames())))
			}
		case rangeDots:
			ranged = n.offset
			count, literal := literalRange(n.name)
			switch {
			case !loop:
				problem(n.offset, "a range such as (1..5) stands in {% for … in (1..5) %} only")
			case literal && count > MaxSteps:
				problem(n.offset, fmt.Sprintf("this loop goes round %.0f times; at most %d are allowed", count, MaxSteps))
			}
		case dateNow:
			if followedByDate(names, n) {
				problem(n.offset, "a template does not know the time: write the date itself")
			}
		case variable, keyword:
		}
	}
	if ranged >= 0 && loop && filters > 0 {
		problem(ranged, "a range takes no filters: use reversed, limit and offset")
	}
	return filters
}

func followedByDate(names []named, literal named) bool {
	for _, n := range names {
		if n.kind == filter && n.offset > literal.offset {
			return n.name == "date"
		}
	}
	return false
}

// guarded calls the library's parser, which panics on a number that does not fit.
func guarded[T any](parse func() (T, error)) (out T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return parse()
}
