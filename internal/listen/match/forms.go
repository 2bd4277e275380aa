package match

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Forms are written down when topics are compiled, not guessed when posts are read: whoever asks why a post was found, or
// was not, can read the list. They are few and regular. Some of them are no words, which nobody writes either. A word is given
// in its basic form: in the singular, masculine, as an infinitive.

// Languages of forms.
const (
	Spanish = "es"
	English = "en"
)

// appendForms appends the forms of a word besides itself. Capitals are kept where a form only adds letters.
func appendForms(forms []string, word string, kinds []Form, language string) []string {
	lower := strings.ToLower(word)
	if !inflects(lower) {
		return forms
	}
	var all []string
	if slices.Contains(kinds, Verb) {
		all = appendVerb(all, lower, language)
	}
	all = appendNoun(all, lower, kinds, language)
	for _, form := range all {
		if ending, ok := strings.CutPrefix(form, lower); ok && len(lower) == len(word) {
			form = word + ending
		}
		forms = append(forms, form)
	}
	return forms
}

func appendVerb(forms []string, verb, language string) []string {
	if language != English {
		forms = appendSpanishVerb(forms, verb)
	}
	if language != Spanish {
		forms = appendEnglishVerb(forms, verb)
	}
	return forms
}

// appendNoun appends the feminine, and the plurals of both.
func appendNoun(forms []string, noun string, kinds []Form, language string) []string {
	bases := []string{noun}
	if slices.Contains(kinds, Gender) && language != English {
		bases = appendSpanishGender(bases, noun)
		forms = append(forms, bases[1:]...)
	}
	if !slices.Contains(kinds, Plural) {
		return forms
	}
	if language != Spanish {
		forms = appendEnglishPlural(forms, noun)
	}
	if language != English {
		for _, base := range bases {
			forms = appendSpanishPlural(forms, base)
		}
	}
	return forms
}

// inflects tells whether a word is one of Latin letters alone: names with digits, apostrophes and emoji have no forms.
func inflects(lower string) bool {
	for _, r := range lower {
		if !unicode.IsLetter(r) || !unicode.In(r, unicode.Latin) {
			return false
		}
	}
	return utf8.RuneCountInString(lower) >= 2
}

// endsIn tells whether a word ends in one of these endings.
func endsIn(word string, endings ...string) bool {
	return slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(word, e) })
}

// replaceEnd is word with the end taken off and another put there.
func replaceEnd(word, end, with string) string { return strings.TrimSuffix(word, end) + with }

// plain takes the accent off the last syllable: camión, camiones.
func plain(s string) string { return accentsOff.Replace(s) }

var accentsOff = strings.NewReplacer("á", "a", "é", "e", "í", "i", "ó", "o", "ú", "u")
