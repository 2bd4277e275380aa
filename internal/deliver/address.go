package deliver

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath is the longest address (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const maxPath = 254

// AddressFlaw tells why an address is none that a message could go to, and "" where it may be one. It is strict about what
// could end a line of a protocol or begin another, and leaves the rest to the server.
func AddressFlaw(address string) string {
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
