package match

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// class is what a character is to the reader of words.
type class uint8

const (
	classOther      class = iota // separates words
	classSpace                   // separates words; two ends of lines end a sentence
	classWord                    // letters, digits and their marks
	classSingle                  // a word by itself, in scripts that put no spaces
	classEmoji                   //
	classIgnorable               // is not seen: soft hyphens, joiners, variation selectors
	classApostrophe              // belongs to a word between two letters
	classStop                    // ends a sentence when a space follows
	classBreak                   // ends a sentence
	classSymbol                  // & and +, which are words of names: H&M, Disney+
	classMention                 // may begin a mention
	classHash                    // may begin a hashtag
)

// plane holds the classes of the basic plane, because telling them from Unicode's tables takes many steps.
var plane [1 << 16]class

// prepare fills the tables. It takes some milliseconds, which only those who compile topics should pay.
var prepare = sync.OnceFunc(func() {
	for r := range rune(len(plane)) {
		plane[r] = classify(r)
	}
	for r := rune(0x80); r < rune(len(latin)); r++ {
		latin[r] = string(appendDecomposed(nil, string(r), loosest))
	}
})

func classOf(r rune) class {
	if r < rune(len(plane)) {
		return plane[r]
	}
	return classify(r)
}

// classAt is the class and the size of the character at i.
func classAt(s string, i int) (class, int) {
	if c := s[i]; c < utf8.RuneSelf {
		return plane[c], 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	if r == utf8.RuneError && size <= 1 {
		return classOther, 1
	}
	return classOf(r), size
}

var byCharacter = map[rune]class{
	'\'': classApostrophe, '’': classApostrophe, '‘': classApostrophe, 'ʼ': classApostrophe, '´': classApostrophe, '`': classApostrophe, '＇': classApostrophe,
	'.': classStop, '!': classStop, '?': classStop, ';': classStop, ':': classStop, '。': classBreak, '！': classBreak, '？': classBreak,
	'…': classBreak, '¿': classBreak, '¡': classBreak, '\u2028': classBreak, '\u2029': classBreak,
	'&': classSymbol, '+': classSymbol, '＆': classSymbol, '@': classMention, '＠': classMention, '#': classHash, '＃': classHash,
	'™': classOther, '℠': classOther, utf8.RuneError: classOther, '\u20E3': classIgnorable,
	'\u00AD': classIgnorable, '\u034F': classIgnorable, '\u200B': classIgnorable, '\u200C': classIgnorable, '\u200D': classIgnorable,
	'\u200E': classIgnorable, '\u200F': classIgnorable, '\u2060': classIgnorable, '\uFEFF': classIgnorable, '\uFE0E': classIgnorable, '\uFE0F': classIgnorable,
}

func classify(r rune) class {
	if c, ok := byCharacter[r]; ok {
		return c
	}
	switch {
	case unicode.IsSpace(r):
		return classSpace
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || r == 'ー':
		if unicode.IsMark(r) || unicode.IsLetter(r) {
			return classSingle
		}
	case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), becomesLetter(r):
		return classWord
	case isPictograph(r):
		return classEmoji
	}
	return classOther
}

// becomesLetter tells characters such as Ⓥ and ² of which NFKD makes a letter or a digit.
func becomesLetter(r rune) bool {
	if r < utf8.RuneSelf {
		return false
	}
	first, _ := utf8.DecodeRune(norm.NFKD.PropertiesString(string(r)).Decomposition())
	return first != utf8.RuneError && (unicode.IsLetter(first) || unicode.IsDigit(first))
}

func isPictograph(r rune) bool {
	switch {
	case r >= 0x1F000 && r <= 0x1FAFF, r >= 0x2600 && r <= 0x27BF, r >= 0x2300 && r <= 0x23FF, r >= 0x2B00 && r <= 0x2BFF:
		return true
	}
	return false
}

func isFlagLetter(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// letterCase tells capitals, small letters and digits apart, for hashtags in camel case.
func letterCase(r rune) byte {
	switch {
	case r >= 'a' && r <= 'z':
		return 'a'
	case r >= 'A' && r <= 'Z':
		return 'A'
	case r >= '0' && r <= '9':
		return '0'
	case r < utf8.RuneSelf:
		return 0
	case unicode.IsUpper(r):
		return 'A'
	case unicode.IsDigit(r):
		return '0'
	case unicode.IsMark(r):
		return 'm' // as the letter before it
	}
	return 'a'
}
