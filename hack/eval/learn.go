package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
)

func runLearned(out io.Writer, dir, from, of string) error {
	lexicon, err := sentiment.NewLexicon()
	if err != nil {
		return err
	}
	return learnAndJudge(context.Background(), out, lexicon, dir, from, of)
}

// learnAndJudge takes one split as if people had corrected its posts, learns from it as is learned from a tenant's corrections, and judges the
// other split by what was learned.
func learnAndJudge(ctx context.Context, out io.Writer, lexicon *sentiment.Lexicon, dir, from, of string) error {
	for _, language := range languages {
		corrected, err := readPosts(filepath.Join(dir, language.name+"_"+from))
		if err != nil {
			return err
		}
		posts, err := readPosts(filepath.Join(dir, language.name+"_"+of))
		if err != nil {
			return err
		}
		corrections := make([]learned.Correction, len(corrected))
		for i, p := range corrected {
			corrections[i] = learned.Correction{Key: []byte(strconv.Itoa(i)), Text: p.text, Label: sentiment.Labels()[p.label]}
		}
		model, trial, err := learned.Try(ctx, lexicon, language.code, corrections, nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s, learned from %d corrections: macro-F1 %.1f on %d that were held back, the lexicon's %.1f, chance %.4f\n",
			language.name, trial.Corrections, 100*trial.F1Model, trial.HeldBack, 100*trial.F1Lexicon, trial.P)
		if model == nil {
			fmt.Fprintf(out, "  so it would not be used: %s. All the same:\n", trial.Refused)
			if model, err = learned.Train(ctx, lexicon, language.code, corrections); err != nil {
				return err
			}
		}
		before := judge(lexicon, lexicon, language.code, posts)
		after := judge(learned.New(lexicon, map[string]*learned.Model{language.code: model}), lexicon, language.code, posts)
		after.print(out, fmt.Sprintf("%s_%s by what was learned (the lexicon's %.1f)", language.name, of, before.macroF1()))
	}
	return nil
}
