// Package render turns templates and a contact's data into messages: Liquid, links, headers, the text part.
//
// The scanner, the expression language and most filters are those of github.com/osteele/liquid; the tree that is
// rendered is ours. The library's own has no limits (a loop over a billion numbers, a string doubled in a loop, a file
// read by include), does not escape, stops at the first error, which it gives a line at best, and works out by
// reflection for every recipient what is known once for all.
package render

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/osteele/liquid/expressions"
)

// Bounds of a template. What a template makes of a contact's data is cut off with an error, never by memory or patience.
const (
	MaxSource = 512 << 10 // bytes of a part's source
	MaxOutput = 512 << 10 // bytes that a part may grow to
	// MaxSteps is how many tags, variables, filters and iterations one rendering may take. A mail of fifty products
	// takes about a thousand.
	MaxSteps = 20_000

	maxSubject = 500      // characters; longer subjects are cut
	maxString  = 64 << 10 // bytes of a string that a filter makes or a variable holds
	maxList    = 1_000    // elements of a list that a filter makes
	maxExpr    = 2_000    // bytes of an expression
	maxNesting = 30       // blocks within blocks
	maxErrors  = 20       // reported for one part
)

// Content is a message in one language. HTML, Text or both are given; a missing text is made from the HTML.
type Content struct {
	Locale  string // BCP 47, such as es or es-MX
	Subject string
	HTML    string
	Text    string
}

// Vars are what a template can read: strings, bool, int, int64, float64, time.Time, []string, []any and
// map[string]any of these; nil is as good as absent. A Date attribute is best given as its text, a Decimal as float64.
type Vars map[string]any

// Rendered is a message for one recipient, before its headers. HTML is empty where the content had none.
type Rendered struct {
	Locale  string // of the content that was used
	Subject string // one line, not encoded
	HTML    string
	Text    string
}

// Template is a compiled message in all of its languages. It is immutable and safe for concurrent use.
type Template struct {
	fallback string              // the default locale
	contents map[string]*content // by canonical locale
	uses     []use
}

// content is a compiled Content.
type content struct {
	index   int // among the template's contents
	locale  string
	subject *part
	html    *part // nil without HTML
	text    *part // nil where it is made from the rendered HTML
}

// part is a compiled subject, HTML or text.
type part struct {
	locale, name string
	lines        lines
	nodes        []node
	mode         mode
	filters      expressions.Config
	assigns      bool         // sets variables, so that it needs a map of its own
	counts       bool         // reads forloop
	size         atomic.Int64 // bytes of the last result: about what the next will need
}

// mode says how values are written.
type mode int

const (
	plain   mode = iota // as they are
	markup              // HTML-escaped, but for what a filter says is HTML
	derived             // plain, made from markup: what a filter says is HTML is made text
)

// Compile compiles every part of every content. The error is of type Errors: all that is wrong, each with its position.
func Compile(defaultLocale string, contents []Content) (*Template, error) {
	t := &Template{fallback: canonicalLocale(defaultLocale), contents: make(map[string]*content, len(contents))}
	var errs Errors
	for _, c := range contents {
		locale := canonicalLocale(c.Locale)
		if t.contents[locale] != nil {
			errs = append(errs, &Error{Locale: c.Locale, Message: "this locale has two contents: keep one"})
			continue
		}
		t.contents[locale] = t.compileContent(c, &errs)
	}
	if t.contents[t.fallback] == nil {
		errs = append(errs, &Error{Locale: defaultLocale, Message: "the default locale has no content: add it or change the default"})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return t, nil
}

func (t *Template) compileContent(c Content, errs *Errors) *content {
	out := &content{index: len(t.contents), locale: c.Locale}
	compile := func(name, source string, m mode) *part {
		p, uses, problems := compilePart(c.Locale, name, source, m)
		*errs = append(*errs, problems...)
		t.uses = append(t.uses, uses...)
		return p
	}
	if c.HTML == "" && c.Text == "" {
		*errs = append(*errs, &Error{Locale: c.Locale, Part: PartHTML, Message: "there is neither HTML nor text"})
	}
	out.subject = compile(PartSubject, c.Subject, plain)
	if c.HTML != "" {
		out.html = compile(PartHTML, c.HTML, markup)
	}
	switch {
	case c.Text != "":
		out.text = compile(PartText, c.Text, plain)
	case c.HTML != "":
		out.text = deriveText(c.Locale, c.HTML)
	}
	return out
}

// Render renders the content of a locale: that of es-MX for es-MX, else that of es, else the default. It fails where a
// filter cannot take a value (a word to be divided) or a bound is passed; the error is of type *Error.
func (t *Template) Render(locale string, vars Vars) (Rendered, error) {
	c := t.choose(locale)
	out := Rendered{Locale: c.locale}
	subject, err := c.subject.render(vars)
	if err != nil {
		return Rendered{}, err
	}
	out.Subject = oneLine(string(subject))
	if c.html != nil {
		html, err := c.html.render(vars)
		if err != nil {
			return Rendered{}, err
		}
		out.HTML = string(html)
	}
	if c.text == nil {
		out.Text = HTMLToText(out.HTML)
		return out, nil
	}
	text, err := c.text.render(vars)
	if err != nil {
		return Rendered{}, err
	}
	out.Text = string(text)
	return out, nil
}

func (t *Template) choose(locale string) *content {
	for l := canonicalLocale(locale); l != ""; {
		if c := t.contents[l]; c != nil {
			return c
		}
		cut := strings.LastIndexByte(l, '-')
		if cut < 0 {
			break
		}
		l = l[:cut]
	}
	return t.contents[t.fallback]
}

// canonicalLocale makes es_MX and ES-mx the same.
func canonicalLocale(l string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(l), "_", "-"))
}

// The parts of a content.
const (
	PartSubject = "subject"
	PartHTML    = "html"
	PartText    = "text"
)

// Error is what is wrong in one place of a template.
type Error struct {
	Locale  string // as its author wrote it
	Part    string // subject, html or text; "" where a content as a whole is wrong
	Line    int    // from 1; 0 where there is no position
	Column  int    // from 1, in characters
	Message string // what is wrong and how to mend it; it repeats source at most, never data
}

// Error implements error.
func (e *Error) Error() string {
	where := e.Locale
	if e.Part != "" {
		where += " " + e.Part
	}
	if e.Line > 0 {
		where += fmt.Sprintf(", line %d, column %d", e.Line, e.Column)
	}
	return where + ": " + e.Message
}

// Errors are all that is wrong with a template.
type Errors []*Error

// Error implements error.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i := range e {
		texts[i] = e[i].Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.As find an *Error.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}
