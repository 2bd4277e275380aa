// Package sentiment tells how a post speaks: its language, its polarity, and the words that decided. The Lexicon is the
// engine that is always there; others, such as a server that runs a model, implement Engine in packages of their own.
package sentiment

import (
	"context"
	"math"
)

// A Label is a verdict in one word.
type Label string

// The labels.
const (
	Negative Label = "negative"
	Neutral  Label = "neutral"
	Positive Label = "positive"
)

// Labels are all there are, from the worst to the best.
func Labels() []Label { return []Label{Negative, Neutral, Positive} }

// threshold is the polarity from which a post is no longer neutral, to either side.
const threshold = 0.25

// LabelOf is the label of a polarity.
func LabelOf(polarity float64) Label {
	switch {
	case polarity >= threshold:
		return Positive
	case polarity <= -threshold:
		return Negative
	}
	return Neutral
}

// MaxText is how many bytes of a post are judged. What follows is left out, and the verdict says so.
const MaxText = 64 << 10

// Post is what is judged. Its text may hold anything: bytes that are no UTF-8 part words and mean nothing.
type Post struct {
	Text string
	// Language is the tag that the post came with, such as "es-MX" (BCP 47). "" lets Identify decide.
	Language string
}

// Verdict is what an engine says of a post.
type Verdict struct {
	Label    Label
	Polarity float64 // from -1, the worst, to 1, the best
	// Confidence is from 0 to 1: about how often such a verdict is right. The document says how it was measured.
	Confidence float64
	Language   string // "es", "en", another language's code, or Unknown
	Engine     string // which engine decided
	Words      []Word // what decided, the weightiest first; engines that cannot tell have none
	Ironic     bool   // something marks the post as meaning the opposite
	Cut        bool   // the text was longer than what is judged
}

// Word is one thing of a post that weighed, and why it weighs as it does.
type Word struct {
	Text    string   // as the lexicon reads it: lower case, without accents
	Weight  float64  // what it added, after all rules
	Because []string // the rules that changed it, such as "negated by no"
}

// An Engine judges posts. It returns as many verdicts as there are posts, in their order, or an error and none.
type Engine interface {
	Judge(ctx context.Context, posts []Post) ([]Verdict, error)
}

// bounded keeps a number within limits, and makes what is no number the lower one.
func bounded(x, low, high float64) float64 {
	if math.IsNaN(x) {
		return low
	}
	return min(max(x, low), high)
}
