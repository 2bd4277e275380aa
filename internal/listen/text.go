package listen

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxHTML is how many bytes of HTML are read. It bounds the work; the text is bounded by Normalize.
const maxHTML = 1 << 20

// PlainText is what a piece of HTML says, with a line for each paragraph, and the addresses that it links to. Scripts, styles and what is
// hidden say nothing; a picture that stands for an emoji is that. It never fails: what is no HTML is text.
func PlainText(markup string) (text string, links []string) {
	markup = cut(markup, maxHTML)
	if !strings.Contains(markup, "<") {
		return html.UnescapeString(markup), nil
	}
	p := plainText{tokens: html.NewTokenizer(strings.NewReader(markup))}
	p.tokens.SetMaxBuf(maxHTML)
	for {
		switch p.tokens.Next() {
		case html.ErrorToken:
			return tidy(p.b.String()), p.links
		case html.TextToken:
			p.text(html.UnescapeString(string(p.tokens.Raw())))
		case html.StartTagToken, html.SelfClosingTagToken:
			p.start(p.tokens.Token())
		case html.EndTagToken:
			name, _ := p.tokens.TagName()
			p.end(atom.Lookup(name))
		}
	}
}

// plainText is a text that is being made.
type plainText struct {
	tokens *html.Tokenizer
	b      strings.Builder
	links  []string
	// silent is the element whose content says nothing, and depth how many of its name are open in it, itself among them.
	silent atom.Atom
	depth  int
	pre    int // elements in which line ends count
}

func (p *plainText) text(s string) {
	switch {
	case p.silent != 0:
	case p.pre > 0:
		p.b.WriteString(s)
	default:
		p.b.WriteString(lineBreaks.Replace(s))
	}
}

// lineBreaks are spaces in HTML.
var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")

func (p *plainText) start(token html.Token) {
	name := token.DataAtom
	if p.silent != 0 {
		if name == p.silent && token.Type == html.StartTagToken {
			p.depth++
		}
		return
	}
	if isSilent(token) {
		p.silent, p.depth = name, 1
		return
	}
	switch {
	case isParagraph[name]:
		p.b.WriteByte('\n')
	case isBlock[name]:
		p.newLine()
	default:
		p.inline(token)
	}
	if name == atom.Pre && token.Type == html.StartTagToken {
		p.pre++
	}
}

// inline is an element within a line.
func (p *plainText) inline(token html.Token) {
	switch token.DataAtom {
	case atom.Td, atom.Th:
		p.b.WriteByte(' ')
	case atom.A:
		if address := attribute(token, "href"); address != "" && len(p.links) < MaxMembers {
			p.links = append(p.links, address)
		}
	case atom.Img:
		if class := attribute(token, "class"); strings.Contains(class, "emoji") || strings.Contains(class, "smiley") {
			p.b.WriteString(attribute(token, "alt"))
		}
	}
}

func (p *plainText) end(name atom.Atom) {
	switch {
	case p.silent != 0:
		if name == p.silent {
			if p.depth--; p.depth == 0 {
				p.silent = 0
			}
		}
		return
	case isParagraph[name] && name != atom.Br && name != atom.Hr:
		p.b.WriteByte('\n')
	case isBlock[name]:
		p.newLine()
	}
	if name == atom.Pre {
		p.pre = max(p.pre-1, 0)
	}
}

// isSilent says that what is in an element says nothing. Elements whose content is no HTML have one even where they look as if they were
// closed at once.
func isSilent(token html.Token) bool {
	switch token.DataAtom {
	case atom.Script, atom.Style, atom.Noscript, atom.Iframe, atom.Noembed, atom.Noframes, atom.Textarea:
		return true
	case atom.Template, atom.Object, atom.Svg, atom.Math, atom.Select:
		return token.Type == html.StartTagToken
	case 0, atom.Img, atom.Br, atom.Hr, atom.Input, atom.Meta, atom.Link, atom.Source, atom.Track, atom.Wbr, atom.Area, atom.Base, atom.Col,
		atom.Embed, atom.Param: // they have no content
		return false
	}
	hidden := slices.ContainsFunc(token.Attr, func(a html.Attribute) bool { return a.Key == "hidden" })
	return hidden && token.Type == html.StartTagToken
}

// newLine ends the line, where one is begun.
func (p *plainText) newLine() {
	if p.b.Len() > 0 && !strings.HasSuffix(p.b.String(), "\n") {
		p.b.WriteByte('\n')
	}
}

// isParagraph are elements with an empty line between them, and those that end a line wherever they stand.
var isParagraph = among(atom.P, atom.Br, atom.Hr, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Pre, atom.Ul, atom.Ol)

// isBlock are elements that stand on lines of their own.
var isBlock = among(atom.Div, atom.Li, atom.Dl, atom.Dt, atom.Dd, atom.Tr, atom.Table, atom.Caption, atom.Section, atom.Article, atom.Header,
	atom.Footer, atom.Aside, atom.Nav, atom.Main, atom.Figure, atom.Figcaption, atom.Address, atom.Details, atom.Summary, atom.Title, atom.Body,
	atom.Head)

func among(names ...atom.Atom) map[atom.Atom]bool {
	set := map[atom.Atom]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

func attribute(token html.Token, name string) string {
	for _, a := range token.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// tidy leaves one space between words and at most one empty line between lines.
func tidy(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" && (len(lines) == 0 || lines[len(lines)-1] == "") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
