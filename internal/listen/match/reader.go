package match

import (
	"strings"
	"unicode/utf8"
)

// How a text is read as words. Each word has a position, and positions in a row are a phrase, as long as no sentence ends
// between them (an end of a sentence is one of .!?;: before a space, one of …¿¡, or an empty line).
//
//   - A word is letters, digits and their marks. What cannot be seen is not there.
//   - An apostrophe between letters belongs to the word and is not compared: L'Oréal is Loreal. Velo's is Velo too, and
//     l'Apple and d'Apple are Apple too.
//   - Hyphens and other punctuation separate words and are not compared. & and a + behind a word are words.
//   - An emoji with its modifiers is one word; skin and gender are not compared.
//   - Characters of scripts without spaces are a word each.
//   - A hashtag is read whole, and also by its parts in camel case, by digits and underscores.
//   - A mention, a link and an address of mail are one word each, and words inside of them are not found.

// maxParts is into how many parts a hashtag is taken apart.
const maxParts = 32

// The first bytes of keys of what is not a word.
const (
	prefixTag     = '#'
	prefixAccount = '@'
	prefixAuthor  = '!'
	prefixLink    = '/'
)

// edge is a word, or another reading of one: from a position, of a width in positions, between two bytes of the text.
type edge struct {
	at, width  int32
	start, end int
}

// reader takes a text apart. What it finds it gives to the words of a term, when one is compiled, or to the automaton.
type reader struct {
	text     string
	at       int32 // the position of the next word
	apart    bool  // a sentence ended since the last word
	lines    int   // how many lines did
	wordEnd  int   // where the last word ended
	key      []byte
	part     []byte
	term     *reading
	automate *automaton
}

// reading is what a term consists of: words, and those between which nothing but punctuation stands.
type reading struct {
	words   []string
	glued   []bool // to the word before it
	other   bool   // a mention, a hashtag, a link or an address was there
	breaks  bool   // a sentence ended
	lastEnd int
}

func (r *reader) read(text string) {
	r.text, r.apart, r.lines, r.wordEnd = text, false, 0, -1
	for i := 0; i < len(text); {
		class, size := classAt(text, i)
		switch class {
		case classWord:
			i = r.word(i)
		case classSpace:
			r.space(i)
			i += size
		case classSingle:
			i = r.whole(i, i+size)
		case classEmoji:
			i = r.whole(i, emojiEnd(text, i+size))
		case classSymbol:
			if text[i] == '+' && r.wordEnd != i {
				i += size
				continue
			}
			i = r.whole(i, i+size)
		case classMention:
			i = r.mention(i, size)
		case classHash:
			i = r.hash(i, size)
		case classStop:
			if end := i + size; end == len(text) || isSpaceAt(text, end) {
				r.apart = true
			}
			i += size
		case classBreak:
			r.apart = true
			i += size
		default:
			i += size
		}
	}
}

func (r *reader) space(i int) {
	if r.text[i] == '\n' {
		if r.lines++; r.lines > 1 {
			r.apart = true
		}
	}
}

func isSpaceAt(text string, i int) bool {
	class, _ := classAt(text, i)
	return class == classSpace
}

// begin is called at each position before its edges.
func (r *reader) begin() {
	if r.apart {
		if r.term != nil && len(r.term.words) > 0 {
			r.term.breaks = true
		}
		if r.automate != nil {
			r.automate.forget()
		}
	}
	if r.automate != nil {
		r.automate.advance(r.at)
	}
	r.apart, r.lines = false, 0
}

// offer gives an edge to whoever wants it. Its key is the loosest folding of what it covers.
func (r *reader) offer(key []byte, e edge) {
	switch {
	case len(key) == 0:
	case r.automate != nil:
		r.automate.step(key, e, r.text)
	case e.width == 1 && e.at == int32(len(r.term.words)): // the first reading of a position: the whole word
		glued := len(r.term.words) > 0 && !strings.ContainsFunc(r.text[r.term.lastEnd:e.start], func(c rune) bool { return classOf(c) == classSpace })
		r.term.words, r.term.glued, r.term.lastEnd = append(r.term.words, r.text[e.start:e.end]), append(r.term.glued, glued), e.end
	}
}

