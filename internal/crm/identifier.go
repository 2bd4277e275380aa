package crm

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The longest identifiers, in bytes. An address is bounded by RFC 5321 (4.5.3.1), a number by E.164 (15 digits and a
// plus); an id of another system must fit into an index with room to spare.
const (
	maxEmail      = 254
	maxLocalPart  = 64
	maxExternalID = 255
)

var (
	errEmailForm   = errors.New("is no e-mail address: it must look like ana@example.com")
	errEmailLocal  = errors.New("is no e-mail address: the part before the @ has a space, a special character or a dot out of place")
	errEmailDomain = errors.New("is no e-mail address: the part after the @ is no domain name, such as example.com")
	errEmailLong   = errors.New("is longer than an e-mail address can be (254 bytes)")
	errPhone       = errors.New("is no telephone number in international form, such as +34600111222")
	errIDEmpty     = errors.New("is empty")
	errIDLong      = errors.New("is longer than 255 bytes")
	errIDControl   = errors.New("contains a control character")
)

// NormalizeEmail returns the form under which an address is one identifier: trimmed, in lower case, the domain in
// ASCII (IDNA 2008). Dots and tags of the local part are kept: only some providers ignore them. The error completes the
// sentence "the address …" and does not repeat it.
func NormalizeEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, '@')
	switch {
	case at < 1 || at == len(text)-1:
		return "", errEmailForm
	case len(text) > maxEmail || at > maxLocalPart:
		return "", errEmailLong
	}
	if !isLocalPart(text[:at]) {
		return "", errEmailLocal
	}
	domain := strings.ToLower(text[at+1:])
	if !isASCII(domain) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", errEmailDomain
		}
		domain = ascii
	}
	if !isDomain(domain) {
		return "", errEmailDomain
	}
	return strings.ToLower(text[:at]) + "@" + domain, nil
}

// isLocalPart accepts a dot-atom (RFC 5322, 3.2.3). Quoted local parts are legal and, outside tests, nobody's.
func isLocalPart(s string) bool {
	if s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),:;<>@[\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// isDomain accepts two or more labels of letters, digits and inner hyphens.
func isDomain(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != "" // an IP address is no domain
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// NormalizePhone returns a number in E.164: a plus and 7 to 15 digits. Spaces, hyphens, dots and brackets are dropped,
// a leading 00 is the plus. A number without its country is refused: we could only guess it.
func NormalizePhone(text string) (string, error) {
	text = strings.TrimSpace(text)
	var b strings.Builder
	b.WriteByte('+')
	if rest, ok := strings.CutPrefix(text, "+"); ok {
		text = rest
	} else if rest, ok := strings.CutPrefix(text, "00"); ok {
		text = rest
	} else {
		return "", errPhone
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			b.WriteByte(c)
		case strings.IndexByte(" -.()/", c) < 0:
			return "", errPhone
		}
	}
	number := b.String()
	if len(number) < 8 || len(number) > 16 || number[1] == '0' {
		return "", errPhone
	}
	return number, nil
}

// NormalizeExternalID trims an id of another system and checks that it can be one.
func NormalizeExternalID(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errIDEmpty
	case len(text) > maxExternalID:
		return "", errIDLong
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", errIDControl
	}
	return text, nil
}

var source = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// IsSource tells whether a text can name a source of people and events, such as shop.
func IsSource(s string) bool { return source.MatchString(s) }
