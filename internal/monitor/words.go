package monitor

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of what terms are taken from.
const (
	maxTermText  = 4 << 10 // bytes of a text
	maxTermWord  = 30      // letters
	leastTerm    = 3       // letters
	leastTagName = 4       // letters of a name that a hashtag must not hold
)

// termsOf are the terms of a text: its words, two of them in a row within a sentence, and its hashtags.
func termsOf(text string, people map[string]bool, spelled spellings) []string {
	if len(text) > maxTermText {
		text = strings.ToValidUTF8(text[:maxTermText], "")
	}
	r := termReader{people: people, spelled: spelled, shouted: isShouted(text), begins: true}
	for _, piece := range strings.Fields(text) {
		switch {
		case strings.ContainsAny(piece, "@＠") || isAddress(piece):
			r.before = ""
		case strings.HasPrefix(strings.TrimLeft(piece, "([¡¿\"'«“"), "#"):
			if tag := tagOf(piece, people); tag != "" {
				r.terms = append(r.terms, tag)
			}
			r.before, r.begins = "", false
		default:
			r.read(piece)
		}
	}
	return r.terms
}

// termReader reads the words of a text.
type termReader struct {
	people  map[string]bool
	spelled spellings
	shouted bool
	begins  bool   // the next word begins a sentence
	before  string // the term before, in the same sentence; "" where there is none
	terms   []string
}

// read reads what stands between two spaces.
func (r *termReader) read(piece string) {
	for piece != "" {
		from := strings.IndexFunc(piece, isWordRune)
		if from < 0 {
			from = len(piece)
		}
		if strings.ContainsAny(piece[:from], ".!?…¿¡:;()[]\"«»“”—") {
			r.before = ""
			r.begins = r.begins || strings.ContainsAny(piece[:from], ".!?…¿¡:\"«“")
		}
		piece = piece[from:]
		to := strings.IndexFunc(piece, func(c rune) bool { return !isWordRune(c) })
		if to < 0 {
			to = len(piece)
		}
		if to > 0 {
			r.word(piece[:to])
		}
		piece = piece[to:]
	}
}

func (r *termReader) word(written string) {
	word := foldWord(written)
	if !isTerm(word) || r.people[word] {
		r.before, r.begins = "", false
		return
	}
	if !r.shouted {
		r.spelled.note(word, r.begins, isCapital(written), isLower(written))
	}
	r.terms = append(r.terms, word)
	if r.before != "" {
		r.terms = append(r.terms, r.before+" "+word)
	}
	r.before, r.begins = word, false
}

// tagOf is a hashtag as a term; "" for one that holds a name.
func tagOf(piece string, people map[string]bool) string {
	_, tag, _ := strings.Cut(piece, "#")
	if end := strings.IndexFunc(tag, func(r rune) bool { return !isWordRune(r) && r != '_' }); end >= 0 {
		tag = tag[:end]
	}
	tag = foldWord(strings.ReplaceAll(tag, "_", ""))
	if n := utf8.RuneCountInString(tag); n < leastTerm || n > maxTermWord {
		return ""
	}
	for name := range people {
		if name == tag || utf8.RuneCountInString(name) >= leastTagName && strings.Contains(tag, name) {
			return ""
		}
	}
	return "#" + tag
}

// isAddress tells links, also those without a scheme.
func isAddress(piece string) bool {
	if strings.Contains(piece, "://") || strings.HasPrefix(strings.ToLower(piece), "www.") {
		return true
	}
	host, _, path := strings.Cut(piece, "/")
	dot := strings.LastIndexByte(host, '.')
	return dot > 0 && dot < len(host)-2 && isPlainWord(host[dot+1:]) && (path || isLower(host[dot+1:]))
}

func isPlainWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 'A' || r > 'z' || r > 'Z' && r < 'a' })
}

// isTerm tells whether a folded word can be a term.
func isTerm(word string) bool {
	n := utf8.RuneCountInString(word)
	return n >= leastTerm && n <= maxTermWord && !stopWords[word] && strings.ContainsFunc(word, unicode.IsLetter) && !laughs(word)
}

// laughs tells "jajaja" and "hahaha".
func laughs(word string) bool {
	return strings.Trim(word, "aj") == "" || strings.Trim(word, "ha") == "" || strings.Trim(word, "ej") == ""
}

func isWordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) || isApostrophe(r)
}

