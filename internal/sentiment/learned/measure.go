package learned

import (
	"math"
	"math/rand/v2"
)

// outcome is what people, the lexicon and a model say of one post.
type outcome struct {
	people, lexicon, model int
}

// macroF1 is the mean of the labels' F1, from 0 to 1. A label that nobody gave and nobody said counts as none.
func macroF1(outcomes []outcome, said func(outcome) int) float64 {
	var right, given, answered [labels]int
	for _, o := range outcomes {
		s := said(o)
		given[o.people]++
		answered[s]++
		if s == o.people {
			right[s]++
		}
	}
	sum := 0.0
	for label := range labels {
		if all := given[label] + answered[label]; all > 0 {
			sum += 2 * float64(right[label]) / float64(all)
		}
	}
	return sum / labels
}

func byLexicon(o outcome) int { return o.lexicon }
func byModel(o outcome) int   { return o.model }

// gain is by how much the model's macro-F1 exceeds the lexicon's.
func gain(outcomes []outcome) float64 {
	return macroF1(outcomes, byModel) - macroF1(outcomes, byLexicon)
}

// resamples is how often the bootstrap draws.
const resamples = 4000

// bootstrap is how likely it is that the gain is chance: in what share of samples that are drawn from the outcomes there is none.
func bootstrap(outcomes []outcome) float64 {
	if len(outcomes) == 0 {
		return 1
	}
	random := rand.New(rand.NewPCG(seed, uint64(len(outcomes)))) //nolint:gosec // samples, and no secret
	sample := make([]outcome, len(outcomes))
	without := 1
	for range resamples {
		for i := range sample {
			sample[i] = outcomes[random.IntN(len(outcomes))]
		}
		if gain(sample) <= 0 {
			without++
		}
	}
	return float64(without) / (resamples + 1)
}

// mcNemar is how likely it is that one who is right no more often than the other is alone right so often: exact, and one-sided.
func mcNemar(outcomes []outcome) float64 {
	model, lexicon := 0, 0 // alone right
	for _, o := range outcomes {
		switch {
		case o.model == o.people && o.lexicon != o.people:
			model++
		case o.model != o.people && o.lexicon == o.people:
			lexicon++
		}
	}
	n := model + lexicon
	p := 0.0
	for k := model; k <= n; k++ {
		p += math.Exp(logChoose(n, k) - float64(n)*math.Ln2)
	}
	return min(p, 1)
}

func logChoose(n, k int) float64 {
	all, _ := math.Lgamma(float64(n + 1))
	some, _ := math.Lgamma(float64(k + 1))
	others, _ := math.Lgamma(float64(n - k + 1))
	return all - some - others
}
