package render

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/osteele/liquid/parser"
)

// piece is a token of a source with its place.
type piece struct {
	kind    parser.TokenType // text, tag or object
	source  string           // the whole token
	name    string           // of a tag
	args    string           // what follows a tag's name; what stands in an object
	offset  int              // of the token in the source, in bytes
	argsAt  int              // of args in the source, in bytes
	literal bool             // text that stood within raw
}

// scanner cuts a source into pieces.
type scanner struct {
	out      []piece
	problem  func(offset int, message string)
	until    string // endraw or endcomment while inside such a block
	opened   int    // where that block begins
	trimNext bool   // the text that follows loses the blanks at its beginning
}

// scan cuts a source into pieces. It applies whitespace control ({%- … -%}) to the text beside a tag, takes comments
// out and makes text of what stands within raw. What is left open is reported to problem.
func scan(source string, problem func(offset int, message string)) []piece {
	s := &scanner{problem: problem}
	offset := 0
	for _, t := range parser.Scan(source, parser.SourceLoc{LineNo: 1}, nil) {
		p := piece{kind: t.Type, source: t.Source, name: t.Name, args: t.Args, offset: offset}
		offset += len(t.Source)
		p.argsAt = p.offset + argsOffset(p)
		if s.until != "" {
			s.within(p)
		} else {
			s.piece(p)
		}
	}
	if s.until != "" {
		problem(s.opened, "this block is not closed: write {% "+s.until+" %} where it ends")
	}
	return s.out
}

// within takes a token of a raw block or a comment.
func (s *scanner) within(p piece) {
	switch {
	case p.kind == parser.TagTokenType && p.name == s.until:
		s.until = ""
	case s.until == "endraw" && p.source != "":
		p.kind, p.literal = parser.TextTokenType, true
		s.out = append(s.out, p)
	}
}

func (s *scanner) piece(p piece) {
	const blanks = " \t\r\n"
	switch {
	case p.kind == parser.TrimLeftTokenType:
		if n := len(s.out); n > 0 && s.out[n-1].kind == parser.TextTokenType {
			s.out[n-1].source = strings.TrimRight(s.out[n-1].source, blanks)
		}
	case p.kind == parser.TrimRightTokenType:
		s.trimNext = true
		return
	case p.kind == parser.TagTokenType && (p.name == "raw" || p.name == "comment"):
		s.until, s.opened = "end"+p.name, p.offset
	case p.kind == parser.TextTokenType:
		reportOpen(p, s.problem)
		if s.trimNext {
			p.source = strings.TrimLeft(p.source, blanks)
		}
		s.out = append(s.out, p)
	default:
		s.out = append(s.out, p)
	}
	s.trimNext = false
}

// argsOffset finds where in a token its arguments begin.
func argsOffset(p piece) int {
	if p.args == "" {
		return 0
	}
	rest := strings.TrimLeft(p.source[2:], "- \t\r\n")
	if p.kind == parser.TagTokenType {
		rest = strings.TrimLeft(rest[len(p.name):], " \t\r\n")
	} else if strings.HasPrefix(p.args, "-") { // {{ -1 }}: the sign is no whitespace control
		rest = p.source[strings.Index(p.source, p.args):]
	}
	return len(p.source) - len(rest)
}

// reportOpen finds delimiters that the scanner took for text because nothing closes them.
func reportOpen(p piece, problem func(int, string)) {
	for _, d := range []struct{ open, message string }{
		{"{{", `"{{" begins a variable that no "}}" on the same line closes; where braces are meant, write them within {% raw %} … {% endraw %}`},
		{"{%", `"{%" begins a tag that no "%}" closes, or that has no name`},
	} {
		if at := strings.Index(p.source, d.open); at >= 0 {
			problem(p.offset+at, d.message)
		}
	}
}

// lines finds lines and columns: the offsets at which the lines begin.
type lines struct {
	source string
	starts []int
}

func newLines(source string) lines {
	l := lines{source: source, starts: []int{0}}
	for i := range len(source) {
		if source[i] == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	return l
}

// position gives line and column, from 1, of an offset in bytes; the column counts characters.
func (l lines) position(offset int) (line, column int) {
	offset = min(offset, len(l.source))
	line = sort.SearchInts(l.starts, offset+1)
	return line, utf8.RuneCountInString(l.source[l.starts[line-1]:offset]) + 1
}
