package render

import (
	"fmt"
	"html"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/filters"
	"github.com/osteele/liquid/values"
	"github.com/osteele/tuesday"
)

// told is an error of a filter that names no value and can be shown.
type told string

func (t told) Error() string { return string(t) }

// kept are the filters of the library that are taken as they are: their results are no longer than what they are given.
var kept = []string{
	"abs", "ceil", "compact", "default", "divided_by", "downcase", "first", "floor", "last", "lstrip", "map", "minus",
	"modulo", "plus", "remove", "remove_first", "reverse", "round", "rstrip", "size", "sort", "sort_natural", "strip",
	"strip_newlines", "times", "upcase", "url_decode",
}

// own are ours: bounded where the library's are not, in characters where it counts bytes, without compiling a regular
// expression for every value, and without the time of day.
var own = map[string]any{
	"append":        func(s, t string) (string, error) { return bounded(s, t) },
	"prepend":       func(s, t string) (string, error) { return bounded(t, s) },
	"capitalize":    capitalize,
	"concat":        concat,
	"date":          date,
	"join":          join,
	"replace":       func(s, old, with string) (string, error) { return replace(s, old, with, -1) },
	"replace_first": func(s, old, with string) (string, error) { return replace(s, old, with, 1) },
	"slice":         slice,
	"split":         split,
	"strip_html":    HTMLToText,
	"truncate":      truncate,
	"truncatewords": truncateWords,
	"uniq":          uniq,
	"url_encode":    func(s string) (string, error) { return bounded(url.QueryEscape(s)) },
}

// inMarkup and inPlain are the filters whose meaning depends on the part: in HTML, and in a text made from it, they say
// that what they give is HTML already; elsewhere there is nothing to escape. raw opts out of escaping altogether: it is for HTML that the author
// wrote or a trusted system made, never for what a person typed.
var inMarkup = map[string]any{
	"raw":           func(v any) safeHTML { return safeHTML(textOf(v)) },
	"escape":        escape,
	"escape_once":   func(v any) (safeHTML, error) { return escape(html.UnescapeString(textOf(v))) },
	"newline_to_br": newlineToBreak,
}

var inPlain = map[string]any{
	"raw":           func(v any) safeHTML { return safeHTML(textOf(v)) },
	"escape":        textOf,
	"escape_once":   textOf,
	"newline_to_br": textOf,
}

// collector takes the filters of the library that are kept.
type collector struct{ config *expressions.Config }

func (c collector) AddFilter(name string, fn any) {
	if slices.Contains(kept, name) {
		c.config.AddFilter(name, fn)
	}
}

func newFilters(byPart map[string]any) expressions.Config {
	config := expressions.NewConfig()
	filters.AddStandardFilters(collector{&config})
	for name, fn := range own {
		config.AddFilter(name, fn)
	}
	for name, fn := range byPart {
		config.AddFilter(name, fn)
	}
	return config
}

var markupFilters, plainFilters = newFilters(inMarkup), newFilters(inPlain)

func filtersOf(m mode) expressions.Config {
	if m == plain {
		return plainFilters
	}
	return markupFilters
}

var allFilters = slices.Sorted(slices.Values(slices.Concat(kept, slices.Collect(maps.Keys(own)), slices.Collect(maps.Keys(inPlain)))))

func filterNames() []string { return allFilters }

func isFilter(name string) bool {
	_, found := slices.BinarySearch(allFilters, name)
	return found
}

// textOf is the text of any value; that of a list or a map is empty.
func textOf(v any) string {
	t, _ := scalar(v)
	return printable(t)
}

func bounded(parts ...string) (string, error) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > maxString {
		return "", told(fmt.Sprintf("the result is longer than %d bytes", maxString))
	}
	return strings.Join(parts, ""), nil
}

func boundedList(n int) error {
	if n > maxList {
		return told(fmt.Sprintf("the result has more than %d elements", maxList))
	}
	return nil
}

func escape(v any) (safeHTML, error) {
	s, err := bounded(html.EscapeString(textOf(v)))
	return safeHTML(s), err
}

