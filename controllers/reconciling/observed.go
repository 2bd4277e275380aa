package reconciling

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// The ways in which a pass ends, for metrics and spans.
const (
	outcomeReady       = "ready"
	outcomeWaiting     = "waiting"
	outcomeStalled     = "stalled"
	outcomeInterrupted = "interrupted"
	outcomeFailed      = "failed"
)

// Outcomes are all ways in which a pass ends.
var Outcomes = []string{outcomeReady, outcomeWaiting, outcomeStalled, outcomeInterrupted, outcomeFailed}

// outcomeOf tells how a pass ended.
func outcomeOf(err error) string {
	var stalled *Stalled
	var waiting *Waiting
	var interrupted *Interrupted
	switch err := classify(err); {
	case err == nil:
		return outcomeReady
	case errors.As(err, &stalled):
		return outcomeStalled
	case errors.As(err, &waiting):
		return outcomeWaiting
	case errors.As(err, &interrupted):
		return outcomeInterrupted
	}
	return outcomeFailed
}

// tell counts a pass and marks its span.
func (r *Recorder) tell(ctx context.Context, err error) {
	outcome := outcomeOf(err)
	if r.Ended != nil {
		r.Ended(outcome)
	}
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("outcome", outcome))
}

// Observed makes a span of every pass over an object of a kind, bounds it, and gives each namespace its turn.
func Observed(kind string, inner reconcile.Reconciler) reconcile.Reconciler {
	turns := newTurns()
	return reconcile.Func(func(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
		end, ok := turns.begin(ctx, request.Namespace)
		if !ok {
			return ctrl.Result{RequeueAfter: turns.slowAfter}, nil
		}
		defer end()
		ctx, span := tracing.Start(ctx, "reconcile "+kind, tracing.Object(kind, request.Namespace, request.Name)...)
		defer span.End()
		ctx, cancel := hurried(ctx, passLimit)
		defer cancel()
		result, err := inner.Reconcile(ctx, request)
		if err != nil {
			tracing.Failed(span, store.FailureReason(err))
		}
		return result, err
	})
}