func isApostrophe(r rune) bool { return r == '\'' || r == '’' || r == 'ʼ' }

// isShouted tells a text that is in capitals for the most part: it says nothing of how its words are spelled.
func isShouted(text string) bool {
	upper, lower := 0, 0
	for _, r := range text {
		switch {
		case unicode.IsUpper(r):
			upper++
		case unicode.IsLower(r):
			lower++
		}
	}
	return upper > lower
}

// isCapital tells a word whose first letter alone is a capital.
func isCapital(word string) bool {
	first, size := utf8.DecodeRuneInString(word)
	return unicode.IsUpper(first) && strings.ContainsFunc(word[size:], unicode.IsLower)
}

func isLower(word string) bool { return word != "" && !strings.ContainsFunc(word, unicode.IsUpper) }

// foldWord writes a word in lower case without accents and apostrophes. The ñ stays: año is not ano.
func foldWord(word string) string {
	if len(word) > 8*maxTermWord {
		return "" // no word
	}
	plain := true
	for i := range len(word) {
		plain = plain && (word[i] >= 'a' && word[i] <= 'z')
	}
	if plain {
		return word
	}
	var folded []rune
	for _, r := range norm.NFKD.String(word) {
		switch {
		case r == '\u0303' && len(folded) > 0 && folded[len(folded)-1] == 'n':
			folded[len(folded)-1] = 'ñ'
		case unicode.Is(unicode.Mn, r) || isApostrophe(r):
		default:
			folded = append(folded, unicode.ToLower(r))
		}
	}
	return string(folded)
}

// stopWords say nothing by themselves, in Spanish and in English, as foldWord writes them.
var stopWords = func() map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(spanishStopWords + englishStopWords) {
		words[foldWord(word)] = true
	}
	return words
}()

const spanishStopWords = `
	a acá ahí ahora al algo alguien algún alguna algunas alguno algunos allá allí ante antes aquel aquella aquellas aquello aquellos aquí así aun aún aunque
	bajo bastante bien cada casi como cómo con conmigo contigo contra cosa cosas creo cual cuál cuales cuáles cualquier cuando cuándo cuanto
	da dan dar de debe deben decir del demás desde después dice dicen dicho dijo donde dónde dos durante e el él ella ellas ello ellos en entonces entre
	era eran eres es esa esas ese eso esos esta está ésta estaba estado están estar estas estás este éste esto estos estoy fue fueron ha había habían
	hace hacen hacer hacia hago han hasta hay haya he hemos hizo hoy incluso ir la las le les lo los luego más mal mas me mejor menos mi mí mientras
	mío mis misma mismo mismos mucha muchas mucho muchos muy nada nadie ni ningún ninguna ninguno no nos nosotros nuestra nuestro nuestros nunca o os
	otra otras otro otros para parece pero poco poder por porque pregunto pude puede pueden puedo pues que qué quien quién quienes quiere quiero
	se sea sean según ser si sí sido siempre siendo sigue sin sino sobre sois solo sólo somos son soy su sus tal también tampoco tan tanto te tener
	tengo ti tiene tienen toda todas todavía todo todos tras tu tú tus tuve tuvo un una unas uno unos usted ustedes va vamos van vaya ve veces ver vez
	vosotros voy vuestra vuestro y ya yo ayer mañana día días año años gracias hola vos che pa q xq pq x d k ke tmb hecho hacía tenía dijeron verdad
`

const englishStopWords = `
	a about above after again against all almost also although always am an and another any anyone anything are aren't around as at back be because been
	before being below between both but by can can't cannot could couldn't did didn't do does doesn't doing don't done down during each else even ever every
	everyone everything few for from further get gets getting go goes going gone gonna got had hadn't has hasn't have haven't having he her here hers herself
	him himself his how however i i'd i'll i'm i've if im in into is isn't it it's its itself just know let let's like lot made make many may maybe me might
	more most much must my myself need never no nobody none nor not nothing now of off ok on once one only or other others our ours ourselves out over own
	people please put really said same say says see seen she should shouldn't since so some someone something still such take than thank thanks that that's
	the their theirs them themselves then there there's these they they're thing things think this those though through to today told too two under until up
	upon us use used very want wants was wasn't way we we're we've well went were weren't what what's when where whether which while who whom whose why will
	with within without won't would wouldn't yes yesterday yet you you're you've your yours yourself dont didnt cant wont isnt doesnt youre ive
`
