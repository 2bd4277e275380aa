package render

import "strings"

// place is where in HTML a reader of it stands. It is a value, so that the ends of two branches can be compared.
type place struct {
	in     context
	quote  byte   // that ends an attribute's value; 0 for one without quotes
	anchor bool   // the tag is an <a>
	href   bool   // the attribute is href
	name   string // of the tag or attribute that is being read, lower-cased and cut at maxName
	until  string // the element whose end tag ends text that is no HTML
}

// context is a kind of place in HTML.
type context int

const (
	inText    context = iota
	atTag             // behind <
	inTagName         // of a start tag
	inTag             // between attributes
	inName            // of an attribute
	behindName
	beforeValue // behind =
	inValue
	inEndTag
	inComment
	inDeclaration // <!doctype …>
	inRawText     // script, style, title, textarea
	lost          // where branches ended in different places
)

const maxName = 8 // letters of a name that are kept: as many as tell the names that matter from others

// rawText are the elements whose content is no HTML.
var rawText = map[string]bool{"script": true, "style": true, "title": true, "textarea": true}

// within tells whether a place is in a tag, but not in an attribute's value between quotes.
func (p place) within() bool {
	switch p.in {
	case inTagName, inTag, inName, behindName, beforeValue:
		return true
	case inValue:
		return p.quote == 0
	case inText, atTag, inEndTag, inComment, inDeclaration, inRawText, lost:
	}
	return false
}

// joined is the place after branches that ended in a and in b.
func joined(a, b place) place {
	switch {
	case a == b:
		return a
	case a.within() && b.within() && a.isAnchor() == b.isAnchor() && a.rest() == b.rest():
		return place{in: inTag, anchor: a.isAnchor(), until: a.rest()}
	}
	return place{in: lost}
}

// isAnchor tells, in a tag, whether it is an <a>, also while its name may go on.
func (p place) isAnchor() bool { return p.anchor || p.in == inTagName && p.name == "a" }

// rest is the element whose content is no HTML, of whose start tag this is a place.
func (p place) rest() string {
	if p.in == inTagName {
		return p.rawName()
	}
	return p.until
}

// inHref tells whether a place is in the value of the href of an <a>.
func (p place) inHref() bool { return p.in == inValue && p.anchor && p.href }

// read goes over text. It calls from where the value of an <a>'s href begins and to where it ends, with the offsets of
// its first byte and of its closing quote.
func (p *place) read(text string, from, to func(at int)) {
	for i := 0; i < len(text); i++ {
		before := p.inHref()
		i = p.step(text, i)
		switch after := p.inHref(); {
		case after && !before && p.quote == 0:
			from(i)
		case after && !before:
			from(i + 1)
		case before && !after:
			to(i)
		}
	}
}

// step reads the byte at i, or as much as can be skipped at once, and gives the offset of the last one that it read.
func (p *place) step(text string, i int) int {
	c := text[i]
	switch p.in {
	case inText:
		next := strings.IndexByte(text[i:], '<')
		if next < 0 {
			return len(text) - 1
		}
		*p = place{in: atTag}
		return i + next
	case atTag:
		if strings.HasPrefix(text[i:], "!--") {
			p.in = inComment
			return i + 2
		}
		p.behindLess(c)
	case inTagName, inTag, inName, behindName, beforeValue:
		p.tag(c)
	case inValue:
		p.value(c)
	case inEndTag, inDeclaration:
		if c == '>' {
			*p = place{}
		}
	case inComment:
		next := strings.Index(text[i:], "-->")
		if next < 0 {
			return len(text) - 1
		}
		*p = place{}
		return i + next + 2
	case inRawText:
		return p.raw(text, i)
	case lost:
		return len(text) - 1
	}
	return i
}

func (p *place) behindLess(c byte) {
	switch {
	case isLetter(c) && c != '_':
		*p = place{in: inTagName, name: lower(c)}
	case c == '/':
		*p = place{in: inEndTag}
	case c == '!' || c == '?':
		*p = place{in: inDeclaration}
	default:
		*p = place{}
	}
}

func lower(c byte) string {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return string(rune(c))
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// tag reads a byte of a start tag outside of its attributes' values.
func (p *place) tag(c byte) {
	separates := isBlank(c) || c == '/'
	switch {
	case c == '>':
		p.close()
	case p.in == beforeValue:
		p.begin(c)
	case p.in == inTagName && separates:
		p.anchor, p.until = p.name == "a", p.rawName()
		p.in, p.name = inTag, ""
	case c == '=' && (p.in == inName || p.in == behindName):
		p.in = beforeValue
	case separates && p.in == inName:
		p.in = behindName
	case separates:
	case p.in == inTagName, p.in == inName:
		p.extend(c)
	default:
		p.in, p.name = inName, lower(c)
	}
}

// begin reads a byte behind an attribute's =.
func (p *place) begin(c byte) {
	if isBlank(c) {
		return
	}
	p.in, p.quote, p.href = inValue, 0, p.name == "href"
	if c == '"' || c == '\'' {
		p.quote = c
	}
}

func (p *place) rawName() string {
	if rawText[p.name] {
		return p.name
	}
	return ""
}

func (p *place) extend(c byte) {
	if len(p.name) <= maxName {
		p.name += lower(c)
	}
}

// close ends a start tag.
func (p *place) close() {
	until := p.rest()
	*p = place{}
	if until != "" {
		*p = place{in: inRawText, until: until}
	}
}

func (p *place) value(c byte) {
	switch {
	case p.quote != 0 && c == p.quote, p.quote == 0 && isBlank(c):
		p.in, p.quote, p.href, p.name = inTag, 0, false, ""
	case p.quote == 0 && c == '>':
		p.close()
	}
}

// raw reads to the end tag that ends a script or a style.
func (p *place) raw(text string, i int) int {
	for {
		next := strings.Index(text[i:], "</")
		if next < 0 {
			return len(text) - 1
		}
		i += next + 2
		if len(text)-i >= len(p.until) && strings.EqualFold(text[i:i+len(p.until)], p.until) {
			*p = place{in: inEndTag}
			return i - 1
		}
	}
}
