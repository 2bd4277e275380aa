// Package learned judges posts by what a tenant's people said of how posts were judged. It begins with what the lexicon says, and adds weights
// that were learned for words, pairs of words, negated words and emoji. A model is used only where it beats the lexicon on corrections that it
// was not trained on (Try). What it holds are weights by hashes; the words that decided come from the post that is judged.
package learned

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// Name is how verdicts name this engine. Those in languages without a model bear the lexicon's name.
const Name = "learned"

// Engine judges by models, and in languages that have none by the lexicon. It does not change, and is safe to use from several goroutines.
type Engine struct {
	lexicon *sentiment.Lexicon
	models  map[string]*Model
}

var _ sentiment.Engine = (*Engine)(nil)

// New makes an engine of models by language.
func New(lexicon *sentiment.Lexicon, models map[string]*Model) *Engine {
	return &Engine{lexicon: lexicon, models: models}
}

// Judge judges posts one after the other. It fails only when the context ends.
func (e *Engine) Judge(ctx context.Context, posts []sentiment.Post) ([]sentiment.Verdict, error) {
	verdicts := make([]sentiment.Verdict, len(posts))
	for i, post := range posts {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("judge posts: %w", err)
		}
		verdicts[i] = e.Of(post)
	}
	return verdicts, nil
}

// Of judges one post.
func (e *Engine) Of(post sentiment.Post) sentiment.Verdict {
	v := e.lexicon.Of(post)
	m := e.models[v.Language]
	if m == nil {
		return v
	}
	found := features(e.lexicon, post.Text, v.Language)
	p := likely(m.scores(opinionOf(v), found))
	label := best(p)
	v.Words = m.words(v.Words, found)
	v.Label, v.Polarity, v.Confidence, v.Engine = sentiment.Labels()[label], polarityOf(p, label), p[label], Name
	return v
}

// leastPolarity is the least polarity of what is not neutral, as the lexicon has it.
const leastPolarity = 0.25

// polarityOf is how much more likely good is than bad, within what the label allows.
func polarityOf(p [labels]float64, label int) float64 {
	polarity := p[2] - p[0]
	switch sentiment.Labels()[label] {
	case sentiment.Positive:
		return min(max(polarity, leastPolarity), 1)
	case sentiment.Negative:
		return max(min(polarity, -leastPolarity), -1)
	case sentiment.Neutral:
	}
	const most = leastPolarity - 0.01
	return min(max(polarity, -most), most)
}

const (
	// mostWords is how many words a verdict names, and leastWeight what one must weigh.
	mostWords, leastWeight = 8, 0.1
)

// words are what decided: the lexicon's words, and what was learned of those of the post.
func (m *Model) words(lexicon []sentiment.Word, found []feature) []sentiment.Word {
	words := slices.Clone(lexicon)
	for _, f := range found {
		w := m.of(f.bucket)
		weight := f.value * (w[2] - w[0])
		if neutral := f.value * (w[1] - max(w[0], w[2])); neutral > math.Abs(weight) {
			if neutral >= leastWeight {
				words = append(words, sentiment.Word{Text: f.text, Because: []string{fmt.Sprintf("learned: neutral by %.2f", neutral)}})
			}
			continue
		}
		if math.Abs(weight) >= leastWeight {
			words = append(words, sentiment.Word{Text: f.text, Weight: math.Round(weight*100) / 100, Because: []string{"learned"}})
		}
	}
	slices.SortStableFunc(words, func(a, b sentiment.Word) int { return cmp.Compare(math.Abs(b.Weight), math.Abs(a.Weight)) })
	return words[:min(len(words), mostWords)]
}
