package feed

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// Bounds of what is read as a feed. They keep the work in proportion to the document: the parser behind copies the name spaces in force for
// each element, and the text of one that has children for each piece.
const (
	maxDocument = 8 << 20
	maxDepth    = 256
	maxElements = 200_000
	maxSpaces   = 5_000_000 // name spaces in force, added up over elements
	maxPieces   = 256 << 20 // bytes of text before each piece of it, added up
	maxStones   = 500
)

// marks are what a document says beside its entries.
type marks struct {
	hub, self string
	stones    []tombstone
}

// tombstone says that an entry was deleted (RFC 6721).
type tombstone struct {
	ref  string
	when time.Time
}

const (
	atomSpace      = "http://www.w3.org/2005/Atom"
	tombstoneSpace = "http://purl.org/atompub/tombstones/1.0"
)

var errBomb = errors.New("it is built to keep its readers busy")

// element is one that is open.
type element struct {
	spaces int // declared on it
	text   int // bytes of text in it, so far
}

// scan walks through an XML document, finds what would cost more than it should, and the marks on the way. An error says where.
func scan(document []byte) (marks, error) {
	var m marks
	decoder := xml.NewDecoder(bytes.NewReader(document))
	decoder.Strict = false
	decoder.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is UTF-8 by now
	var open []element
	elements, active, spaces, pieces := 0, 0, 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err == nil && (len(open) > maxDepth || elements > maxElements || spaces > maxSpaces || pieces > maxPieces) {
			err = errBomb
		}
		if err != nil {
			line, _ := decoder.InputPos()
			return m, fmt.Errorf("line %d: %w", line, err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{spaces: declared(token.Attr)}
			open = append(open, e)
			elements++
			active += e.spaces
			spaces += active + len(token.Attr)
			m.note(token)
		case xml.EndElement:
			if n := len(open); n > 0 {
				active -= open[n-1].spaces
				open = open[:n-1]
			}
		case xml.CharData:
			if n := len(open); n > 0 {
				pieces += open[n-1].text
				open[n-1].text += len(token)
			}
		}
	}
}

// weighJSON refuses a document of too many objects: of two bytes the parser behind makes a thousand.
func weighJSON(document []byte) error {
	objects, depth, quoted, escaped := 0, 0, false, false
	for _, c := range document {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			objects++
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if objects > maxElements || depth > maxDepth {
			return errBomb
		}
	}
	return nil
}

func declared(attributes []xml.Attr) (n int) {
	for _, a := range attributes {
		if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" {
			n++
		}
	}
	return n
}

// note keeps what an element says of hubs and deletions.
func (m *marks) note(e xml.StartElement) {
	attribute := func(name string) string {
		for _, a := range e.Attr {
			if a.Name.Local == name && a.Name.Space == "" {
				return strings.TrimSpace(a.Value)
			}
		}
		return ""
	}
	switch {
	case e.Name.Local == "link" && e.Name.Space == atomSpace:
		m.link(attribute("rel"), attribute("href"))
	case e.Name.Local == "deleted-entry" && e.Name.Space == tombstoneSpace && len(m.stones) < maxStones:
		when, _ := time.Parse(time.RFC3339, attribute("when")) // one without a time is as old as can be
		m.stones = append(m.stones, tombstone{ref: attribute("ref"), when: when})
	}
}

// link keeps the first hub, and the first address that the feed says is its own. Entries have no such links.
func (m *marks) link(rel, href string) {
	switch {
	case !isWeb(href, maxURL):
	case rel == "hub" && m.hub == "":
		m.hub = href
	case rel == "self" && m.self == "":
		m.self = href
	}
}

// declaration is the encoding that an XML document says it has. Its beginning is ASCII in all that we take.
var declaration = regexp.MustCompile(`^\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']`)

// decode makes a document UTF-8. A byte order mark counts more than what HTTP says, that more than what the document says (RFC 7303).
func decode(body []byte, contentType string) ([]byte, error) {
	label := ""
	if found := declaration.FindSubmatch(body[:min(len(body), 300)]); found != nil {
		label = string(found[1])
	}
	if _, parameters, err := mime.ParseMediaType(contentType); err == nil && parameters["charset"] != "" {
		label = parameters["charset"]
	}
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		label, body = "utf-8", body[3:]
	case bytes.HasPrefix(body, []byte("\xfe\xff")):
		label = "utf-16be"
	case bytes.HasPrefix(body, []byte("\xff\xfe")):
		label = "utf-16le"
	case label == "" && !utf8.Valid(body):
		label = "windows-1252"
	}
	if label != "" && !strings.EqualFold(label, "utf-8") {
		converted, err := charset.NewReaderLabel(label, bytes.NewReader(body))
		if err != nil {
			return nil, errors.New("its character set is not known")
		}
		if body, err = io.ReadAll(io.LimitReader(converted, 2*maxDocument)); err != nil {
			return nil, errors.New("it is not in the character set that it says")
		}
	}
	body = bytes.Map(legible, bytes.ToValidUTF8(body, []byte("\uFFFD")))
	if at := declaration.FindSubmatchIndex(body[:min(len(body), 300)]); at != nil {
		body = bytes.Join([][]byte{body[:at[2]], body[at[3]:]}, []byte("utf-8"))
	}
	return body, nil
}

// legible drops what XML does not allow, and feeds contain.
func legible(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\uFEFF' || r == '\uFFFE' || r == '\uFFFF' {
		return -1
	}
	return r
}
