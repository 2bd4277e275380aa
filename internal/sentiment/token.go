package sentiment

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWord is the most bytes of one word that are kept: what is longer is no word of any list.
const maxWord = 48

// A token is a word, or a sign that a list knows.
type token struct {
	text      string // folded
	sign      *entry // of an emoji or an emoticon; nil for words
	sentence  int
	clause    int
	caps      bool // written in capitals
	stretched bool // a letter three times or more in a row
	quoted    bool // alone in quotation marks
	tagged    bool // part of a hashtag
	censored  bool // letters replaced by asterisks
}

// A sentence tells how one was written.
type sentence struct {
	exclamations, questions int
}

// scanned is a text taken apart.
type scanned struct {
	tokens    []token
	sentences []sentence // never empty
	caps      int        // tokens in capitals
	sarcasm   bool       // it ends with "/s"
}

// scanner takes a text apart in one pass.
type scanner struct {
	text   string
	at     int
	signs  *signs
	folded strings.Builder
	starts []int // where each token's folded text begins
	out    scanned
	clause int
	quote  int // the token behind the last opening quotation mark, or -1
}

// scan takes at most MaxText bytes of a text apart.
func scan(text string, signs *signs) scanned {
	if len(text) > MaxText {
		text = text[:MaxText]
	}
	s := scanner{text: text, signs: signs, quote: -1}
	s.out.sentences = make([]sentence, 1, 4)
	s.folded.Grow(len(text))
	s.out.tokens = make([]token, 0, len(text)/5+1)
	for s.at < len(s.text) {
		s.next()
	}
	all := s.folded.String()
	for i := range s.out.tokens {
		if s.out.tokens[i].sign != nil {
			continue
		}
		end := len(all)
		if i+1 < len(s.starts) {
			end = s.starts[i+1]
		}
		s.out.tokens[i].text = all[s.starts[i]:end]
	}
	s.out.sarcasm = endsSarcastically(text)
	return s.out
}

// endsSarcastically finds the mark by which people say that they meant the opposite.
func endsSarcastically(text string) bool {
	text = strings.TrimRight(text, " \t\r\n.!")
	return strings.HasSuffix(text, " /s") || strings.HasSuffix(text, " /S") || text == "/s"
}

// next consumes something of the text.
func (s *scanner) next() {
	r, size := utf8.DecodeRuneInString(s.text[s.at:])
	switch {
	case r == '\n':
		s.endSentence()
	case unicode.IsSpace(r) || r == utf8.RuneError:
	case r == '@' && s.letterAt(s.at+1):
		s.skipHandle()
		return
	case r == '#' && s.letterAt(s.at+1):
		s.at++
		s.hashtag()
		return
	case s.link():
		return
	case s.sign(r):
		return
	case isWordRune(r):
		s.word(false)
		return
	case r == '&':
		s.skipEntity()
		return
	default:
		s.punctuation(r, size)
	}
	s.at += size
}

func isWordRune(r rune) bool {
	if r < 0x80 {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r)
}

func (s *scanner) letterAt(at int) bool {
	r, _ := utf8.DecodeRuneInString(s.text[min(at, len(s.text)):])
	return r != utf8.RuneError && (isWordRune(r) || r == '_')
}

func (s *scanner) endSentence() {
	s.endClause()
	s.out.sentences = append(s.out.sentences, sentence{})
}

func (s *scanner) endClause() { s.clause++ }

// skipHandle passes over an account: who is spoken to is not how they are spoken to.
func (s *scanner) skipHandle() {
	for s.at++; s.at < len(s.text); {
		r, size := utf8.DecodeRuneInString(s.text[s.at:])
		if !isWordRune(r) && r != '_' && (r != '@' && r != '.' && r != '-' || !s.letterAt(s.at+size)) {
			return
		}
		s.at += size
	}
}

// link passes over an address of the web.
func (s *scanner) link() bool {
	rest := s.text[s.at:]
	if !strings.HasPrefix(rest, "http") && !strings.HasPrefix(rest, "www.") {
		return false
	}
	if !strings.HasPrefix(rest, "http://") && !strings.HasPrefix(rest, "https://") && !strings.HasPrefix(rest, "www.") {
		return false
	}
	end := strings.IndexFunc(rest, unicode.IsSpace)
	if end < 0 {
		end = len(rest)
	}
	s.at += end
	return true
}

// skipEntity passes over "&amp;" and the like, which feeds leave in texts.
func (s *scanner) skipEntity() {
	rest := s.text[s.at:min(len(s.text), s.at+10)]
	if end := strings.IndexByte(rest, ';'); end > 1 && strings.IndexByte(rest, ' ') < 0 {
		s.at += end + 1
		return
	}
	s.at++
}

// hashtag reads the words of a hashtag: those with a capital each, else all of it as one.
func (s *scanner) hashtag() {
	for s.at < len(s.text) {
		r, size := utf8.DecodeRuneInString(s.text[s.at:])
		switch {
		case r == '_':
			s.at += size
		case isWordRune(r):
			s.word(true)
		default:
			return
		}
	}
}

