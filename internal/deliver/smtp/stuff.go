package smtp

import "bytes"

// appendStuffed appends a message as it travels: a dot before every line that begins with one (RFC 5321, section
// 4.5.2), every line ended by CRLF. A lone CR or LF becomes CRLF too: servers disagree about them, and a message that
// one of them reads as two is how mail is smuggled. The final dot is not appended.
func appendStuffed(dst, message []byte) []byte {
	if out, ok := appendProper(dst, message); ok {
		return out
	}
	for len(message) > 0 {
		if message[0] == '.' {
			dst = append(dst, '.')
		}
		end, next := lineEnd(message)
		dst = append(dst, message[:end]...)
		dst = append(dst, '\r', '\n')
		message = message[next:]
	}
	return dst
}

// appendProper does so for a message whose lines all end as they should, as nearly every message's do: what lies between the dots
// is copied as a whole. It is not ok for another one.
func appendProper(dst, message []byte) (out []byte, ok bool) {
	if len(message) == 0 || message[len(message)-1] != '\n' || bytes.Count(message, []byte{'\r'}) != bytes.Count(message, []byte{'\n'}) {
		return dst, false
	}
	out = dst
	copied := 0
	for start := 0; start < len(message); {
		if message[start] == '.' {
			out = append(append(out, message[copied:start]...), '.')
			copied = start
		}
		end := start + bytes.IndexByte(message[start:], '\n') // there is one: the last byte
		if end == start || message[end-1] != '\r' {
			return dst, false
		}
		start = end + 1
	}
	return append(out, message[copied:]...), true
}

// lineEnd finds where the first line ends and the second begins.
func lineEnd(message []byte) (end, next int) {
	end = bytes.IndexByte(message, '\n')
	if end < 0 {
		end = len(message)
	}
	next = min(end+1, len(message))
	if end > 0 && end < len(message) && message[end-1] == '\r' {
		end--
	}
	if cr := bytes.IndexByte(message[:end], '\r'); cr >= 0 {
		return cr, cr + 1
	}
	return end, next
}
