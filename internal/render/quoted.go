package render

// literal are the bytes that stand for themselves in quoted-printable (RFC 2045, section 6.7).
var literal = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '='
	}
	t['\t'] = true
	return t
}()

const upperHex = "0123456789ABCDEF"

// quoter encodes a text in quoted-printable that comes in pieces: it is where in a line of the output the last one ended.
// CRLF, LF and CR end a line; longer lines than 76 characters are broken softly, and a blank at the end of a line is encoded
// so that no relay strips it.
type quoter struct {
	column int  // of the output line; at most maxLine-1, which leaves room for the "=" of a soft break
	cr     bool // the last piece ended with a CR, so that an LF belongs to it
}

// append encodes a piece. It works on runs of literal bytes, which is what mail is made of.
func (q *quoter) append(dst []byte, s string) []byte {
	i := 0
	if q.cr && s != "" {
		q.cr = false
		if s[0] == '\n' {
			i = 1
		}
	}
	for i < len(s) {
		run := i
		for run < len(s) && literal[s[run]] {
			run++
		}
		if run > i {
			dst = fill(q, dst, s[i:run])
		}
		if i = run; i == len(s) {
			break
		}
		switch c := s[i]; c {
		case '\n':
			dst = q.breakLine(dst)
		case '\r':
			dst = q.breakLine(dst)
			q.cr = i+1 == len(s)
			if !q.cr && s[i+1] == '\n' {
				i++
			}
		default:
			dst = q.escape(dst, c)
		}
		i++
	}
	return dst
}

func (q *quoter) breakLine(dst []byte) []byte {
	dst = append(endLine(dst, q.column), '\r', '\n')
	q.column = 0
	return dst
}

func (q *quoter) escape(dst []byte, c byte) []byte {
	if q.column+3 > maxLine-1 {
		dst, q.column = append(dst, "=\r\n"...), 0
	}
	q.column += 3
	return append(dst, '=', upperHex[c>>4], upperHex[c&15])
}

// fill writes bytes that stand for themselves, in as many lines as they take.
func fill[T string | []byte](q *quoter, dst []byte, s T) []byte {
	for len(s) > 0 {
		if q.column == maxLine-1 {
			dst, q.column = append(dst, "=\r\n"...), 0
		}
		n := min(len(s), maxLine-1-q.column)
		dst = append(dst, s[:n]...)
		s, q.column = s[n:], q.column+n
	}
	return dst
}

// literal writes bytes that stand for themselves.
func (q *quoter) literal(dst, b []byte) []byte {
	q.cr = false
	return fill(q, dst, b)
}

// end ends the text.
func (q *quoter) end(dst []byte) []byte { return endLine(dst, q.column) }

// appendQuotedPrintable encodes a text as a whole.
func appendQuotedPrintable(dst []byte, s string) []byte {
	var q quoter
	return q.end(q.append(dst, s))
}

// endLine encodes a blank at the end of a line of so many characters.
func endLine(dst []byte, column int) []byte {
	if column == 0 {
		return dst
	}
	last := dst[len(dst)-1]
	if last != ' ' && last != '\t' {
		return dst
	}
	dst = dst[:len(dst)-1]
	if column+2 > maxLine {
		dst = append(dst, "=\r\n"...)
	}
	return append(dst, '=', upperHex[last>>4], upperHex[last&15])
}