// word reads one word. Within a hashtag it ends before a capital that follows a small letter.
func (s *scanner) word(tagged bool) {
	t := token{tagged: tagged}
	begin := s.folded.Len()
	var spelt spelling
	for s.at < len(s.text) {
		r, size := utf8.DecodeRuneInString(s.text[s.at:])
		if r == '*' && !tagged && spelt.letters > 0 && s.isCensored() {
			t.censored = true
		} else if !s.continues(r, size) || tagged && unicode.IsUpper(r) && unicode.IsLower(spelt.last) {
			break
		}
		spelt.add(r)
		if s.folded.Len()-begin < maxWord {
			s.write(r, size)
		}
		s.at += size
	}
	t.stretched = spelt.longest >= 3
	t.caps = spelt.letters >= 3 && spelt.upper == spelt.letters
	if t.caps {
		s.out.caps++
	}
	s.add(t, begin)
}

// spelling counts how a word is written.
type spelling struct {
	letters, upper int
	run, longest   int // of one letter
	last           rune
}

func (c *spelling) add(r rune) {
	if unicode.IsLetter(r) {
		c.letters++
		if c.run++; unicode.ToLower(r) != unicode.ToLower(c.last) {
			c.run = 1
		}
		c.longest = max(c.longest, c.run)
	}
	if unicode.IsUpper(r) {
		c.upper++
	}
	c.last = r
}

// continues tells whether a character belongs to the word that is read: an apostrophe does before a letter.
func (s *scanner) continues(r rune, size int) bool {
	return isWordRune(r) || isApostrophe(r) && s.letterAt(s.at+size)
}

// write folds a character; an n before a tilde of its own is the other letter.
func (s *scanner) write(r rune, size int) {
	if (r == 'n' || r == 'N') && strings.HasPrefix(s.text[s.at+size:], tilde) {
		s.folded.WriteRune('ñ')
		return
	}
	writeFolded(&s.folded, r)
}

// isCensored tells whether asterisks stand for letters here: some letters follow them, or nothing else can be meant.
func (s *scanner) isCensored() bool {
	rest := strings.TrimLeft(s.text[s.at:], "*")
	stars := len(s.text) - s.at - len(rest)
	r, _ := utf8.DecodeRuneInString(rest)
	return stars <= 6 && (r != utf8.RuneError && unicode.IsLetter(r) || stars >= 3)
}

func (s *scanner) add(t token, begin int) {
	if s.folded.Len() == begin && t.sign == nil {
		return
	}
	t.sentence, t.clause = len(s.out.sentences)-1, s.clause
	s.starts = append(s.starts, begin)
	s.out.tokens = append(s.out.tokens, t)
}

// sign reads an emoji or an emoticon.
func (s *scanner) sign(r rune) bool {
	if r >= 0x80 {
		e := s.signs.emoji[r]
		if e == nil {
			return false
		}
		s.add(token{sign: e, text: string(r)}, s.folded.Len())
		s.at += utf8.RuneLen(r)
		return true
	}
	if !s.signs.begins[byte(r)] || s.at > 0 && s.withinWord() {
		return false
	}
	face, e := s.signs.emoticon(s.text[s.at:])
	if e == nil {
		return false
	}
	s.add(token{sign: e, text: face}, s.folded.Len())
	s.at += len(face)
	return true
}

// withinWord tells whether a word goes on here, of which a part may look like a face.
func (s *scanner) withinWord() bool {
	before, _ := utf8.DecodeLastRuneInString(s.text[:s.at])
	now := rune(s.text[s.at])
	if isWordRune(now) {
		return !unicode.IsSpace(before)
	}
	// "(NASDAQ: X): up" has no face in it.
	return unicode.IsDigit(before) || now == ')' && !unicode.IsSpace(before)
}

// punctuation ends clauses and sentences, and keeps count of what is emphasised and asked.
func (s *scanner) punctuation(r rune, size int) {
	now := &s.out.sentences[len(s.out.sentences)-1]
	switch r {
	case '!', '¡':
		now.exclamations++
	case '?', '¿':
		now.questions++
	}
	switch r {
	case '¡', '¿', ',', ';', ':', '(', ')', '—', '–', '|', '•', '…':
		s.endClause()
	case '.':
		next, _ := utf8.DecodeRuneInString(s.text[s.at+size:])
		if s.at+size == len(s.text) || !isWordRune(next) {
			s.endOf()
		}
	case '!', '?':
		s.endOf()
	case '"', '“', '”', '«', '»':
		s.quotation()
	case '/', '-':
		if s.spaceAround(size) {
			s.endClause()
		}
	}
}

// endOf ends a sentence, once for "?!" and "...", and not before a word of it was read. Marks that repeat count for the
// sentence that they end.
func (s *scanner) endOf() {
	next, _ := utf8.DecodeRuneInString(s.text[min(s.at+1, len(s.text)):])
	if next == '!' || next == '?' || next == '.' {
		return
	}
	s.endSentence()
}

func (s *scanner) spaceAround(size int) bool {
	next, _ := utf8.DecodeRuneInString(s.text[s.at+size:])
	return s.at > 0 && s.text[s.at-1] == ' ' && next == ' '
}

// quotation marks what stands alone in quotation marks: people quote a word that they would not use.
func (s *scanner) quotation() {
	n := len(s.out.tokens)
	if s.quote >= 0 && n-s.quote >= 1 && n-s.quote <= 2 {
		for i := s.quote; i < n; i++ {
			s.out.tokens[i].quoted = true
		}
		s.quote = -1
		return
	}
	s.quote = n
}
