package render

import (
	"html"
	"slices"
	"strings"
)

// weaver makes of a part's tree the one that writes a message: text is encoded, and links are found.
type weaver struct {
	part   *part
	links  *linkTable // nil where links are not tracked
	beacon *beacon    // nil for none
}

// weave makes the part that writes a message.
func (w *weaver) weave() *part {
	p := w.part
	return &part{
		locale: p.locale, name: p.name, lines: p.lines, mode: p.mode, filters: p.filters, assigns: p.assigns, counts: p.counts,
		nodes: w.root(p.nodes),
	}
}

// root weaves a whole part.
func (w *weaver) root(nodes []node) []node {
	at := place{}
	if w.beacon == nil {
		return w.list(nodes, &at, true)
	}
	end := len(nodes)
	for i := len(nodes) - 1; i >= 0 && end == len(nodes); i-- {
		if t, ok := nodes[i].(text); ok && bodyEnd(string(t)) >= 0 {
			end = i
		}
	}
	var behind []node
	before := nodes[:end:end]
	if end < len(nodes) {
		source, _ := nodes[end].(text)
		cut := bodyEnd(string(source))
		before = append(before, source[:cut])
		behind = append([]node{source[cut:]}, nodes[end+1:]...)
	}
	out := w.list(before, &at, true)
	if at.in == inText { // else the HTML is so broken that nobody knows where its body ends
		out = append(out, w.beacon)
	}
	return append(out, w.list(behind, &at, true)...)
}

// bodyEnd finds where a body ends; -1 where a text does not say.
func bodyEnd(source string) int {
	lowered := strings.ToLower(source)
	if len(lowered) != len(source) {
		return -1
	}
	return strings.LastIndex(lowered, "</body")
}

// linkTable gathers the links of a message.
type linkTable struct {
	own     string // how addresses begin that are never tracked: the tenant's own
	urls    []string
	indexes map[string]int
}

// maxLinks is how many different links of one content are tracked; further ones stay as they are.
const maxLinks = 1000

// index gives an address its place in the table; false where it is not tracked.
func (t *linkTable) index(url string) (int, bool) {
	if i, ok := t.indexes[url]; ok {
		return i, true
	}
	if len(t.urls) == maxLinks || len(url) > MaxTarget {
		return 0, false
	}
	i := len(t.urls)
	t.urls = append(t.urls, url)
	t.indexes[url] = i
	return i, true
}

// tracked tells whether an address is one that is tracked.
func (t *linkTable) tracked(url string) bool {
	return len(url) <= MaxTarget && IsWebURL(url) && !strings.HasPrefix(url, t.own)
}

// list weaves the nodes of a block. after says that what follows the block ends a web address that its text ends with.
func (w *weaver) list(nodes []node, at *place, after bool) []node {
	l := &lister{weaver: w, at: at, open: -1}
	for i, n := range nodes {
		follows := after
		if i+1 < len(nodes) {
			follows = delimits(nodes[i+1])
		}
		switch n := n.(type) {
		case text:
			if w.part.mode == markup {
				l.markup(string(n))
			} else {
				l.plain(string(n), i+1 == len(nodes), follows)
			}
		case *output:
			l.out = append(l.out, n)
		default:
			within := w
			if l.url { // a part of an address holds none
				within = &weaver{part: w.part}
			}
			l.out = append(l.out, within.block(n, at, follows))
		}
	}
	l.close(after)
	return l.out
}

// block weaves what stands within a node.
func (w *weaver) block(n node, at *place, follows bool) node {
	if w.part.mode != markup {
		at = &place{}
	}
	switch n := n.(type) {
	case *conditional:
		out, ends := &conditional{}, []place{}
		whole := false
		for _, b := range n.branches {
			within := *at
			whole = whole || b.test == nil
			b.nodes = w.list(b.nodes, &within, follows)
			out.branches, ends = append(out.branches, b), append(ends, within)
		}
		at.after(ends, whole)
		return out
	case *selection:
		out, ends := &selection{value: n.value}, []place{}
		whole := false
		for _, c := range n.choices {
			within := *at
			whole = whole || c.values == nil
			c.nodes = w.list(c.nodes, &within, follows)
			out.choices, ends = append(out.choices, c), append(ends, within)
		}
		at.after(ends, whole)
		return out
	case *iteration:
		out := *n
		body, otherwise := *at, *at
		again := follows && len(n.body) > 0 && delimits(n.body[0])
		out.body = w.list(n.body, &body, again)
		out.otherwise = w.list(n.otherwise, &otherwise, follows)
		at.after([]place{body, otherwise}, false)
		return &out
	case *captured:
		return &captured{name: n.name, nodes: w.list(n.nodes, &place{}, false)}
	}
	return n
}

// after is the place behind a block, whose branches ended in these; whole says that one of them is always taken.
func (p *place) after(ends []place, whole bool) {
	if !whole {
		ends = append(ends, *p)
	}
	*p = ends[0]
	for _, e := range ends[1:] {
		*p = joined(*p, e)
	}
}

// lister weaves one list of nodes.
type lister struct {
	*weaver
	at   *place
	out  []node
	open int  // where in out the address begins that is being read; -1 for none
	url  bool // it is one of a text
}

func (l *lister) fixed(source string) {
	if source != "" {
		l.out = append(l.out, newFixed(source, l.part.mode == derived))
	}
}

