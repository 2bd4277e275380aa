package render

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/osteele/liquid/parser"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// MaxUnclipped is how large the HTML of a mail may be: Gmail cuts off what is beyond, the link for unsubscribing included.
const MaxUnclipped = 102 << 10

// Reason says in a word what a finding is about.
type Reason string

// What Check finds.
const (
	LocaleMissing      Reason = "LocaleMissing"
	UnsubscribeMissing Reason = "UnsubscribeMissing"
	LinkMalformed      Reason = "LinkMalformed"
	LinkInsecure       Reason = "LinkInsecure"
	ImageWithoutText   Reason = "ImageWithoutText"
	TextFromHTML       Reason = "TextFromHTML"
	TooLarge           Reason = "TooLarge"
	SampleFails        Reason = "SampleFails"
)

// Finding is something that keeps no message from being sent, and that its author would rather know.
type Finding struct {
	Reason Reason
	Error  // where, and what to do
}

// maxFindings bounds what is told of one part.
const maxFindings = 20

// Check looks for what a reader would stumble over. locales are those that are spoken to; sample are typical values.
func (t *Template) Check(locales []string, sample Vars) []Finding {
	var found []Finding
	for _, locale := range locales {
		if !t.speaks(locale) {
			found = append(found, Finding{LocaleMissing, Error{
				Locale: locale, Message: fmt.Sprintf("there is no content in this locale of the tenant: its people get %s", t.contents[t.fallback].locale),
			}})
		}
	}
	for _, locale := range t.WithoutUnsubscribe() {
		found = append(found, Finding{UnsubscribeMissing, Error{
			Locale: locale, Message: "readers find no link for unsubscribing: add one to {{ unsubscribe_url }}",
		}})
	}
	for _, c := range t.inOrder() {
		found = append(found, c.check()...)
		found = append(found, c.checkSize(sample)...)
	}
	return found
}

// speaks tells whether a locale has content of its own, or its language has.
func (t *Template) speaks(locale string) bool {
	wanted := canonicalLocale(locale)
	chosen := canonicalLocale(t.choose(locale).locale)
	return wanted == chosen || strings.HasPrefix(wanted, chosen+"-")
}

// inOrder are the contents as they were given.
func (t *Template) inOrder() []*content {
	out := make([]*content, 0, len(t.contents))
	for _, c := range t.contents {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *content) int { return a.index - b.index })
	return out
}

func (c *content) check() []Finding {
	var found []Finding
	if c.html != nil {
		found = checkHTML(c.html)
	}
	if c.text != nil && c.text.mode == plain {
		found = append(found, checkText(c.text)...)
	} else {
		found = append(found, Finding{TextFromHTML, Error{
			Locale: c.locale, Part: PartText, Message: "the text for readers without HTML is made from the HTML: write one where that does not read well",
		}})
	}
	return found
}

func (c *content) checkSize(sample Vars) []Finding {
	if c.html == nil {
		return nil
	}
	rendered, err := c.html.render(sample)
	switch wrong, _ := err.(*Error); { //nolint:errorlint // render says that it is of this type
	case wrong != nil:
		return []Finding{{SampleFails, *wrong}}
	case len(rendered) > MaxUnclipped:
		return []Finding{{TooLarge, Error{Locale: c.locale, Part: PartHTML, Message: fmt.Sprintf(
			"with typical values it has %d kB; Gmail cuts off what is beyond %d kB, the link for unsubscribing included: shorten it",
			len(rendered)>>10, MaxUnclipped>>10,
		)}}}
	}
	return nil
}

// What stands for Liquid while HTML is read: as many bytes as it has, so that every place stays where it is.
const (
	valueMark = '\x01' // {{ … }}
	tagMark   = '\x02' // {% … %}
)

// masked is a source in which Liquid is replaced byte for byte.
func masked(source string) string {
	b := []byte(strings.Repeat(string(rune(tagMark)), len(source)))
	for _, p := range scan(source, func(int, string) {}) {
		switch p.kind {
		case parser.TextTokenType: // trimmed, perhaps
			at := p.offset + max(0, strings.Index(source[p.offset:], p.source))
			copy(b[at:], p.source)
		case parser.ObjTokenType:
			copy(b[p.offset:], strings.Repeat(string(rune(valueMark)), len(p.source)))
		case parser.TagTokenType, parser.TrimLeftTokenType, parser.TrimRightTokenType:
		}
	}
	return string(b)
}

// partCheck gathers the findings of a part.
type partCheck struct {
	part  *part
	found []Finding
}

