package work

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// chunksInTrace is how many chunks of a send are part of the trace that began with its declaration. The others have traces of
// their own that are linked with it: a send to a million people would make a trace that no backend holds.
const chunksInTrace = 20

// startChunk begins the span of the work on a chunk. Both contexts that the work has are below it.
func (s *sender) startChunk(ctx, drain context.Context, j *job, lease store.Lease) (_, _ context.Context, span trace.Span) {
	about := tracing.Sending(s.id, j.Campaign, j.Channel.Name, lease.Chunk)
	if lease.Chunk < chunksInTrace {
		ctx, span = tracing.Start(tracing.Under(ctx, j.Traceparent), "chunk", about...)
	} else {
		ctx, span = tracing.StartLinked(ctx, tracing.Stored(j.Traceparent), "chunk", about...)
	}
	return ctx, trace.ContextWithSpan(drain, span), span
}

// endSpan ends a span, and marks it where its work failed.
func endSpan(span trace.Span, err error) {
	if err != nil {
		tracing.Failed(span, store.FailureReason(err))
	}
	span.End()
}

// endHandOver ends the span of a hand-over with how many messages had which outcome.
func endHandOver(span trace.Span, settlements []store.Settlement) {
	if span.IsRecording() {
		counts := map[string]int{}
		for _, s := range settlements {
			counts[outcomeLabel(s)]++
		}
		for outcome, n := range counts {
			span.SetAttributes(tracing.Count("messages."+outcome, n))
		}
	}
	span.End()
}