// markup weaves text of HTML: the addresses of <a href> become links.
func (l *lister) markup(source string) {
	if l.links == nil {
		l.at.read(source, func(int) {}, func(int) {})
		l.fixed(source)
		return
	}
	done := 0
	l.at.read(source, func(begin int) {
		l.fixed(source[done:begin])
		done, l.open = begin, len(l.out)
	}, func(end int) {
		l.fixed(source[done:end])
		done = end
		if l.open >= 0 {
			inner := slices.Clone(l.out[l.open:])
			l.out = append(l.out[:l.open], l.link(inner)...)
			l.open = -1
		}
	})
	l.fixed(source[done:])
	if !l.at.inHref() {
		l.open = -1
	}
}

// plain weaves text: web addresses in it become links. One that reaches to the end of the text goes on in what comes next.
func (l *lister) plain(source string, last, follows bool) {
	if l.links == nil {
		l.fixed(source)
		return
	}
	if l.url {
		end := urlEnd(source)
		l.fixed(source[:end])
		if end == len(source) {
			return
		}
		l.close(true)
		source = source[end:]
	}
	for source != "" {
		begin := urlBegin(source)
		l.fixed(source[:begin])
		source = source[begin:]
		end := urlEnd(source)
		switch {
		case source == "":
		case end < len(source) || follows:
			end = trimURL(source[:end])
			l.out = append(l.out, l.link([]node{newFixed(source[:end], l.part.mode == derived)})...)
		case last:
			l.fixed(source)
		default:
			l.open, l.url = len(l.out), true
			l.fixed(source)
		}
		source = source[end:]
	}
}

// close ends the address of a text that is being read. whole says that nothing goes on with it.
func (l *lister) close(whole bool) {
	if l.url && whole {
		inner := slices.Clone(l.out[l.open:])
		l.out = append(l.out[:l.open], l.link(inner)...)
	}
	if l.url {
		l.open, l.url = -1, false
	}
}

// link makes a link of the nodes of an address, or gives them back where it is none that is tracked.
func (l *lister) link(inner []node) []node {
	first, ok := firstFixed(inner)
	if !ok {
		return inner
	}
	escaped := l.part.mode == markup
	if len(inner) == 1 {
		if i, ok := l.static(first.source, escaped); ok {
			return []node{&trackedLink{index: i, plain: inner}}
		}
		return inner
	}
	begin := unescaped(first.source, escaped)
	if !hasOrigin(begin) || strings.HasPrefix(begin, l.links.own) {
		return inner
	}
	if i, ok := l.links.index(pattern(inner, escaped)); ok {
		return []node{&personalLink{index: i, plain: inner, own: l.links.own}}
	}
	return inner
}

func (l *lister) static(source string, escaped bool) (int, bool) {
	url := unescaped(source, escaped)
	if !l.links.tracked(url) {
		return 0, false
	}
	return l.links.index(url)
}

func firstFixed(nodes []node) (*fixed, bool) {
	if len(nodes) == 0 {
		return nil, false
	}
	f, ok := nodes[0].(*fixed)
	return f, ok
}

// unescaped is an address as a browser reads it from an attribute.
func unescaped(source string, escaped bool) string {
	if escaped {
		source = html.UnescapeString(source)
	}
	return strings.TrimSpace(source)
}

// hasOrigin tells whether an address names its scheme and host to the end. Where values follow that are not the author's,
// nobody else may decide to which host a link leads that we have signed.
func hasOrigin(begin string) bool {
	if !IsWebURL(begin) {
		return false
	}
	_, rest, _ := strings.Cut(begin, "://")
	return strings.ContainsAny(rest, "/?#")
}

// pattern is an address with the Liquid in it, as the author wrote it: by it clicks are counted together.
func pattern(nodes []node, escaped bool) string {
	var b strings.Builder
	for _, n := range nodes {
		switch n := n.(type) {
		case *fixed:
			if escaped {
				b.WriteString(html.UnescapeString(n.source))
			} else {
				b.WriteString(n.source)
			}
		case *output:
			b.WriteString(n.source)
		default:
			b.WriteString("{%…%}")
		}
	}
	return strings.TrimSpace(b.String())
}

// delimits tells whether a node begins with what ends a web address.
func delimits(n node) bool {
	t, ok := n.(text)
	return ok && t != "" && urlEnd(string(t)) == 0
}

// urlBegin finds a web address in a text; its length where there is none.
func urlBegin(s string) int {
	for from := 0; ; {
		next := strings.Index(s[from:], "http")
		if next < 0 {
			return len(s)
		}
		from += next
		if rest := s[from:]; strings.HasPrefix(rest, "https://") || strings.HasPrefix(rest, "http://") {
			if from == 0 || !isLetter(s[from-1]) && !isDigit(s[from-1]) {
				return from
			}
		}
		from += len("http")
	}
}

// urlEnd is how much of a text can belong to an address that it goes on.
func urlEnd(s string) int {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return i
		}
	}
	return len(s)
}

// trimURL leaves out the punctuation of the sentence that an address stands in.
func trimURL(s string) int {
	for {
		last := s[len(s)-1]
		if strings.IndexByte(".,;:!?'*_", last) < 0 && (last != ')' || strings.Contains(s, "(")) && (last != ']' || strings.Contains(s, "[")) {
			return len(s)
		}
		s = s[:len(s)-1]
	}
}
