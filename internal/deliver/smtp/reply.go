package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Bounds of what a server may say. RFC 5321, section 4.5.3.1.5, allows 512 octets a line; real servers write longer ones.
const (
	maxReplyLine  = 4096 // bytes: the size of the reader's buffer
	maxReplyLines = 128
	maxReplyText  = 200 // characters kept of a reply
)

// reply is a server's answer: a code and its words (RFC 5321, section 4.2).
type reply struct {
	code  int
	text  string   // the words of all lines, joined by blanks, at most maxReplyText characters, without control characters
	lines []string // the words line by line, kept for the answer to EHLO only
}

func (r reply) positive() bool  { return r.code/100 == 2 }
func (r reply) transient() bool { return r.code/100 == 4 }
func (r reply) permanent() bool { return r.code/100 == 5 }

// closing tells that the server ends the connection (RFC 5321, section 3.8).
func (r reply) closing() bool { return r.code == 421 }

// errReply wraps what is wrong with an answer that is no SMTP reply.
var errReply = errors.New("not an SMTP reply")

// readReply reads one reply. keepLines asks for its lines as well.
func readReply(r *bufio.Reader, keepLines bool) (reply, error) {
	var out reply
	var text strings.Builder
	for n := range maxReplyLines {
		code, words, last, err := readReplyLine(r)
		if err != nil {
			return reply{}, err
		}
		if n > 0 && code != out.code {
			return reply{}, fmt.Errorf("%w: code %d follows %d", errReply, code, out.code)
		}
		out.code = code
		if keepLines {
			out.lines = append(out.lines, string(words))
		}
		if last && n == 0 {
			out.text = cleaned(string(words))
			return out, nil
		}
		if text.Len() < maxReplyText*4 {
			text.WriteByte(' ')
			text.Write(words)
		}
		if last {
			out.text = cleaned(text.String())
			return out, nil
		}
	}
	return reply{}, fmt.Errorf("%w: more than %d lines", errReply, maxReplyLines)
}

func readReplyLine(r *bufio.Reader) (code int, words []byte, last bool, err error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return 0, nil, false, fmt.Errorf("%w: a line of more than %d bytes", errReply, maxReplyLine)
	}
	if err != nil {
		return 0, nil, false, err
	}
	return parseReplyLine(line)
}

// parseReplyLine takes a line with its line end apart: three digits, then "-" where more lines follow, or a blank.
func parseReplyLine(line []byte) (code int, words []byte, last bool, err error) {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, nil, false, fmt.Errorf("%w: no code of three digits", errReply)
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, nil, true, nil
	}
	switch line[3] {
	case ' ':
		return code, line[4:], true, nil
	case '-':
		return code, line[4:], false, nil
	}
	return 0, nil, false, fmt.Errorf("%w: neither blank nor hyphen after the code", errReply)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// cleaned bounds a text and takes out what a terminal or a page could choke on.
func cleaned(s string) string {
	s = strings.TrimSpace(s)
	ok := len(s) <= maxReplyText
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= ' ' && s[i] < 0x7f
	}
	if ok {
		return s
	}
	n := 0
	out := strings.Map(func(r rune) rune {
		n++
		switch {
		case n > maxReplyText:
			return -1
		case unicode.IsPrint(r) && r != unicode.ReplacementChar:
			return r
		default:
			return '?'
		}
	}, s)
	return out
}

// enhanced is the enhanced status code (RFC 3463) that the words begin with, and "" without one.
func (r reply) enhanced() string {
	code, _, _ := strings.Cut(r.text, " ")
	if len(code) > 9 || strings.Count(code, ".") != 2 || !strings.ContainsAny(code[:1], "245") {
		return ""
	}
	for _, c := range []byte(code) {
		if !isDigit(c) && c != '.' {
			return ""
		}
	}
	return code
}

// codes are the reply code and, where there is one, the enhanced one: all of a reply that can be told without telling
// whom it names.
func (r reply) codes() string {
	if e := r.enhanced(); e != "" {
		return fmt.Sprintf("%d %s", r.code, e)
	}
	return fmt.Sprint(r.code)
}
