package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// UsualLabels are the labels of widely used models of sentiment, in lower case, with their polarities: three classes by name
// or by number, and one to five stars.
func UsualLabels() map[string]float64 {
	return map[string]float64{
		"negative": -1, "neutral": 0, "positive": 1, "neg": -1, "neu": 0, "pos": 1, "label_0": -1, "label_1": 0, "label_2": 1,
		"very negative": -1, "very positive": 1,
		"1 star": -1, "2 stars": -0.5, "3 stars": 0, "4 stars": 0.5, "5 stars": 1,
	}
}

// checkLabels makes labels comparable.
func checkLabels(labels map[string]float64) (map[string]float64, error) {
	if len(labels) == 0 {
		return nil, errors.New("the option Labels must name at least one label of the model, or be left out")
	}
	checked := make(map[string]float64, len(labels))
	for label, polarity := range labels {
		if !(polarity >= -1 && polarity <= 1) {
			return nil, fmt.Errorf("the option Labels: the polarity of %q must lie between -1 and 1", label)
		}
		checked[strings.ToLower(label)] = polarity
	}
	return checked, nil
}

// predictQuestion is a batch of /predict: each input is a list of one text.
type predictQuestion struct {
	Inputs   [][1]string `json:"inputs"`
	Truncate bool        `json:"truncate"` // texts longer than the model reads are cut by the server
}

// predicted is the score that a model gives to one label.
type predicted struct {
	Score float64 `json:"score"`
	Label string  `json:"label"`
}

// askPredict asks /predict. All posts of a batch are answered, or none is.
func (e *Engine) askPredict(ctx context.Context, texts []string) ([]opinion, error) {
	question := predictQuestion{Inputs: make([][1]string, len(texts)), Truncate: true}
	for i, text := range texts {
		question.Inputs[i] = [1]string{text}
	}
	var answers [][]predicted
	if err := e.post(ctx, question, &answers); err != nil {
		return nil, err
	}
	if len(answers) != len(texts) {
		return nil, fmt.Errorf("the server judges %d posts where it was asked about %d", len(answers), len(texts))
	}
	opinions := make([]opinion, len(texts))
	for i, scores := range answers {
		var err error
		if opinions[i], err = e.weighScores(scores); err != nil {
			return nil, err
		}
	}
	return opinions, nil
}

// mostLabels is how many labels a model may have.
const mostLabels = 64

// weighScores makes a polarity of scores: the mean of the labels' polarities, each by its score. The highest score is the
// confidence.
func (e *Engine) weighScores(scores []predicted) (opinion, error) {
	if len(scores) == 0 || len(scores) > mostLabels {
		return opinion{}, fmt.Errorf("the server gives %d labels to a post", len(scores))
	}
	sum, polarity, best := 0.0, 0.0, 0.0
	for _, s := range scores {
		value, known := e.options.Labels[strings.ToLower(s.Label)]
		if !known {
			// Not which: a server may give back in it what it was asked about.
			return opinion{}, errors.New(
				"the model has a label that is none of those known: take a model of sentiment, whose labels are such as negative, neg, LABEL_0 or 1 star")
		}
		if !(s.Score >= 0 && s.Score <= 1) {
			return opinion{}, errors.New("the server gives a score outside of 0 to 1")
		}
		sum, polarity, best = sum+s.Score, polarity+s.Score*value, math.Max(best, s.Score)
	}
	if sum == 0 {
		return opinion{}, errors.New("the server gives every label of a post the score 0")
	}
	return opinion{polarity: min(max(polarity/sum, -1), 1), confidence: best, known: true}, nil
}
