package work

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// threadedAtOnce is how many messages are threaded in one transaction.
	threadedAtOnce = 200
	// tendedAtOnce is how many conversations are looked at in one transaction whose time has come.
	tendedAtOnce = 200
	// routedAtOnce is how many tickets of a queue are given to agents in one transaction.
	routedAtOnce = 100
)

// conversationLoop threads what comes in, and has come about what is due by time.
type conversationLoop struct {
	*tenant
	intake *store.Intake
}

func newConversationLoop(t *tenant) *conversationLoop {
	return &conversationLoop{tenant: t, intake: store.NewIntake(t.db)}
}

// threads threads messages that came in, and opens tickets of those that queues want.
func (l *conversationLoop) threads(ctx context.Context) error {
	for {
		done, err := l.place(ctx)
		if err != nil || !done.More || ctx.Err() != nil {
			return err
		}
	}
}

func (l *conversationLoop) place(ctx context.Context) (store.Placed, error) {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	began := time.Now()
	done, err := l.intake.PlaceMessages(ctx, threadedAtOnce)
	if err != nil || done.Taken == 0 {
		return done, err
	}
	m := l.o.Metrics.service
	m.lag.WithLabelValues(l.id).Observe((done.Lag + time.Since(began)).Seconds())
	m.messages.WithLabelValues(l.id, "threaded").Add(float64(done.Messages))
	m.messages.WithLabelValues(l.id, "passed").Add(float64(done.Taken - done.Messages))
	return done, nil
}

// tend does what is due: targets are missed, escalations carried out, and what nobody says anything to ends. Then it gives tickets to agents.
func (l *conversationLoop) tend(ctx context.Context) error {
	return errors.Join(l.due(ctx), l.route(ctx))
}

func (l *conversationLoop) due(ctx context.Context) error {
	for {
		done, err := l.dueOnce(ctx)
		if err != nil || !done.More || ctx.Err() != nil {
			return err
		}
	}
}

func (l *conversationLoop) dueOnce(ctx context.Context) (store.Tended, error) {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	done, err := l.db.TendConversations(ctx, tendedAtOnce)
	if err == nil && done.Missed+done.Escalated > 0 {
		logr.FromContextOrDiscard(ctx).V(1).Info("targets of tickets were missed", "missed", done.Missed, "escalated", done.Escalated)
	}
	return done, err
}

func (l *conversationLoop) route(ctx context.Context) error {
	for {
		given, more, err := l.routeOnce(ctx)
		l.o.Metrics.service.routed.WithLabelValues(l.id).Add(float64(given))
		if err != nil || !more || ctx.Err() != nil {
			return err
		}
	}
}

func (l *conversationLoop) routeOnce(ctx context.Context) (given int, more bool, err error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.db.RouteTickets(ctx, routedAtOnce)
}

// tell tells the operator of queues whose counts have changed.
func (l *conversationLoop) tell(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.db.TellQueues(ctx)
}
