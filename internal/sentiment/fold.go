package sentiment

import (
	"strings"
	"unicode"
)

// fold writes a word as words are compared: lower case, without accents and apostrophes. The ñ stays, because "año" is
// no "ano".
func fold(word string) string {
	var out strings.Builder
	for _, r := range word {
		writeFolded(&out, r)
	}
	return out.String()
}

// accents are the letters of western Europe's languages without theirs. "ß" and "æ" become two.
var accents = map[rune]string{
	'á': "a", 'à': "a", 'â': "a", 'ä': "a", 'ã': "a", 'å': "a", 'é': "e", 'è': "e", 'ê': "e", 'ë': "e", 'í': "i", 'ì': "i", 'î': "i", 'ï': "i",
	'ó': "o", 'ò': "o", 'ô': "o", 'ö': "o", 'õ': "o", 'ø': "o", 'ú': "u", 'ù': "u", 'û': "u", 'ü': "u", 'ç': "c", 'ý': "y", 'ß': "ss", 'æ': "ae",
}

const tilde = "\u0303" // as a character of its own, behind an n

// writeFolded appends one character of a word. Accents that are characters of their own are dropped.
func writeFolded(out *strings.Builder, r rune) {
	switch {
	case r < 0x80:
		if isApostrophe(r) {
			return
		}
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		out.WriteByte(byte(r))
	case isApostrophe(r), unicode.Is(unicode.Mn, r):
	default:
		r = unicode.ToLower(r)
		if plain, accented := accents[r]; accented {
			out.WriteString(plain)
			return
		}
		out.WriteRune(r)
	}
}

func isApostrophe(r rune) bool { return r == '\'' || r == '’' || r == '´' || r == 'ʼ' }
