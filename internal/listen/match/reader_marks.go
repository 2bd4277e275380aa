package match

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Reading of hashtags, mentions, links and addresses.

// hash reads a hashtag, or the # of a name such as C#.
func (r *reader) hash(start, size int) int {
	end := start + size
	for end < len(r.text) {
		class, size := classAt(r.text, end)
		if class != classWord && class != classSingle && class != classIgnorable && r.text[end] != '_' {
			break
		}
		end += size
	}
	switch {
	case r.wordEnd == start && (end == start+size):
		return r.whole(start, end)
	case r.wordEnd == start || end == start+size:
		return start + size // a#b, or a # alone
	}
	r.tag(start, start+size, end)
	return end
}

// tag reads a hashtag whose name stands in [name, end): as itself, as a word, and by its parts.
func (r *reader) tag(start, name, end int) {
	for name < end && r.text[name] == '_' {
		name++
	}
	r.key = append(r.key[:0], prefixTag)
	if r.key = appendFolded(r.key, r.text[name:end], loosest); len(r.key) == 1 {
		return // #_
	}
	r.begin()
	if r.term != nil {
		r.term.other = true
	}
	var ends [maxParts]int
	n := splitTag(r.text[name:end], &ends)
	whole := edge{at: r.at, width: int32(max(n, 1)), start: start, end: end}
	r.offer(r.key, whole)
	r.offer(r.key[1:], whole)
	if n > 1 {
		from := name
		for k := range n {
			to := name + ends[k]
			if k > 0 && r.automate != nil {
				r.automate.advance(r.at + int32(k))
			}
			r.part = appendFolded(r.part[:0], r.text[from:to], loosest)
			r.offer(r.part, edge{at: r.at + int32(k), width: 1, start: from, end: to})
			from = to
			for from < end && r.text[from] == '_' {
				from++
			}
		}
	}
	r.at += whole.width
	r.wordEnd = end
}

// splitTag takes a hashtag apart where small letters turn into capitals, letters into digits, at underscores, and at each
// character of scripts without spaces: MeGustaVelo2027 is Me, Gusta, Velo, 2027, and AIModels is AI, Models. It tells where
// the parts end, and 0 when there are too many.
func splitTag(name string, ends *[maxParts]int) int {
	s := split{name: name, ends: ends}
	for i, c := range name {
		kind := letterCase(c)
		switch class := classOf(c); {
		case class == classIgnorable, kind == 'm' && class != classSingle:
			continue
		case c == '_':
			kind = '_'
		case class == classSingle:
			kind = 's'
		}
		s.letter(i, kind)
	}
	if s.last != '_' {
		s.cut(len(name))
	}
	if s.tooMany {
		return 0
	}
	return s.n
}

// split is how far splitTag has come.
type split struct {
	name     string
	ends     *[maxParts]int
	n        int
	tooMany  bool
	last     byte // the kind of the letter before: of letterCase, _ or s for a word by itself
	previous int  // where it begins
}

func (s *split) cut(at int) {
	switch {
	case at == 0 || s.n > 0 && s.ends[s.n-1] == at:
	case s.n == maxParts:
		s.tooMany = true
	default:
		s.ends[s.n] = at
		s.n++
	}
}

func (s *split) letter(at int, kind byte) {
	switch {
	case s.last == 0 || s.last == '_':
	case kind == '_', kind == 's', s.last == 's', kind == 'A' && s.last == 'a', (kind == '0') != (s.last == '0'):
		s.cut(at)
	case kind == 'a' && s.last == 'A' && startsLater(s.name, s.previous):
		s.cut(s.previous)
	}
	s.last, s.previous = kind, at
}

// startsLater tells whether the capital at i follows another capital: the S of «AIStart».
func startsLater(name string, i int) bool {
	if i == 0 {
		return false
	}
	before, _ := utf8.DecodeLastRuneInString(name[:i])
	return letterCase(before) == 'A'
}

// mention reads @name and @name@host.
func (r *reader) mention(start, size int) int {
	name := start + size
	end := nameEnd(r.text, name)
	if r.wordEnd == start || end == name {
		return name
	}
	local := end
	if end < len(r.text) && r.text[end] == '@' {
		if host := nameEnd(r.text, end+1); host > end+1 {
			end = host
		}
	}
	r.begin()
	if r.term != nil {
		r.term.other = true
	}
	r.account(prefixAccount, r.text[name:end], local-name, edge{at: r.at, width: 1, start: start, end: end})
	r.at++
	r.wordEnd = end
	return end
}

