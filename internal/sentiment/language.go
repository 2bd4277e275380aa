package sentiment

import (
	"fmt"
	"strings"
)

// Languages with words of their own here, and the code of what was not found out.
const (
	Spanish = "es"
	English = "en"
	Unknown = "und" // as BCP 47 says "undetermined"
)

// LanguageOf is the language of a tag: "es-MX" is "es". A tag that says nothing is Unknown.
func LanguageOf(tag string) string {
	primary, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(tag), "_", "-"), "-")
	primary = strings.ToLower(primary)
	switch primary {
	case "spa":
		return Spanish
	case "eng":
		return English
	}
	if len(primary) < 2 || len(primary) > 3 || strings.Trim(primary, "abcdefghijklmnopqrstuvwxyz") != "" ||
		primary == Unknown || primary == "zxx" || primary == "mul" || primary == "mis" {
		return Unknown
	}
	return primary
}

// identifier tells languages apart by their function words, by a few letters and by endings. It is small on purpose: it
// separates Spanish and English from each other and from what is often mistaken for them, and says Unknown otherwise.
type identifier struct {
	languages []string
	words     map[string][]clue
	endings   map[string][]clue
}

// A clue is what a word says for a language.
type clue struct {
	language int
	weight   float64
}

// How sure the identifier wants to be.
const (
	enoughClues  = 1.0  // two words that few languages share
	enoughLead   = 1.25 // times what speaks for the next language
	enoughShare  = 0.08 // of the words
	letterWeight = 0.8  // of a letter or a mark that one language has
	endingWeight = 0.35 // of a word
	readTokens   = 200  // no more of a post is read
	shortest     = 3    // words; with fewer nobody can tell
)

// ownLetters are letters and marks that one of the languages has, and none of the others.
var ownLetters = map[string]string{"es": "ñÑ¿¡", "pt": "ãÃõÕ", "de": "ßÄäÖ", "fr": "œêû", "it": "ìÌ"}

// readBytes is how much of a post is searched for them.
const readBytes = 2000

func loadIdentifier() (*identifier, error) {
	const name = "languages.txt"
	lines, err := readSections(name)
	if err != nil {
		return nil, err
	}
	id := &identifier{words: map[string][]clue{}, endings: map[string][]clue{}}
	of := map[string][]int{}
	for _, l := range lines {
		n := len(id.languages)
		if n == 0 || id.languages[n-1] != l.section {
			id.languages = append(id.languages, l.section)
			n++
		}
		if fold(l.pattern) != l.pattern {
			return nil, fmt.Errorf("%s:%d: %q is not written as words are compared, which is %q", name, l.number, l.pattern, fold(l.pattern))
		}
		of[l.pattern] = append(of[l.pattern], n-1)
	}
	for word, languages := range of {
		for _, language := range languages {
			// A word that several languages have says less for each.
			c := clue{language: language, weight: 1 / float64(len(languages))}
			if ending, is := strings.CutPrefix(word, "-"); is {
				c.weight *= endingWeight
				id.endings[ending] = append(id.endings[ending], c)
				continue
			}
			id.words[word] = append(id.words[word], c)
		}
	}
	return id, nil
}

// readSections reads a file in which each line holds any number of patterns of a section.
func readSections(name string) ([]line, error) {
	text, err := words.ReadFile("words/" + name)
	if err != nil {
		return nil, fmt.Errorf("read the words: %w", err)
	}
	var lines []line
	section := ""
	for i, raw := range strings.Split(string(text), "\n") {
		switch {
		case raw == "" || strings.HasPrefix(raw, "#"):
		case strings.HasPrefix(raw, "["):
			section = strings.Trim(raw, "[]")
		default:
			for _, word := range strings.Fields(raw) {
				lines = append(lines, line{number: i + 1, section: section, pattern: word})
			}
		}
	}
	return lines, nil
}

// of tells the language of a text's words, or Unknown.
func (id *identifier) of(text scanned, raw string) string {
	scores, read := id.scores(text.tokens)
	if read < shortest {
		return Unknown
	}
	for i, language := range id.languages {
		if letters := ownLetters[language]; letters != "" && strings.ContainsAny(raw[:min(len(raw), readBytes)], letters) {
			scores[i] += letterWeight
		}
	}
	best, second := -1, -1
	for i, s := range scores {
		switch {
		case best < 0 || s > scores[best]:
			best, second = i, best
		case second < 0 || s > scores[second]:
			second = i
		}
	}
	if scores[best] < enoughClues || scores[best] < enoughLead*scores[second] || scores[best] < enoughShare*float64(read) {
		return Unknown
	}
	return id.languages[best]
}

// scores is what the words say for each language, and how many were read.
func (id *identifier) scores(tokens []token) (scores []float64, read int) {
	scores = make([]float64, len(id.languages))
	for i := range tokens {
		t := &tokens[i]
		if t.sign != nil || t.tagged {
			continue
		}
		if read == readTokens {
			break
		}
		read++
		for _, c := range id.words[t.text] {
			scores[c.language] += c.weight
		}
		for n := 2; n <= 5 && n+2 < len(t.text); n++ {
			for _, c := range id.endings[t.text[len(t.text)-n:]] {
				scores[c.language] += c.weight
			}
		}
	}
	return scores, read
}

// Identify tells the language of a text: its code, or Unknown where the text does not say. Texts of few words rarely do.
func (l *Lexicon) Identify(text string) string {
	return l.identifier.of(scan(text, l.signs), text)
}
