package learned

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// What a trial needs, and what a model has to show in it.
const (
	// Least is how many corrections there must be.
	Least = 200
	// LeastOfEach is how many of them say each label.
	LeastOfEach = 20
	// Most is how many corrections count: the newest.
	Most = 5000
	// MostOthers is how many posts that nobody corrected are looked at.
	MostOthers = 500
	// chance is how likely the gain may be chance.
	chance = 0.05
	// mostChanged is the share of posts that nobody corrected that a model may judge otherwise than the lexicon.
	mostChanged = 0.5
	// folds is into how many parts texts are divided. One is held back; the others choose the penalty.
	folds = 5
)

// penalties are those that are tried, on the corrections that are trained on.
var penalties = []float64{0.3, 1, 3, 10, 30}

// temperatures are those by which confidence is made honest, likewise.
var temperatures = []float64{0.7, 0.85, 1, 1.2, 1.5, 2, 3}

// Correction is what a person said of a post.
type Correction struct {
	// Key is the mention's. It says whether it is held back where its text has no words to say it by.
	Key   []byte
	Text  string
	Label sentiment.Label
}

// Trial is how a model did on the corrections that were held back.
type Trial struct {
	// Corrections is how many there were, HeldBack how many different texts of them were held back.
	Corrections, HeldBack int
	// F1Model and F1Lexicon are macro-F1 on what was held back, from 0 to 1; both are 0 where no model was tried.
	F1Model, F1Lexicon float64
	// P is how likely the gain is chance, by the worse of two tests.
	P float64
	// Changed is the share of posts that nobody corrected that the model judges otherwise than the lexicon.
	Changed float64
	// Refused says why the model is not to be used; "" for one that is.
	Refused string
}

// Try learns from the corrections of a language, the oldest first, and compares the lexicon with what was learned. others are posts that nobody
// corrected. The model is nil unless it is to be used. The same corrections give the same model. The error is the context's.
func Try(ctx context.Context, lexicon *sentiment.Lexicon, language string, corrections []Correction, others []string) (*Model, Trial, error) {
	if len(corrections) > Most {
		corrections = corrections[len(corrections)-Most:]
	}
	trial := Trial{Corrections: len(corrections), P: 1}
	if trial.Refused = tooFew(corrections); trial.Refused != "" {
		return nil, trial, nil
	}
	training, held := divide(lexicon, language, corrections)
	m, err := Train(ctx, lexicon, language, training)
	if err != nil {
		return nil, trial, err
	}
	outcomes := make([]outcome, len(held))
	for i, c := range held {
		e, lexicons := exampleOf(lexicon, language, c)
		outcomes[i] = outcome{people: e.label, lexicon: lexicons, model: best(m.scores(e.opinion, e.features))}
	}
	trial.HeldBack, trial.F1Model, trial.F1Lexicon = len(held), macroF1(outcomes, byModel), macroF1(outcomes, byLexicon)
	trial.P = max(bootstrap(outcomes), mcNemar(outcomes))
	trial.Changed = changed(lexicon, m, language, others)
	if trial.Refused = refusal(&trial, outcomes); trial.Refused != "" {
		return nil, trial, nil
	}
	return m, trial, nil
}

// divide holds back a fifth of the texts: whoever says the same says it on one side alone, or a model would be praised for what it has learned by
// heart. What is held back counts once for a text, as it was corrected last: copies are no more evidence.
func divide(lexicon *sentiment.Lexicon, language string, corrections []Correction) (training, held []Correction) {
	seen := map[string]bool{}
	for _, c := range slices.Backward(corrections) {
		text := sameText(lexicon, language, c)
		switch {
		case foldOf(text) != 0:
			training = append(training, c)
		case !seen[text]:
			seen[text] = true
			held = append(held, c)
		}
	}
	slices.Reverse(training)
	slices.Reverse(held)
	return training, held
}

// sameText is what two posts have in common that say the same: their words and signs, without accounts, links, numbers and how they are written.
func sameText(lexicon *sentiment.Lexicon, language string, c Correction) string {
	var said strings.Builder
	for _, t := range lexicon.Tokens(c.Text, language, mostTokens) {
		word := t.Text
		if !t.Sign {
			if word = plain(word); number(word) {
				continue
			}
		}
		said.WriteString(word)
		said.WriteByte(' ')
	}
	if said.Len() == 0 {
		return string(c.Key)
	}
	return said.String()
}

