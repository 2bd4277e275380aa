package work

import (
	"context"
	"time"

	"github.com/tertulia-crm/tertulia/internal/health"
)

const (
	// suggestedAtOnce is how many changed contacts are compared in a step, about a fifth of a second of work.
	suggestedAtOnce = 200
	// suggestRest is how long it is rested after a step, in lengths of the step: nobody waits for suggestions, and senders share the database.
	suggestRest = 4
)

// suggestLoop looks for contacts who may be one person, among those who are new or changed.
type suggestLoop struct {
	*tenant
	after  int64 // where the last step ended in the queue
	rested time.Time
}

func (l *suggestLoop) round(ctx context.Context) error {
	if time.Now().Before(l.rested) {
		return nil
	}
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	began := time.Now()
	looked, err := l.db.LookForSuggestions(ctx, l.after, suggestedAtOnce)
	if err != nil {
		return err
	}
	l.after = looked.Next
	if looked.Contacts > 0 {
		m := l.o.Metrics.suggestions
		m.seconds.WithLabelValues(l.id).Observe(time.Since(began).Seconds())
		m.compared.WithLabelValues(l.id).Add(float64(looked.Contacts))
		m.pairs.WithLabelValues(l.id).Add(float64(looked.Pairs))
	}
	l.rested = time.Now().Add(suggestRest * time.Since(began))
	return nil
}

// measureSuggestions tells what waits.
func (t *tenant) measureSuggestions(ctx context.Context) error {
	counts, err := t.db.CountSuggestions(ctx)
	if err != nil {
		return err
	}
	m := t.o.Metrics.suggestions
	m.waiting.WithLabelValues(t.id).Set(float64(counts.Waiting))
	m.due.WithLabelValues(t.id).Set(float64(counts.Due))
	return nil
}