// account offers an account by its whole name, and without its host. local is how long the name without the host is.
func (r *reader) account(prefix byte, name string, local int, e edge) {
	r.key = append(r.key[:0], prefix)
	r.key = appendLower(r.key, name)
	r.offer(r.key, e)
	if local < len(name) {
		r.offer(r.key[:1+local], e)
	}
}

// named reads the name of an account that the network told apart from the text.
func (r *reader) named(prefix byte, name string) {
	r.begin()
	bare := strings.TrimPrefix(name, "@")
	local := strings.IndexByte(bare, '@')
	if local < 0 {
		local = len(bare)
	}
	r.text = name
	r.account(prefix, bare, local, edge{at: r.at, width: 1, end: len(name)})
	r.at++
}

func appendLower(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

// nameEnd is where the name of an account or a host ends. Full stops and hyphens at its end are the sentence's.
func nameEnd(text string, i int) int {
	start := i
	for i < len(text) && isName(text[i]) {
		i++
	}
	for i > start && (text[i-1] == '.' || text[i-1] == '-') {
		i--
	}
	return i
}

// maxLocal is how long the part of an address before @ may be, by RFC 5321.
const maxLocal = 64

// addressEnd is where an address of mail ends whose first word ended at i, or 0 when it is none.
func addressEnd(text string, i int) int {
	for end := min(i+maxLocal, len(text)-1); i < end && (isName(text[i]) || text[i] == '+' || text[i] == '%'); {
		i++
	}
	if i >= len(text) || text[i] != '@' {
		return 0
	}
	end := nameEnd(text, i+1)
	if strings.IndexByte(text[i+1:end], '.') < 0 {
		return 0
	}
	return end
}

// link reads a link, whose host and each domain that holds it are compared.
func (r *reader) link(start, host, hostEnd, end int) int {
	r.begin()
	if r.term != nil {
		r.term.other = true
	}
	r.host(r.text[host:hostEnd], edge{at: r.at, width: 1, start: start, end: end})
	r.at++
	r.wordEnd = end
	return end
}

func (r *reader) host(name string, e edge) {
	r.key = append(r.key[:0], prefixLink)
	r.key = appendLower(r.key, name)
	key := r.key
	for {
		r.offer(key, e)
		dot := bytes.IndexByte(key[1:], '.')
		if dot < 0 {
			return
		}
		key = key[1+dot:]
		key[0] = prefixLink
	}
}

// linked reads a link that the network told apart from the text.
func (r *reader) linked(link string) {
	r.begin()
	r.text = link
	if host, hostEnd, _ := linkAt(link, 0); hostEnd > 0 {
		r.host(link[host:hostEnd], edge{at: r.at, width: 1, end: len(link)})
	}
	r.at++
}

// linkAt finds a link at i: where its host begins and ends, and where it ends itself; nothing else is 0.
func linkAt(text string, i int) (host, hostEnd, end int) {
	switch {
	case hasPrefixFold(text[i:], "https://"):
		host = i + len("https://")
	case hasPrefixFold(text[i:], "http://"):
		host = i + len("http://")
	case hasPrefixFold(text[i:], "www."):
		host = i + len("www.")
	default:
		return 0, 0, 0
	}
	end = host
	for end < len(text) {
		class, size := classAt(text, end)
		if c := text[end]; class == classSpace || c < ' ' || strings.IndexByte("<>\"|\\^`{}", c) >= 0 {
			break
		}
		end += size
	}
	for end > host && strings.IndexByte(".,;:!?)]'*_~", text[end-1]) >= 0 {
		end--
	}
	authority := text[host:end]
	if k := strings.IndexAny(authority, "/?#"); k >= 0 {
		authority = authority[:k]
	}
	if k := strings.LastIndexByte(authority, '@'); k >= 0 {
		host, authority = host+k+1, authority[k+1:]
	}
	if k := strings.IndexByte(authority, ':'); k >= 0 {
		authority = authority[:k]
	}
	if authority == "" {
		return 0, 0, 0
	}
	return host, host + len(authority), end
}

// hasPrefixFold compares with a prefix in small letters.
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// tagged reads a hashtag that the network told apart from the text, with or without #.
func (r *reader) tagged(tag string) {
	r.text = tag
	name := 0
	if class, size := classAt(tag+" ", 0); class == classHash {
		name = size
	}
	r.tag(0, name, len(tag))
}