// whole reads a word whose end is known.
func (r *reader) whole(start, end int) int {
	r.begin()
	r.key = appendFolded(r.key[:0], r.text[start:end], loosest)
	r.offer(r.key, edge{at: r.at, width: 1, start: start, end: end})
	r.at++
	r.wordEnd = end
	return end
}

// opaque passes over what is a word, but none that is compared.
func (r *reader) opaque(end int) int {
	r.begin()
	if r.term != nil {
		r.term.other = true
	}
	r.at++
	r.wordEnd = end
	return end
}

// word reads a word, or the link or the address that begins with one.
func (r *reader) word(start int) int {
	if c := r.text[start] | 0x20; c == 'h' || c == 'w' {
		if host, hostEnd, end := linkAt(r.text, start); end > 0 {
			return r.link(start, host, hostEnd, end)
		}
	}
	key, i, apostrophes, split, head := r.letters(start)
	if i < len(r.text) && strings.IndexByte("@._%+-", r.text[i]) >= 0 {
		if end := addressEnd(r.text, i); end > 0 {
			return r.opaque(end)
		}
	}
	r.begin()
	r.offer(key, edge{at: r.at, width: 1, start: start, end: i})
	if apostrophes == 1 {
		r.parts(key, head, edge{at: r.at, width: 1, start: start, end: i}, split)
	}
	r.at++
	r.wordEnd = i
	return i
}

// letters reads to the end of a word. It counts apostrophes, and tells where the last of them stands in the text and in the key.
func (r *reader) letters(start int) (key []byte, end, apostrophes, split, head int) {
	key = r.key[:0]
	i := start
	for i < len(r.text) {
		if c := r.text[i]; c < utf8.RuneSelf && plane[c] == classWord {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			key = append(key, c)
			i++
			continue
		}
		class, size := classAt(r.text, i)
		if class == classApostrophe && wordAt(r.text, i+size) {
			apostrophes, split, head = apostrophes+1, i, len(key)
		} else if class == classWord {
			c, _ := utf8.DecodeRuneInString(r.text[i:])
			key = appendLoose(key, r.text[i:], c)
		} else if class != classIgnorable {
			break
		}
		i += size
	}
	r.key = key
	return key, i, apostrophes, split, head
}

// parts reads a word with an apostrophe as a genitive (Velo's) and behind an elided article (l'Apple).
func (r *reader) parts(key []byte, head int, e edge, split int) {
	if string(key[head:]) == "s" {
		r.offer(key[:head], edge{at: e.at, width: 1, start: e.start, end: split})
	}
	switch string(key[:head]) {
	case "l", "d", "n", "m", "s", "t", "c", "j", "qu":
		_, size := utf8.DecodeRuneInString(r.text[split:])
		r.offer(key[head:], edge{at: e.at, width: 1, start: split + size, end: e.end})
	}
}

func wordAt(text string, i int) bool {
	if i >= len(text) {
		return false
	}
	class, _ := classAt(text, i)
	return class == classWord
}

// emojiEnd is where an emoji ends of which the first character has been read: modifiers, joined ones, the second letter of a flag.
func emojiEnd(text string, i int) int {
	first, _ := utf8.DecodeLastRuneInString(text[:i])
	if second, size := utf8.DecodeRuneInString(text[i:]); isFlagLetter(first) && isFlagLetter(second) {
		return i + size
	}
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '\u200D':
			next, nextSize := utf8.DecodeRuneInString(text[i+size:])
			if !isPictograph(next) {
				return i
			}
			i += size + nextSize
		case isSkinTone(r), r == '\uFE0F', r == '\u20E3':
			i += size
		default:
			return i
		}
	}
	return i
}