// Train learns from corrections whatever becomes of it: nobody knows how good the model is.
func Train(ctx context.Context, lexicon *sentiment.Lexicon, language string, corrections []Correction) (*Model, error) {
	examples := make([]example, len(corrections))
	for i, c := range corrections {
		examples[i], _ = exampleOf(lexicon, language, c)
	}
	m, err := train(ctx, examples)
	if err != nil {
		return nil, fmt.Errorf("learn from corrections: %w", err)
	}
	return m, nil
}

// exampleOf is a correction as it is learned from, and the label that the lexicon gives it.
func exampleOf(lexicon *sentiment.Lexicon, language string, c Correction) (e example, label int) {
	v := lexicon.Of(sentiment.Post{Text: c.Text, Language: language})
	return example{
		opinion: opinionOf(v), features: features(lexicon, c.Text, language), label: indexOf(c.Label), fold: foldOf(sameText(lexicon, language, c)),
	}, indexOf(v.Label)
}

// tooFew says what is missing of what a trial needs.
func tooFew(corrections []Correction) string {
	if len(corrections) < Least {
		return fmt.Sprintf("%d corrections are too few: %d are needed", len(corrections), Least)
	}
	for _, label := range sentiment.Labels() {
		n := 0
		for _, c := range corrections {
			if c.Label == label {
				n++
			}
		}
		if n < LeastOfEach {
			return fmt.Sprintf("%d corrections say %s: %d are needed of each label", n, label, LeastOfEach)
		}
	}
	return ""
}

// refusal says why a model is not to be used.
func refusal(t *Trial, outcomes []outcome) string {
	switch {
	case !(t.F1Model > t.F1Lexicon):
		return "it does not beat the lexicon on what was held back"
	case !(t.P < chance):
		return "its gain over the lexicon may be chance"
	case gain(outcomes[len(outcomes)/2:]) < 0:
		return "the lexicon is better on the newer half of what was held back"
	case t.Changed > mostChanged:
		return "it judges most posts that nobody corrected otherwise than the lexicon"
	}
	return ""
}

// changed is the share of posts that a model judges otherwise than the lexicon.
func changed(lexicon *sentiment.Lexicon, m *Model, language string, posts []string) float64 {
	posts = posts[:min(len(posts), MostOthers)]
	n := 0
	for _, text := range posts {
		v := lexicon.Of(sentiment.Post{Text: text, Language: language})
		if best(m.scores(opinionOf(v), features(lexicon, text, language))) != indexOf(v.Label) {
			n++
		}
	}
	return float64(n) / float64(max(len(posts), 1))
}

func indexOf(label sentiment.Label) int { return max(0, slices.Index(sentiment.Labels(), label)) }

// foldOf is the part that a text belongs to, for ever: the first one is held back.
func foldOf(text string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return int((h.Sum64() >> 20) % folds)
}

// train chooses a penalty and a temperature by cross-validation, and learns from all examples with them.
func train(ctx context.Context, examples []example) (*Model, error) {
	lowest, penalty, temperature := math.Inf(1), 0.0, 1.0
	for _, p := range penalties {
		scores, err := crossValidate(ctx, examples, p)
		if err != nil {
			return nil, err
		}
		for _, t := range temperatures {
			if loss := lossOf(examples, scores, t); loss < lowest {
				lowest, penalty, temperature = loss, p, t
			}
		}
	}
	f, err := learn(ctx, examples, penalty)
	if err != nil {
		return nil, err
	}
	return pack(f, temperature), nil
}

// crossValidate is what fits say of examples that have seen nobody say the same.
func crossValidate(ctx context.Context, examples []example, penalty float64) ([][labels]float64, error) {
	scores := make([][labels]float64, len(examples))
	for fold := range folds {
		seen := make([]example, 0, len(examples))
		for i := range examples {
			if examples[i].fold != fold {
				seen = append(seen, examples[i])
			}
		}
		if len(seen) == len(examples) {
			continue // what is held back from the trial
		}
		f, err := learn(ctx, seen, penalty)
		if err != nil {
			return nil, err
		}
		for i := range examples {
			if examples[i].fold == fold {
				scores[i] = f.scores(&examples[i])
			}
		}
	}
	return scores, nil
}

// lossOf is how surprised one is by what people said who believes in scores.
func lossOf(examples []example, scores [][labels]float64, temperature float64) float64 {
	loss := 0.0
	for i := range examples {
		s := scores[i]
		for label := range s {
			s[label] /= temperature
		}
		loss -= math.Log(max(likely(s)[examples[i].label], 1e-12))
	}
	return loss
}
