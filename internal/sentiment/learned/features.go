package learned

import (
	"hash/fnv"
	"math"
	"strings"
	"unicode"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

const (
	// buckets is how many weights a label has. Words that share a bucket share its weight.
	buckets = 1 << 15
	// mostTokens is how much of a post is looked at: more than any network's posts have, and less than a book.
	mostTokens = 400
	// reach is how many words behind a negation are marked as negated, within its clause.
	reach = 4
	// mostEmoji is how many emoji of a post count.
	mostEmoji = 32
	// fullVoice is the root of how many features a post has at most that count in full. A long post says little more than a short one.
	fullVoice = 3
	// stemLetters is how much of a longer word stands for all its forms.
	stemLetters = 5
)

// A feature is something of a post that a weight may be learned for.
type feature struct {
	bucket uint32
	value  float64 // how much it counts
	text   string  // as it is told to people
}

// The kinds of features. A word, a pair and an emoji of the same letters are different.
const (
	wordKind    = 'w'
	pairKind    = 'p'
	negatedKind = 'n'
	emojiKind   = 'e'
	stemKind    = 's'
)

// features are what is in a text, each once, in the order of the text.
func features(l *sentiment.Lexicon, text, language string) []feature {
	c := collector{seen: map[uint32]bool{}}
	tokens := l.Tokens(text, language, mostTokens)
	negated, clause, before := 0, -1, ""
	for i := range tokens {
		t := &tokens[i]
		if t.Clause != clause {
			negated, clause, before = 0, t.Clause, ""
		}
		if t.Sign {
			if t.Text < "\x80" { // other signs are emoji, which are all collected below
				c.add(emojiKind, t.Text)
			}
			continue
		}
		word := plain(t.Text)
		if number(word) {
			before = ""
			continue
		}
		c.add(wordKind, word)
		if stem := stemOf(word); stem != "" {
			c.add(stemKind, stem)
		}
		if before != "" {
			c.add(pairKind, before+" "+word)
		}
		if negated > 0 {
			c.add(negatedKind, word)
			negated--
		}
		if t.Negation {
			negated = reach
		}
		before = word
	}
	c.emoji(text)
	each := voice(len(c.found))
	for i := range c.found {
		c.found[i].value = each
	}
	return c.found
}

type collector struct {
	seen  map[uint32]bool
	found []feature
}

func (c *collector) add(kind byte, text string) {
	h := fnv.New32a()
	_, _ = h.Write([]byte{kind})
	_, _ = h.Write([]byte(text))
	sum := h.Sum32()
	bucket := (sum>>15 ^ sum) % buckets
	if c.seen[bucket] {
		return
	}
	c.seen[bucket] = true
	switch kind {
	case negatedKind:
		text = "not " + text
	case stemKind:
		text += "…"
	}
	c.found = append(c.found, feature{bucket, 1, text})
}

// emoji collects those of a text, also those that no list knows: what a house means by one is what it learns.
func (c *collector) emoji(text string) {
	text = text[:min(len(text), sentiment.MaxText)]
	left := mostEmoji
	for _, r := range text {
		if r >= 0x2190 && r != unicode.ReplacementChar && unicode.Is(unicode.So, r) {
			c.add(emojiKind, string(r))
			if left--; left == 0 {
				return
			}
		}
	}
}

// plain is a word with letters that are drawn out written once.
func plain(word string) string {
	runes := []rune(word)
	var out strings.Builder
	drawn := false
	for i := 0; i < len(runes); {
		end := i + 1
		for end < len(runes) && runes[end] == runes[i] {
			end++
		}
		times := end - i
		if times >= 3 {
			times, drawn = 1, true
		}
		for range times {
			out.WriteRune(runes[i])
		}
		i = end
	}
	if !drawn {
		return word
	}
	return out.String()
}

// stemOf is the beginning of a word that may have other endings; "" of a short one.
func stemOf(word string) string {
	letters := 0
	for at := range word {
		if letters == stemLetters {
			return word[:at]
		}
		letters++
	}
	return ""
}

// number tells whether a word says an amount, a time or an order: each has its own, and nothing can be learned of it.
func number(word string) bool {
	return word == "" || strings.ContainsFunc(word, unicode.IsDigit)
}

// voice is how much each of so many features of a post counts.
func voice(features int) float64 {
	return min(1, fullVoice/math.Sqrt(math.Max(1, float64(features))))
}
