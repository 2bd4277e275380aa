package render

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// operator is what an expression does with the value of its path.
type operator int

const (
	itself    operator = iota // {{ contact.first_name }}
	orDefault                 // {{ contact.first_name | default: "you" }}
	equals                    // {% if contact.plan == "pro" %}
	differs
	less
	atMost
	more
	atLeast
	contains // {% if contact.tags contains "road" %}
)

var operators = map[string]operator{
	"==": equals, "!=": differs, "<": less, "<=": atMost, ">": more, ">=": atLeast, "contains": contains,
}

var (
	withDefault = regexp.MustCompile(`^([A-Za-z_][\w.]*)\s*\|\s*default:\s*("[^"]*"|'[^']*')$`)
	comparison  = regexp.MustCompile(`^([A-Za-z_][\w.]*)(?:\s*(==|!=|<=|>=|<|>)\s*|\s+(contains)\s+)("[^"]*"|'[^']*'|\d{1,15}|\d{1,15}\.\d{1,15}|true|false)$`)
)

// simplify finds out whether an expression is of a form that needs no evaluator.
func (e *expression) simplify(source string) {
	path, literal := source, ""
	if m := withDefault.FindStringSubmatch(source); m != nil {
		path, literal, e.then = m[1], m[2], orDefault
	} else if m := comparison.FindStringSubmatch(source); m != nil {
		path, literal, e.then = m[1], m[4], operators[m[2]+m[3]]
	}
	if !plainPath.MatchString(path) {
		e.then = itself
		return
	}
	if literal != "" {
		e.with = literalValue(literal)
	}
	if e.then == contains {
		if _, ok := e.with.(string); !ok {
			e.then = itself
			return
		}
	}
	e.path = strings.Split(path, ".")
}

// literalValue reads a literal as the library's scanner does.
func literalValue(source string) any {
	switch {
	case source[0] == '"' || source[0] == '\'':
		return source[1 : len(source)-1]
	case source == "true" || source == "false":
		return source == "true"
	case strings.Contains(source, "."):
		n, _ := strconv.ParseFloat(source, 64)
		return n
	}
	n, _ := strconv.Atoi(source)
	return n
}

// simpleText gives what an output writes where that is text from the start.
func (s *state) simpleText(e *expression) (string, bool) {
	if e.path == nil || e.then > orDefault {
		return "", false
	}
	text, ok := s.textOf(e.path)
	if ok && text == "" && e.then == orDefault {
		text, ok = e.with.(string)
	}
	return text, ok
}

// simple evaluates an expression without the library; false where its value is of a kind that is left to that.
func (s *state) simple(e *expression) (any, bool) {
	if e.then == contains {
		return s.simpleContains(e)
	}
	if want, ok := e.with.(string); ok && (e.then == equals || e.then == differs) && want != "" {
		if text, ok := s.textOf(e.path); ok { // "" for what is not there, which equals no other text
			return (text == want) == (e.then == equals), true
		}
	}
	v, ok := s.lookup(e.path)
	if !ok || e.then == itself {
		return v, ok
	}
	if e.then != orDefault {
		return compare(v, e.with, e.then)
	}
	switch v := v.(type) {
	case nil:
		return e.with, true
	case string:
		if v == "" {
			return e.with, true
		}
		return v, true
	case int, int64, float64:
		return v, true
	}
	return nil, false
}

func (s *state) simpleContains(e *expression) (any, bool) {
	want, _ := e.with.(string)
	if list, ok := s.listOf(e.path); ok {
		return slices.Contains(list, want), true
	}
	if text, ok := s.textOf(e.path); ok && want != "" { // what is not there contains nothing, not even ""
		return strings.Contains(text, want), true
	}
	return nil, false
}

// compare compares numbers with numbers and texts with texts.
func compare(v, with any, by operator) (any, bool) {
	if v == nil {
		return by == differs, true
	}
	a, numeric := number(v)
	b, likewise := number(with)
	if numeric && likewise {
		return ordered(a, b, by), true
	}
	x, isText := v.(string)
	y, likewise := with.(string)
	if isText && likewise {
		return ordered(x, y, by), true
	}
	return nil, false
}

// number gives the value of a number that a float64 holds exactly.
func number(v any) (float64, bool) {
	const exact = 1 << 53
	switch v := v.(type) {
	case int:
		return float64(v), -exact < v && v < exact
	case int64:
		return float64(v), -exact < v && v < exact
	case float64:
		return v, v == v //nolint:gocritic // not NaN
	}
	return 0, false
}

func ordered[T float64 | string](a, b T, by operator) bool {
	switch by {
	case equals:
		return a == b
	case differs:
		return a != b
	case less:
		return a < b
	case atMost:
		return a <= b
	case more:
		return a > b
	case atLeast:
		return a >= b
	case itself, orDefault, contains:
	}
	return false
}
