package sentiment

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
)

// LexiconName is how verdicts name the engine that is built in.
const LexiconName = "lexicon"

// Lexicon judges posts by lists of words and by rules. It knows Spanish and English; of other languages it reads the
// signs that all share. It is safe to use from several goroutines.
type Lexicon struct {
	signs        *signs
	vocabularies map[string]*vocabulary
	identifier   *identifier
}

var _ Engine = (*Lexicon)(nil)

// NewLexicon reads the lists that are built in. An error names the file and the line that is wrong.
func NewLexicon() (*Lexicon, error) {
	signs, err := loadSigns()
	if err != nil {
		return nil, err
	}
	identifier, err := loadIdentifier()
	if err != nil {
		return nil, err
	}
	l := &Lexicon{signs: signs, identifier: identifier, vocabularies: map[string]*vocabulary{}}
	for language, classes := range map[string]map[string]class{Spanish: spanishClasses, English: englishClasses} {
		if l.vocabularies[language], err = loadVocabulary(language, classes); err != nil {
			return nil, fmt.Errorf("make the words of %q ready: %w", language, err)
		}
	}
	return l, nil
}

// Judge judges posts one after the other. It fails only when the context ends.
func (l *Lexicon) Judge(ctx context.Context, posts []Post) ([]Verdict, error) {
	verdicts := make([]Verdict, len(posts))
	for i, post := range posts {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("judge posts: %w", err)
		}
		verdicts[i] = l.Of(post)
	}
	return verdicts, nil
}

// Of judges one post. The time it takes grows with the text up to MaxText, and with nothing else.
func (l *Lexicon) Of(post Post) Verdict {
	text := scan(post.Text, l.signs)
	language := LanguageOf(post.Language)
	if language == Unknown {
		language = l.identifier.of(text, post.Text)
	}
	weighed := l.weigh(text, language)
	v := weighed.verdict()
	v.Language, v.Engine, v.Cut = language, LexiconName, len(post.Text) > MaxText
	if l.vocabularies[language] == nil {
		v.Confidence *= unsure
	}
	return v
}

// unsure is what is left of the confidence in a verdict on a language that was not found out, or that has no words here.
const unsure = 0.6

// weigh judges by the words of the language. Where the language is unknown, the one that finds more decides.
func (l *Lexicon) weigh(text scanned, language string) weighing {
	if v := l.vocabularies[language]; v != nil {
		return weigh(text, v)
	}
	if language != Unknown {
		return weigh(text, &vocabulary{})
	}
	spanish, english := weigh(text, l.vocabularies[Spanish]), weigh(text, l.vocabularies[English])
	if spanish.heard() >= english.heard() {
		return spanish
	}
	return english
}

// most is how many words a verdict names.
const most = 8

// verdict sums up what was weighed.
func (w *weighing) verdict() Verdict {
	up, down := 0.0, 0.0
	for i := range w.items {
		if x := w.items[i].weight; x > 0 {
			up += x
		} else {
			down -= x
		}
	}
	sum := up - down
	v := Verdict{Polarity: bounded(sum/(math.Abs(sum)+halfway), -1, 1), Ironic: w.ironic}
	v.Label = LabelOf(v.Polarity)
	v.Confidence = confidence(v.Label, up, down, w.ironic)
	v.Words = w.deciding()
	return v
}

// halfway is the sum of weights that makes a polarity of one half: one plain word, such as "good".
const halfway = 2

// deciding names the words that weighed most.
func (w *weighing) deciding() []Word {
	var found []*item
	for i := range w.items {
		if math.Abs(w.items[i].weight) >= 0.05 {
			found = append(found, &w.items[i])
		}
	}
	slices.SortStableFunc(found, func(a, b *item) int { return cmp.Compare(math.Abs(b.weight), math.Abs(a.weight)) })
	var words []Word
	for _, it := range found[:min(len(found), most)] {
		words = append(words, Word{Text: w.textOf(it), Weight: math.Round(it.weight*100) / 100, Because: it.because})
	}
	return words
}

// textOf is what stands in the text where an item was found.
func (w *weighing) textOf(it *item) string {
	if it.first == it.last {
		return w.text.tokens[it.first].text
	}
	var parts []string
	for _, t := range w.text.tokens[it.first : it.last+1] {
		parts = append(parts, t.text)
	}
	return strings.Join(parts, " ")
}

// confidence is about how often such a verdict is right: it grows with what speaks for the label, and falls with what
// speaks against it. The numbers were set by looking at labelled posts; `make eval` shows how well they hold.
func confidence(label Label, up, down float64, ironic bool) float64 {
	total := up + down
	c := 0.58 // nothing speaks either way
	switch {
	case total == 0:
	case label == Neutral:
		c = 0.25 + 0.3/(1+total)
	default:
		agreement := math.Abs(up-down) / total
		c = 0.2 + 0.8*(0.25+0.75*agreement)*total/(total+1.8)
	}
	if ironic {
		c *= 0.75
	}
	return bounded(c, 0, 1)
}
