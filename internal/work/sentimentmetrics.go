package work

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
)

// sentimentMetrics are those of how posts are judged.
type sentimentMetrics struct {
	*metrics.Sentiment // of a server that judges

	trials    *prometheus.CounterVec
	inUse, f1 *prometheus.GaugeVec
}

func declareSentiment(s *metrics.Set) sentimentMetrics {
	return sentimentMetrics{
		Sentiment: s.Sentiment(),
		trials: s.Counter("tertulia_sentiment_trials_total",
			"Times that this worker learned from a language's corrections: `used` (the model beats the lexicon on those that were held back) or `refused`.",
			"tenant", "language", "outcome"),
		inUse: s.Gauge("tertulia_sentiment_model_in_use",
			"1 while posts in the language are judged by what was learned from corrections, 0 while the last trial says that the lexicon is better.",
			"tenant", "language"),
		f1: s.Gauge("tertulia_sentiment_f1_ratio",
			"Macro-F1, from 0 to 1, on the corrections that were held back in the language's last trial; 0 where too few say each label to try.",
			"tenant", "language", "engine"),
	}
}

// measureSentiment tells how the last trials went. A language of which nothing is learned any more is forgotten.
func (t *tenant) measureSentiment(ctx context.Context) error {
	models, err := t.db.SentimentModels(ctx)
	if err != nil {
		return err
	}
	m := t.o.Metrics.sentiment
	now := map[string]bool{}
	for i := range models {
		s := &models[i]
		now[s.Language] = true
		used := 0.0
		if s.Refused == "" {
			used = 1
		}
		m.inUse.WithLabelValues(t.id, s.Language).Set(used)
		m.f1.WithLabelValues(t.id, s.Language, learned.Name).Set(s.F1Model)
		m.f1.WithLabelValues(t.id, s.Language, sentiment.LexiconName).Set(s.F1Lexicon)
	}
	for language := range t.languages {
		if !now[language] {
			m.inUse.DeleteLabelValues(t.id, language)
			m.f1.DeleteLabelValues(t.id, language, learned.Name)
			m.f1.DeleteLabelValues(t.id, language, sentiment.LexiconName)
		}
	}
	t.languages = now
	return nil
}