func (c *partCheck) add(reason Reason, offset int, format string, arguments ...any) {
	if len(c.found) == maxFindings {
		return
	}
	line, column := c.part.lines.position(offset)
	c.found = append(c.found, Finding{reason, Error{
		Locale: c.part.locale, Part: c.part.name, Line: line, Column: column, Message: fmt.Sprintf(format, arguments...),
	}})
}

func checkHTML(p *part) []Finding {
	c := &partCheck{part: p}
	z := html.NewTokenizer(strings.NewReader(masked(p.lines.source)))
	for offset := 0; ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			return c.found
		}
		size := len(z.Raw())
		if kind == html.StartTagToken || kind == html.SelfClosingTagToken {
			c.tag(z.Token(), offset)
		}
		offset += size
	}
}

func (c *partCheck) tag(t html.Token, offset int) {
	switch t.DataAtom {
	case atom.A:
		if slices.ContainsFunc(t.Attr, func(a html.Attribute) bool { return a.Key == "href" }) {
			c.link(attribute(t, "href"), offset)
		}
	case atom.Img:
		conditional := strings.ContainsRune(strings.Join(names(t), ""), tagMark)
		if !conditional && !slices.Contains(names(t), "alt") {
			c.add(ImageWithoutText, offset, `the image has no alt: say in words what it shows, or alt="" where it is decoration`)
		}
		if src := attribute(t, "src"); strings.HasPrefix(strings.ToLower(src), "http://") {
			c.add(LinkInsecure, offset, "the image is fetched in the clear, which many readers refuse: use https://")
		}
	}
}

func names(t html.Token) []string {
	out := make([]string, len(t.Attr))
	for i, a := range t.Attr {
		out[i] = a.Key
	}
	return out
}

// link checks the address of a link as far as it is the same for everybody.
func (c *partCheck) link(address string, offset int) {
	address = strings.TrimSpace(address)
	fixed, _, _ := strings.Cut(strings.ReplaceAll(address, string(rune(tagMark)), string(rune(valueMark))), string(rune(valueMark)))
	dynamic := len(fixed) < len(address)
	scheme, rest, hasScheme := strings.Cut(fixed, ":")
	switch {
	case dynamic && (fixed == "" || !hasScheme && isScheme(fixed)), strings.HasPrefix(fixed, "#") && len(fixed) > 1:
	case fixed == "" || fixed == "#":
		c.add(LinkMalformed, offset, "the link leads nowhere: its address is empty")
	case !hasScheme || !isScheme(scheme):
		c.add(LinkMalformed, offset,
			"the link's address %q is not whole: a mail has no address of its own, so write it with https:// and the host", shown(fixed))
	default:
		c.whole(strings.ToLower(scheme), fixed, rest, dynamic, offset)
	}
}

// whole checks an address that names its scheme.
func (c *partCheck) whole(scheme, address, rest string, dynamic bool, offset int) {
	switch scheme {
	case "mailto", "tel", "sms":
		if rest == "" && !dynamic {
			c.add(LinkMalformed, offset, "the link leads nowhere: nothing follows %s:", scheme)
		}
		return
	case "http", "https":
	default:
		c.add(LinkMalformed, offset, "readers follow no link of the kind %q: use https", shown(scheme))
		return
	}
	switch {
	case !wholeURL(address, dynamic):
		c.add(LinkMalformed, offset, "the link's address %q cannot be read: it needs a host, and no blanks", shown(address))
	case scheme == "http":
		c.add(LinkInsecure, offset, "the link leads over http, which readers warn of: use https://")
	}
}

func isScheme(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i]) && strings.IndexByte("+.-", s[i]) < 0) || s[i] == '_' {
			return false
		}
	}
	return s != "" && !strings.HasPrefix(strings.ToLower(s), "www.")
}

func wholeURL(address string, dynamic bool) bool {
	if strings.ContainsAny(address, " \t\r\n") {
		return false
	}
	if dynamic {
		return len(address) >= len("http://") && strings.Contains(address, "://")
	}
	u, err := url.Parse(address)
	return err == nil && u.Hostname() != ""
}

// shown is what of an address stands in a message.
func shown(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

func checkText(p *part) []Finding {
	c := &partCheck{part: p}
	source := masked(p.lines.source)
	for offset := 0; ; {
		at := urlBegin(source[offset:])
		if offset += at; offset >= len(source) {
			return c.found
		}
		if strings.HasPrefix(source[offset:], "http://") {
			c.add(LinkInsecure, offset, "the link leads over http, which readers warn of: use https://")
		}
		offset += len("http")
	}
}
