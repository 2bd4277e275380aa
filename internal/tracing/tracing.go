// Package tracing makes spans of what operator, workers and servers do, and hands them to a collector over OTLP where
// the standard OTEL_* environment names one. Without one nothing is recorded, and a span costs next to nothing.
//
// A span names statements, kinds, campaigns and channels. It never holds an address, the arguments of a statement, the
// text of an error or the path of a request, any of which may name a person: attributes are made by this package's
// functions only.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name under which this program's spans are made.
const scope = "github.com/tertulia-crm/tertulia"

// The attributes that spans have, beside those of OpenTelemetry's semantic conventions.
const (
	tenantKey   = attribute.Key("tenant")
	campaignKey = attribute.Key("campaign")
	channelKey  = attribute.Key("channel")
	segmentKey  = attribute.Key("segment")
	kindKey     = attribute.Key("kind")
)

// Tenant names the tenant by its spec.id.
func Tenant(id string) attribute.KeyValue { return tenantKey.String(id) }

// Campaign names a Campaign.
func Campaign(name string) attribute.KeyValue { return campaignKey.String(name) }

// Channel names a MessageChannel.
func Channel(name string) attribute.KeyValue { return channelKey.String(name) }

// Segment names a Segment.
func Segment(name string) attribute.KeyValue { return segmentKey.String(name) }

// Object names an object of the API server.
func Object(kind, namespace, name string) []attribute.KeyValue {
	return []attribute.KeyValue{kindKey.String(kind), attribute.String("namespace", namespace), attribute.String("name", name)}
}

// Sending names a chunk of a send.
func Sending(tenant, campaign, channel string, chunk int) []attribute.KeyValue {
	return []attribute.KeyValue{Tenant(tenant), Campaign(campaign), Channel(channel), attribute.Int("chunk", chunk)}
}

// Count is a number of things, such as of messages by outcome.
func Count(what string, n int) attribute.KeyValue { return attribute.Int(what, n) }

// Start begins a span below the one in ctx.
func Start(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return otel.Tracer(scope).Start(ctx, name, trace.WithAttributes(attributes...))
}

// StartClient is Start for a call of another program.
func StartClient(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return otel.Tracer(scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
}

// StartServer is Start for what another program asked for.
func StartServer(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return otel.Tracer(scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
}

// StartLinked begins a trace of its own that is linked with another.
func StartLinked(ctx context.Context, to trace.SpanContext, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithAttributes(attributes...)}
	if to.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: to}))
	}
	return otel.Tracer(scope).Start(ctx, name, options...)
}

// Recording tells whether what is done under ctx is recorded, so that attributes that cost something are worth making.
func Recording(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

// Failed marks a span as failed for a reason, one of a few words: the text of an error may name a person.
func Failed(span trace.Span, reason string) {
	span.SetStatus(codes.Error, reason)
	span.SetAttributes(attribute.String("error.type", reason))
}

// Parent is the span of ctx as W3C Trace Context writes it, to be stored with what is done later; "" where there is none.
func Parent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Stored reads what Parent wrote. What cannot be read is no span.
func Stored(traceparent string) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": traceparent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// Under is ctx below a span that Parent wrote, in another process and perhaps long ago; ctx itself where there is none.
func Under(ctx context.Context, traceparent string) context.Context {
	if parent := Stored(traceparent); parent.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	return ctx
}
