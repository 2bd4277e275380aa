package work

import (
	"context"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// monitorLoop evaluates the topics of monitors, each step of five minutes once, whichever worker does it.
type monitorLoop struct{ *tenant }

// round evaluates the topics that are due, until none is. One that fails does not keep the others waiting.
func (l *monitorLoop) round(ctx context.Context) error {
	topics, err := l.due(ctx)
	if err != nil {
		return err
	}
	failed := l.closeUnwatched(ctx)
	for _, topic := range topics {
		for more := true; more && ctx.Err() == nil; {
			if more, err = l.evaluate(ctx, topic); err != nil {
				failed = err
				break
			}
		}
	}
	return failed
}

func (l *monitorLoop) due(ctx context.Context) ([]int64, error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.db.TopicsToWatch(ctx)
}

// closeUnwatched closes what nobody follows any more.
func (l *monitorLoop) closeUnwatched(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	closed, err := l.db.CloseUnwatched(ctx)
	if err == nil && closed > 0 {
		logr.FromContextOrDiscard(ctx).Info("incidents closed whose topics are not watched any more", "incidents", closed)
	}
	return err
}

func (l *monitorLoop) evaluate(ctx context.Context, topic int64) (more bool, err error) {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	began := time.Now()
	e, err := l.db.EvaluateTopic(ctx, topic)
	if err != nil || e.To.IsZero() {
		return false, err
	}
	m := l.o.Metrics.monitors
	m.seconds.WithLabelValues(l.id).Observe(time.Since(began).Seconds())
	m.steps.WithLabelValues(l.id, e.Monitor).Add(float64(e.Steps))
	for _, change := range e.Changes {
		m.changes.WithLabelValues(l.id, e.Monitor, string(change.Kind)).Inc()
		logr.FromContextOrDiscard(ctx).Info("incident", "monitor", e.Monitor, "topic", e.Topic, "what", change.Kind, "at", change.At,
			"rule", change.Incident.Rule, "peak", change.Incident.Peak)
	}
	return e.More, nil
}

const (
	// matchedAtOnce is how many stored mentions are compared with new topics in a step, some tenths of a second of work.
	matchedAtOnce = 1000
	// matchRest is how long it is rested after a step, in lengths of the step: who stores what comes in shares the database.
	matchRest = 1
)

// topicLoop compares what is stored with topics that are new or changed, and finds what was answered.
type topicLoop struct {
	*tenant
	rested time.Time
}

func (l *topicLoop) round(ctx context.Context) error {
	for ctx.Err() == nil {
		if wait := time.Until(l.rested); wait > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
		}
		more, err := l.match(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return l.answers(ctx)
}

func (l *topicLoop) match(ctx context.Context) (more bool, err error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	began := time.Now()
	done, err := l.db.MatchStored(ctx, matchedAtOnce, findTopics)
	if err != nil {
		return false, err
	}
	l.o.Metrics.monitors.matched.WithLabelValues(l.id).Add(float64(done.Mentions))
	l.rested = time.Now().Add(matchRest * time.Since(began))
	return done.More, nil
}

// answers notes what was asked and answered, of one monitor after the other.
func (l *topicLoop) answers(ctx context.Context) error {
	for ctx.Err() == nil {
		step, cancel := health.Step(ctx, l.o.StatementLimit)
		noted, err := l.db.NoteAnswers(step)
		cancel()
		if err != nil || !noted.More {
			return err
		}
	}
	return nil
}

// findTopics tells which terms of topics are found in posts. A topic that cannot be compiled is found nowhere: who declared it was told.
func findTopics(topics []match.Topic, posts []match.Post) ([][][]string, error) {
	found := make([][][]string, len(topics))
	var whole []match.Topic
	var index []int
	for t := range topics {
		found[t] = make([][]string, len(posts))
		if _, err := match.Compile(topics[t : t+1]); err == nil {
			whole, index = append(whole, topics[t]), append(index, t)
		}
	}
	matcher, err := match.Compile(whole)
	if err != nil {
		return nil, err
	}
	var matches []match.Match
	for i := range posts {
		matches = matcher.Match(&posts[i], matches[:0])
		for _, f := range matches {
			terms := &found[index[f.Topic]][i]
			for _, hit := range f.Hits {
				term := matcher.Term(f.Topic, hit)
				if label := match.Label(&term); !slices.Contains(*terms, label) {
					*terms = append(*terms, label)
				}
			}
		}
	}
	return found, nil
}

// measureMonitors tells of each monitor how far it is behind, and what is open. One that is not there any more is forgotten.
func (t *tenant) measureMonitors(ctx context.Context) error {
	found, err := t.db.MeasureMonitors(ctx)
	if err != nil {
		return err
	}
	m := t.o.Metrics.monitors
	for name := range t.monitors {
		if _, there := found[name]; !there {
			m.open.DeleteLabelValues(t.id, name)
			m.lag.DeleteLabelValues(t.id, name)
			m.preparing.DeleteLabelValues(t.id, name)
			t.o.Metrics.influence.edges.DeleteLabelValues(t.id, name)
			t.o.Metrics.influence.age.DeleteLabelValues(t.id, name)
		}
	}
	for name, f := range found {
		m.open.WithLabelValues(t.id, name).Set(float64(f.OpenIncidents))
		m.lag.WithLabelValues(t.id, name).Set(f.Lag.Seconds())
		m.preparing.WithLabelValues(t.id, name).Set(float64(f.Preparing))
		t.o.Metrics.influence.edges.WithLabelValues(t.id, name).Set(float64(f.InfluenceEdges))
		t.o.Metrics.influence.age.WithLabelValues(t.id, name).Set(f.InfluenceAge.Seconds())
		for _, kind := range []monitor.Kind{monitor.Opened, monitor.Updated, monitor.Closed} {
			m.changes.WithLabelValues(t.id, name, string(kind)) // the series are there before the first incident
		}
	}
	t.monitors = found
	return nil
}

// monitorMeasures are what was found of monitors, by name.
type monitorMeasures = map[string]store.MonitorMeasures
