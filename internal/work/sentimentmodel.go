package work

import (
	"context"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen/judge"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// sentimentLoop learns from people's corrections of how mentions were judged.
type sentimentLoop struct{ *tenant }

// round learns in the languages that are due, on one worker at a time.
func (l *sentimentLoop) round(ctx context.Context) error {
	step, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	due, err := l.db.SentimentToLearn(step)
	if err != nil || len(due) == 0 {
		return err
	}
	_, err = l.db.WithSentimentLock(step, l.o.Lease/3, func(ctx context.Context) error {
		// Another worker may just have done it.
		due, err := l.db.SentimentToLearn(ctx)
		if err != nil {
			return err
		}
		lexicon, err := judge.Lexicon()
		if err != nil {
			return err
		}
		for _, language := range due {
			if err := l.learn(ctx, lexicon, language); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// learn learns in one language. What does not beat the lexicon any more is used no more.
func (l *sentimentLoop) learn(ctx context.Context, lexicon *sentiment.Lexicon, language string) error {
	lesson, err := l.db.SentimentLesson(ctx, language)
	if err != nil {
		return err
	}
	model, trial, err := learned.Try(ctx, lexicon, language, lesson.Corrections, lesson.Others)
	if err != nil {
		return err
	}
	m := store.SentimentModel{Language: language, LastCorrection: lesson.LastCorrection, Trial: trial}
	if model != nil {
		if m.Model, err = model.MarshalBinary(); err != nil {
			return err
		}
	}
	if err := l.db.SaveSentimentModel(ctx, m); err != nil {
		return err
	}
	outcome := "used"
	if model == nil {
		outcome = "refused"
	}
	l.o.Metrics.sentiment.trials.WithLabelValues(l.id, language, outcome).Inc()
	logr.FromContextOrDiscard(ctx).Info("learned from corrections", "language", language, "corrections", trial.Corrections,
		"used", model != nil, "refused", trial.Refused, "f1", trial.F1Model, "f1Lexicon", trial.F1Lexicon)
	return nil
}
