package render

import (
	"fmt"
	"html"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// safeHTML is text that is HTML already: a filter said so, or it was captured.
type safeHTML string

// verbatim is captured text with the breaks of a derived part.
type verbatim string

// maxDepth bounds lists within lists.
const maxDepth = 10

// writeValue writes what {{ … }} stands for: nothing for nil and for maps, the elements of a list one after the other.
func (s *state) writeValue(v any, offset int) error { return s.writeNested(v, offset, 0) }

func (s *state) writeNested(v any, offset, depth int) error {
	switch v := v.(type) {
	case verbatim:
		return s.write(string(v), offset)
	case safeHTML:
		if s.part.mode == derived {
			return s.write(convert(string(v), softLine, softParagraph), offset)
		}
		return s.write(string(v), offset)
	case int64:
		s.digits = strconv.AppendInt(s.digits[:0], v, 10)
		return s.writeLiteral(s.digits, offset)
	case float64:
		s.digits = strconv.AppendFloat(s.digits[:0], v, 'f', -1, 64)
		return s.writeLiteral(s.digits, offset)
	}
	if t, ok := scalar(v); ok {
		return s.writeText(t, offset)
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
		return nil
	}
	if depth == maxDepth {
		return s.fail(offset, "lists are nested more than %d deep", maxDepth)
	}
	for i := range r.Len() {
		if err := s.step(1, offset); err != nil {
			return err
		}
		if err := s.writeNested(r.Index(i).Interface(), offset, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// writeText writes a text as the part shows it.
func (s *state) writeText(t string, offset int) error {
	if t = printable(t); s.part.mode == markup {
		t = html.EscapeString(t)
	}
	return s.write(t, offset)
}

// scalar gives the text of a value that is one, and false for lists and maps.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case safeHTML:
		return string(v), true
	case []byte:
		return string(v), true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case time.Time:
		return v.Format("2006-01-02 15:04:05 -0700"), true
	case fmt.Stringer:
		return v.String(), true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.String:
		return fmt.Sprint(v), true
	}
	return "", false
}

// printable takes out of a person's data what no reader shows but some obey: control characters other than tab and
// line feed, marks that turn the direction of text, and bytes that are not UTF-8.
func printable(s string) string {
	clean := true
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f || s[i] == '\n' || s[i] == '\t'
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), isDirection(r):
			return -1
		default:
			return r // an invalid byte becomes U+FFFD
		}
	}, s)
}

// isDirection tells the marks with which a name could turn the words around it (U+202A to U+202E, U+2066 to U+2069).
func isDirection(r rune) bool { return 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 }

// oneLine makes a subject of a text: one line, blanks run together, at most maxSubject characters.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == 0x2028 || r == 0x2029
	}), " ")
	if utf8.RuneCountInString(s) <= maxSubject {
		return s
	}
	return string([]rune(s)[:maxSubject-1]) + "…"
}
