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

// appendQuotedPrintable encodes a text. CRLF, LF and CR end a line; longer lines than 76 characters are broken softly,
// and a blank at the end of a line is encoded so that no relay strips it. It works on runs of literal bytes, which is
// what mail is made of.
func appendQuotedPrintable(dst []byte, s string) []byte {
	column := 0 // of the output line; at most maxLine-1, which leaves room for the "=" of a soft break
	for i := 0; i < len(s); {
		run := i
		for run < len(s) && literal[s[run]] {
			run++
		}
		for i < run {
			if column == maxLine-1 {
				dst, column = append(dst, "=\r\n"...), 0
			}
			n := min(run-i, maxLine-1-column)
			dst = append(dst, s[i:i+n]...)
			i, column = i+n, column+n
		}
		if i == len(s) {
			break
		}
		c := s[i]
		i++
		if c == '\r' || c == '\n' {
			if c == '\r' && i < len(s) && s[i] == '\n' {
				i++
			}
			dst = append(endLine(dst, column), '\r', '\n')
			column = 0
			continue
		}
		if column+3 > maxLine-1 {
			dst, column = append(dst, "=\r\n"...), 0
		}
		dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		column += 3
	}
	return endLine(dst, column)
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
