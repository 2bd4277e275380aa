package support

import (
	"regexp"
	"strings"
)

// rule replaces what looks like something that must not leave.
type rule struct {
	looks *regexp.Regexp
	by    string
}

// rules in the order in which they are applied: a URL's login before the address that it looks like. They err on the side
// of removing too much. What they find should not have been there in the first place: no log, event or status of ours names
// a person.
var rules = []rule{
	// A login in a URL, up to the last @ of its authority: passwords hold anything.
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/"'<>]*@`), "${1}[login]@"},
	// What a URL asks for: queries carry tokens and addresses.
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>?#]*)[?#][^\s"'<>]+`), "${1}?[query]"},
	// The unsubscribe link of one person.
	{regexp.MustCompile(`/u/[A-Za-z0-9_-]{16,}`), "/u/[token]"},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`), "${1} [token]"},
	// password=…, "token": "…", api-key: …
	{regexp.MustCompile(`(?i)(\b[a-z0-9_.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|authorization|api[-_]?key|private[-_]?key)\\?["']?\s*[:=]\s*)` +
		`(\\?"[^"]*"|'[^']*'|[^\s,;&}\]]+)`), "${1}[secret]"},
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)`), "[private key]"},
	{regexp.MustCompile(`\bttl_[A-Za-z0-9_-]{8,}`), "[token]"}, // ours
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}`), "[token]"},
	// A name before an address.
	{regexp.MustCompile(`(?:"[^"<>@]*"|\p{Lu}[\p{L}.'-]*(?: \p{L}[\p{L}.'-]*){0,5}) *<[^<>\s@]+@[^<>\s]+>`), "[address]"},
	// An address of mail, or a handle on a federated network.
	{regexp.MustCompile(`@?[^\s<>"'(),;:=\[\]{}|\\/@]+@[^\s<>"'(),;:=\[\]{}|\\/@]+`), "[address]"},
	{regexp.MustCompile(`[^\s<>"'(),;:=&?\[\]{}|\\/%]+(?i:%40)[^\s<>"'(),;:=&?\[\]{}|\\/]+`), "[address]"}, // in a URL
	{regexp.MustCompile(`(^|[\s"'(,:=])@[\p{L}\p{N}_][\p{L}\p{N}_.-]*`), "${1}[handle]"},
	{regexp.MustCompile(`\bdid:[a-z]+:[A-Za-z0-9._:%-]+`), "[handle]"},
	// A number that begins as international ones do, and groups of digits as people write their own.
	{regexp.MustCompile(`(?:\+|\b00)[1-9][0-9]{0,2}[\s().-]{0,2}(?:[0-9][\s().-]{0,2}){5,12}[0-9]`), "[phone]"},
	{regexp.MustCompile(`\b[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{3,4}\b`), "[phone]"},
	{regexp.MustCompile(`\b[0-9]{3}[ .-][0-9]{2}[ .-][0-9]{2}[ .-][0-9]{2}\b`), "[phone]"},
	{regexp.MustCompile(`\([0-9]{2,4}\)[ -]?[0-9]{3,4}[ -]?[0-9]{3,4}\b`), "[phone]"},
}

var (
	// longDigits may be a phone without any space. Seconds since 1970 are lost with them, and logs have dates.
	longDigits = regexp.MustCompile(`(^|[^\w.:-])([0-9]{9,15})($|[^\w:-])`)
	// word is what random tokens are made of.
	word = regexp.MustCompile(`[A-Za-z0-9_+=-]{24,}`)
	// imageDigest keeps an image's digest from being taken for an address.
	imageDigest = regexp.MustCompile(`@sha256:([0-9a-f]{12})[0-9a-f]{52}`)
)

// redact takes from a text what looks like an address, a handle, a phone, a token or a password.
func redact(text string) string {
	text = imageDigest.ReplaceAllString(text, " sha256:$1")
	for _, r := range rules {
		text = r.looks.ReplaceAllString(text, r.by)
	}
	text = longDigits.ReplaceAllString(text, "${1}[number]${3}")
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if isRandom(w) {
			return "[token]"
		}
		return w
	})
}

// isRandom tells whether a long word is one that nobody would write: capital and small letters and digits mixed, or digits
// of a hexadecimal number. Names of Kubernetes have no capitals, and its ids have hyphens.
func isRandom(w string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	digits := strings.ContainsAny(w, "0123456789")
	if digits && strings.ContainsAny(w, letters) && strings.ContainsAny(w, strings.ToUpper(letters)) {
		return true
	}
	return len(w) >= 32 && strings.Trim(w, "0123456789abcdefABCDEF") == ""
}

// redactAll redacts every text in what JSON can hold, keys too.
func redactAll(value any) any {
	switch v := value.(type) {
	case string:
		return redact(v)
	case []any:
		clean := make([]any, len(v))
		for i := range v {
			clean[i] = redactAll(v[i])
		}
		return clean
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key := range v {
			clean[redact(key)] = redactAll(v[key])
		}
		return clean
	}
	return value
}
