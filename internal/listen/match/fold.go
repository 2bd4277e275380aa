package match

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Folding. A letter is what NFKD makes of it, in lower case: full-width, bold and other letters of mathematics, ligatures,
// Ⓥ and ª are plain letters. Its accents fall away: who writes on a telephone leaves them out, and readers do not mind. The
// tilde of ñ is none of them: ñ is a letter of its own, año and ano, campaña and campana are other words, and even people
// without that key seldom write the one for the other; a term that wants that says Loose. Strict keeps all accents.

// tilde is the combining one, of which ñ consists with n.
const tilde = '\u0303'

// folding is how a text is compared.
type folding struct {
	letters  Letters
	keepCase bool
}

// loosest is what the vocabulary is looked up by. What a term wants besides is compared afterwards.
var loosest = folding{letters: Loose}

// latin is what the loosest folding makes of the letters below U+0250, because they are many.
var latin [0x250]string

// singles are letters that do not decompose.
var singles = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'ł': "l", 'ı': "i", 'þ': "th", 'ς': "σ",
}

// appendLoose appends the loosest folding of the character that s begins with, of the given size. It is the fast path of appendFolded.
func appendLoose(dst []byte, s string, r rune) []byte {
	switch {
	case r < rune(len(latin)):
		return append(dst, latin[r]...)
	case r >= 0x4E00 && r <= 0x9FFF, r >= 0xAC00 && r <= 0xD7A3: // Han and Hangul have neither case nor accents
		return utf8.AppendRune(dst, r)
	}
	return appendDecomposed(dst, s, loosest)
}

// appendFolded appends a whole token as f sees it. Apostrophes, underscores, # and what cannot be seen are left out, as are
// the colour of skin and the gender of emoji.
func appendFolded(dst []byte, s string, f folding) []byte {
	for i, r := range s {
		switch {
		case r == '_', r == '#' && len(s) > 1, r == '＃':
		case classOf(r) == classApostrophe, classOf(r) == classIgnorable, isSkinTone(r), isGenderSign(r):
		case r < utf8.RuneSelf && (f.keepCase || r < 'A' || r > 'Z'):
			dst = append(dst, byte(r))
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r)+'a'-'A')
		case r == utf8.RuneError:
			dst = utf8.AppendRune(dst, r)
		default:
			dst = appendDecomposed(dst, s[i:], f)
		}
	}
	return dst
}

// appendDecomposed appends the character that s begins with.
func appendDecomposed(dst []byte, s string, f folding) []byte {
	properties := norm.NFKD.PropertiesString(s)
	decomposed := properties.Decomposition()
	if decomposed == nil {
		r, _ := utf8.DecodeRuneInString(s)
		return appendRune(dst, r, f)
	}
	for len(decomposed) > 0 {
		r, size := utf8.DecodeRune(decomposed)
		dst = appendRune(dst, r, f)
		decomposed = decomposed[size:]
	}
	return dst
}

func appendRune(dst []byte, r rune, f folding) []byte {
	if isAccent(r) {
		switch {
		case f.letters == Strict:
		case f.letters == Folded && r == tilde && len(dst) > 0 && (dst[len(dst)-1] == 'n' || dst[len(dst)-1] == 'N'):
		default:
			return dst
		}
		return utf8.AppendRune(dst, r)
	}
	if !f.keepCase {
		r = unicode.ToLower(r)
	}
	if single, ok := singles[r]; ok {
		return append(dst, single...)
	}
	return utf8.AppendRune(dst, r)
}

// isAccent tells the combining marks of Latin, Greek and Cyrillic. Those of other scripts make other letters: が is not か.
func isAccent(r rune) bool {
	return r >= 0x0300 && r <= 0x036F || r >= 0x1AB0 && r <= 0x1AFF || r >= 0x1DC0 && r <= 0x1DFF || r >= 0x20D0 && r <= 0x20F0
}

func isSkinTone(r rune) bool { return r >= 0x1F3FB && r <= 0x1F3FF }

// isGenderSign tells ♀ and ♂, which follow a joiner in an emoji.
func isGenderSign(r rune) bool { return r == '♀' || r == '♂' }
