package bluesky

import (
	"bytes"
	"encoding/json"
	"math"
)

// scanner walks over JSON and reads only what is asked for. Of a thousand posts a second few match: the others are not worth
// decoding. What it passes over it does not check, but for where it ends; what is kept is decoded by encoding/json afterwards. On
// what is no JSON it stops, with bad set, and reads nothing more.
type scanner struct {
	data []byte
	at   int
	bad  bool
}

// peek is the first byte of what comes next, or 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// enter goes into an object or a list. What is neither is passed over, and reads as an empty one.
func (s *scanner) enter(open byte) bool {
	if s.bad || s.peek() != open {
		s.skip()
		return false
	}
	s.at++
	return true
}

// key reads the name of an object's next member, as it is written, and stops before its value, which must be read or skipped.
func (s *scanner) key() (name []byte, ok bool) {
	if !s.more('}') {
		return nil, false
	}
	name, _, ok = s.quoted()
	if !ok || s.peek() != ':' {
		s.bad = true
		return nil, false
	}
	s.at++
	return name, true
}

// element tells whether a list has another member, which must be read or skipped.
func (s *scanner) element() bool { return s.more(']') }

func (s *scanner) more(end byte) bool {
	c := s.peek()
	if c == ',' {
		s.at++
		c = s.peek()
	}
	switch {
	case s.bad || c == 0:
		s.bad = true
		return false
	case c == end:
		s.at++
		return false
	}
	return true
}

// quoted reads what stands between quotes, and tells whether there are escapes in it.
func (s *scanner) quoted() (inside []byte, escaped, ok bool) {
	if s.bad || s.peek() != '"' {
		s.bad = true
		return nil, false, false
	}
	start := s.at + 1
	for i := start; ; {
		n := bytes.IndexByte(s.data[i:], '"')
		if n < 0 {
			s.bad = true
			return nil, false, false
		}
		backslashes := 0
		for k := i + n - 1; k >= start && s.data[k] == '\\'; k-- {
			backslashes++
		}
		i += n + 1
		if backslashes%2 == 0 {
			s.at = i
			inside = s.data[start : i-1]
			return inside, bytes.IndexByte(inside, '\\') >= 0, true
		}
	}
}

// raw reads a short string without escapes, such as an identifier, as bytes of the message. What is no such string is nil.
func (s *scanner) raw() []byte {
	if s.peek() != '"' {
		s.skip()
		return nil
	}
	inside, escaped, ok := s.quoted()
	if !ok || escaped {
		return nil
	}
	return inside
}

// text reads a string. What is none is "".
func (s *scanner) text() string {
	if s.peek() != '"' {
		s.skip()
		return ""
	}
	from := s.at
	inside, escaped, ok := s.quoted()
	switch {
	case !ok:
		return ""
	case !escaped:
		return string(inside)
	}
	var text string
	if json.Unmarshal(s.data[from:s.at], &text) != nil {
		return ""
	}
	return text
}

// number reads a whole number. What is none, or has more than 18 digits, is 0.
func (s *scanner) number() int64 {
	s.peek()
	from := s.at
	s.skip()
	if s.bad || s.at-from > 18 {
		return 0
	}
	n := int64(0)
	for _, c := range s.data[from:s.at] {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return min(n, math.MaxInt64)
}

// isTrue reads a value and tells whether it is true.
func (s *scanner) isTrue() bool { return string(s.value()) == "true" }

// value passes over a value and gives it as it is written.
func (s *scanner) value() []byte {
	s.peek()
	from := s.at
	s.skip()
	if s.bad {
		return nil
	}
	return s.data[from:s.at]
}

// skip passes over a value.
func (s *scanner) skip() {
	if s.bad {
		return
	}
	switch c := s.peek(); c {
	case '"':
		s.quoted()
	case '{', '[':
		s.nested()
	case 0, ',', ':', '}', ']':
		s.bad = true
	default:
		for s.at < len(s.data) && bytes.IndexByte([]byte(" \t\r\n,:}]{[\""), s.data[s.at]) < 0 {
			s.at++
		}
	}
}

// nested passes over an object or a list by counting brackets, however deep they are.
func (s *scanner) nested() {
	for depth := 0; s.at < len(s.data); {
		switch s.data[s.at] {
		case '"':
			if _, _, ok := s.quoted(); !ok {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
	s.bad = true
}
