package render

import (
	"strings"

	"github.com/osteele/liquid/parser"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// HTMLToText makes the plain text of an HTML body: paragraphs, lines, list items with hyphens, links with their
// address in angle brackets, images by their description. What readers do not see (head, scripts, comments, elements
// with display:none) is left out.
func HTMLToText(source string) string { return convert(source, "\n", "\n\n") }

// convert converts with line breaks and paragraph breaks as given.
func convert(source, line, paragraph string) string {
	w := textWriter{separators: [3]string{"", line, paragraph}}
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return w.String()
		case html.TextToken:
			if w.hidden == 0 {
				w.words(string(z.Text()), true)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			w.open(t)
		case html.EndTagToken:
			t := z.Token()
			w.close(t.DataAtom, t.Data)
		case html.CommentToken, html.DoctypeToken:
		}
	}
}

// textWriter builds a text: blanks run together as a browser would, breaks are written before the next word.
type textWriter struct {
	separators [3]string // none, line, paragraph

	b        strings.Builder
	breaks   int    // before the next word: 1 for a line, 2 for a paragraph
	blank    bool   // a blank before the next word
	links    []link // open ones
	hidden   int    // depth within the element that hides
	hiddenBy string
}

// link is an open <a>.
type link struct {
	address string
	start   int // of its words in the text
}

func (w *textWriter) String() string { return strings.TrimSpace(w.b.String()) }

// words writes text. Entities were decoded by the tokenizer only in attributes.
func (w *textWriter) words(s string, entities bool) {
	if entities {
		s = html.UnescapeString(s)
	}
	const blanks = " \t\r\n\f"
	for s != "" {
		if strings.IndexByte(blanks, s[0]) >= 0 {
			w.blank = true
			s = strings.TrimLeft(s, blanks)
			continue
		}
		end := strings.IndexAny(s, blanks)
		if end < 0 {
			end = len(s)
		}
		w.word(s[:end])
		s = s[end:]
	}
}

func (w *textWriter) word(s string) {
	switch {
	case w.b.Len() == 0:
	case w.breaks > 0:
		w.b.WriteString(w.separators[w.breaks])
	case w.blank:
		w.b.WriteByte(' ')
	}
	w.breaks, w.blank = 0, false
	w.b.WriteString(s)
}

func (w *textWriter) newLines(n int) { w.breaks = max(w.breaks, n) }

func (w *textWriter) open(t html.Token) {
	if w.hidden > 0 {
		if t.Type == html.StartTagToken && t.Data == w.hiddenBy {
			w.hidden++
		}
		return
	}
	if hides(t) && t.Type == html.StartTagToken && !isVoid(t.DataAtom) {
		w.hidden, w.hiddenBy = 1, t.Data
		return
	}
	w.newLines(linesAround(t.DataAtom))
	switch t.DataAtom {
	case atom.Li:
		w.word("-")
		w.blank = true
	case atom.Td, atom.Th:
		w.blank = true
	case atom.Img:
		w.words(attribute(t, "alt"), false)
	case atom.A:
		w.links = append(w.links, link{address: strings.TrimSpace(attribute(t, "href")), start: w.b.Len()})
	}
}

func (w *textWriter) close(a atom.Atom, name string) {
	if w.hidden > 0 {
		if name == w.hiddenBy {
			w.hidden--
		}
		return
	}
	if a == atom.A && len(w.links) > 0 {
		w.closeLink()
	}
	w.newLines(linesAround(a))
}

func (w *textWriter) closeLink() {
	l := w.links[len(w.links)-1]
	w.links = w.links[:len(w.links)-1]
	shown := strings.TrimSpace(w.b.String()[l.start:])
	scheme, rest, _ := strings.Cut(l.address, ":")
	switch {
	case l.address == "" || l.address[0] == '#' || strings.EqualFold(scheme, "javascript"),
		l.address == shown, strings.EqualFold(scheme, "mailto") && rest == shown:
	case shown == "":
		w.blank = true
		w.word("<" + l.address + ">")
	default:
		w.breaks, w.blank = 0, true
		w.word("<" + l.address + ">")
	}
}

// linesAround is how many line feeds separate an element from what is before and after it.
func linesAround(a atom.Atom) int {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Ul, atom.Ol, atom.Dl, atom.Blockquote,
		atom.Pre, atom.Hr, atom.Section, atom.Article, atom.Header, atom.Footer:
		return 2
	case atom.Div, atom.Tr, atom.Li, atom.Br, atom.Dt, atom.Dd, atom.Center, atom.Caption, atom.Figcaption:
		return 1
	}
	return 0
}

func hides(t html.Token) bool {
	switch t.DataAtom {
	case atom.Head, atom.Script, atom.Style, atom.Title, atom.Template, atom.Noscript:
		return true
	}
	style := strings.ToLower(strings.ReplaceAll(attribute(t, "style"), " ", ""))
	return strings.Contains(style, "display:none")
}

func isVoid(a atom.Atom) bool {
	switch a {
	case atom.Img, atom.Br, atom.Hr, atom.Input, atom.Meta, atom.Link, atom.Area, atom.Base, atom.Col, atom.Source, atom.Wbr:
		return true
	}
	return false
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// While a derived text is rendered its breaks are these characters, which no data can contain (printable takes them
// out), so that settle can tell them from line feeds in data and make one break of those that branches not taken and
// turns of a loop leave side by side.
const (
	softLine      = "\v"
	softParagraph = "\f"
)

// placeholder is the first of the private code points (Unicode plane 15) that stand for the Liquid of a source while
// its HTML is made text.
const (
	placeholder     = 0xF0000
	maxPlaceholders = 0xFFFD
)

// deriveText makes the text template of an HTML template, once, so that no recipient costs a conversion and no data can
// be taken for HTML. It gives nil where that would change what the template means (a tag that sets a variable within a
// comment, a condition between attributes): then every rendered HTML is converted.
func deriveText(locale, source string) *part {
	var b strings.Builder
	var liquid []string
	var control []int // the placeholders of tags
	broken := strings.ContainsFunc(source, isPlaceholder)
	for _, p := range scan(source, func(int, string) { broken = true }) {
		if p.kind == parser.TextTokenType {
			broken = broken || p.literal
			b.WriteString(p.source)
			continue
		}
		if p.kind == parser.TagTokenType {
			control = append(control, len(liquid))
		}
		b.WriteRune(rune(placeholder + len(liquid)))
		liquid = append(liquid, p.source)
	}
	if broken || len(liquid) > maxPlaceholders {
		return nil
	}
	derivedSource, ok := restore(convert(b.String(), softLine, softParagraph), liquid, control)
	if !ok {
		return nil
	}
	p, _, problems := compilePart(locale, PartText, derivedSource, derived)
	if len(problems) > 0 {
		return nil
	}
	return p
}

func isPlaceholder(r rune) bool { return placeholder <= r && r <= placeholder+maxPlaceholders }

// restore puts the Liquid back. It is false where a tag was lost or changed its place, or where text looks like Liquid.
func restore(s string, liquid []string, control []int) (string, bool) {
	if strings.Contains(s, "{{") || strings.Contains(s, "{%") {
		return "", false
	}
	var b strings.Builder
	for _, r := range s {
		if !isPlaceholder(r) {
			b.WriteRune(r)
			continue
		}
		i := int(r - placeholder)
		if strings.HasPrefix(liquid[i], "{%") {
			if len(control) == 0 || control[0] != i {
				return "", false
			}
			control = control[1:]
		}
		b.WriteString(liquid[i])
	}
	return b.String(), len(control) == 0
}