func newlineToBreak(v any) (safeHTML, error) {
	safe, ok := v.(safeHTML)
	if !ok {
		safe = safeHTML(html.EscapeString(textOf(v)))
	}
	s, err := bounded(strings.ReplaceAll(string(safe), "\n", "<br>\n"))
	return safeHTML(s), err
}

func capitalize(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError {
		return s
	}
	return string(unicode.ToUpper(r)) + s[size:]
}

func concat(a, b []any) ([]any, error) {
	if err := boundedList(len(a) + len(b)); err != nil {
		return nil, err
	}
	return slices.Concat(a, b), nil
}

func join(list []any, separator func(string) string) (string, error) {
	parts := make([]string, 0, len(list))
	n, between := 0, separator(" ")
	for _, v := range list {
		if v != nil {
			parts = append(parts, textOf(v))
			if n += len(parts[len(parts)-1]) + len(between); n > maxString {
				return "", told(fmt.Sprintf("the result is longer than %d bytes", maxString))
			}
		}
	}
	return strings.Join(parts, between), nil
}

func replace(s, old, with string, n int) (string, error) {
	times := strings.Count(s, old)
	if n >= 0 {
		times = min(times, n)
	}
	if len(s)+times*max(0, len(with)-len(old)) > maxString {
		return "", told(fmt.Sprintf("the result is longer than %d bytes", maxString))
	}
	return strings.Replace(s, old, with, n), nil
}

// slice takes characters from start, counted from the end where it is negative.
func slice(s string, start int, length func(int) int) string {
	runes := []rune(s)
	if start < 0 {
		start += len(runes)
	}
	if start < 0 || start >= len(runes) {
		return ""
	}
	return string(runes[start : start+max(0, min(length(1), len(runes)-start))])
}

func split(s, separator string) ([]any, error) {
	var parts []string
	switch {
	case separator == " ":
		parts = strings.Fields(s)
	case s != "":
		if err := boundedList(strings.Count(s, separator)); err != nil {
			return nil, err
		}
		parts = strings.Split(s, separator)
	}
	if err := boundedList(len(parts)); err != nil {
		return nil, err
	}
	out := make([]any, len(parts))
	for i := range parts {
		out[i] = parts[i]
	}
	return out, nil
}

func truncate(s string, length func(int) int, ellipsis func(string) string) (string, error) {
	n, end := max(0, length(50)), ellipsis("...")
	runes := []rune(s)
	if len(runes) <= n {
		return s, nil
	}
	return bounded(string(runes[:max(0, n-utf8.RuneCountInString(end))]), end)
}

func truncateWords(s string, length func(int) int, ellipsis func(string) string) (string, error) {
	words, n, end := strings.Fields(s), max(1, length(15)), ellipsis("...")
	if len(words) <= n {
		return s, nil
	}
	return bounded(strings.Join(words[:n], " "), end)
}

func uniq(list []any) []any {
	var out []any
	seen := map[any]bool{}
	for _, v := range list {
		if v == nil || !reflect.TypeOf(v).Comparable() {
			out = append(out, v)
			continue
		}
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// wideNumber is a directive such as %999999d, which would print that many digits.
var wideNumber = regexp.MustCompile(`%[-_^#0:]*[0-9]{3}`)

// date formats a time as Ruby's strftime does; nil and "" stay empty. It reads the usual ways to write a date, but not
// "now": a template does not know the time.
func date(v any, format func(string) string) (string, error) {
	f := format("%Y-%m-%d")
	if len(f) > 200 || wideNumber.MatchString(f) {
		return "", told("the format is too long")
	}
	var at time.Time
	switch v := v.(type) {
	case nil:
		return "", nil
	case time.Time:
		at = v
	default:
		s := textOf(v)
		if s == "" {
			return "", nil
		}
		parsed, err := values.ParseDate(s)
		if err != nil || s == "now" {
			return "", told("the value is no date")
		}
		at = parsed
	}
	s, err := tuesday.Strftime(f, at)
	if err != nil {
		return "", fmt.Errorf("format a date: %w", err)
	}
	return bounded(s)
}
