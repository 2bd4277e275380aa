package smtp

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath is the longest address (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const maxPath = 254

// flaw tells why an address cannot stand in a MAIL or RCPT command, and "" where it can. It is strict about what could
// end the command or begin another, and leaves the rest to the server.
func flaw(address string) string {
	at := strings.LastIndexByte(address, '@')
	switch {
	case address == "":
		return "the address is empty"
	case len(address) > maxPath:
		return "the address is longer than 254 bytes"
	case !utf8.ValidString(address):
		return "the address is not UTF-8"
	case at <= 0 || at == len(address)-1:
		return "the address is not of the form name@domain"
	}
	for _, r := range address {
		if r <= ' ' || r == '<' || r == '>' || unicode.IsControl(r) || unicode.IsSpace(r) {
			return "the address holds a blank, a control character or an angle bracket"
		}
	}
	return ""
}

// isASCII reads eight bytes at a time: it looks at every byte of every message.
func isASCII[T string | []byte](s T) bool {
	b := []byte(s)
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
