package server

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// startSpan begins the span of a request to a route of a tenant. A client of the API may name its own span as the parent
// (W3C Trace Context), if it bears a token that is in force; whoever opens a page from a mail may not, because anybody could
// have every request recorded then. Neither the path, which can hold a signed link, nor anything of the client is told.
func startSpan(r *http.Request, t *tenant, pattern string) (context.Context, trace.Span) {
	ctx := r.Context()
	method, route, _ := strings.Cut(pattern, " ")
	if strings.HasPrefix(route, "/v1/") && knownClient(r) {
		ctx = otel.GetTextMapPropagator().Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	return tracing.StartServer(ctx, pattern, tracing.Tenant(t.id),
		attribute.String("http.request.method", method), attribute.String("http.route", route))
}

// knownClient tells whether a client that names a span of its own bears a token that is in force. The request's span begins
// only then, and has its own look at the token in it.
func knownClient(r *http.Request) bool {
	names := func(field string) bool { return r.Header.Get(field) != "" }
	if !slices.ContainsFunc(otel.GetTextMapPropagator().Fields(), names) {
		return false
	}
	token, ok := bearerToken(r)
	if !ok {
		return false
	}
	_, err := findToken(r.Context(), token)
	return err == nil
}

// endSpan ends a request's span with what was answered.
func endSpan(span trace.Span, w http.ResponseWriter) {
	if answered, ok := w.(*recorder); ok && span.IsRecording() {
		status := answered.status
		if status == 0 {
			status = http.StatusOK
		}
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			tracing.Failed(span, strconv.Itoa(status))
		}
	}
	span.End()
}

// linkSend links a request that follows from a mail with the trace of the send that the mail was part of.
func linkSend(ctx context.Context, t *tenant, sendID int64) {
	if !tracing.Recording(ctx) {
		return
	}
	campaign, traceparent, err := t.db.SendTrace(ctx, sendID)
	if err != nil {
		return // the request itself will meet what is in the way
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(tracing.Campaign(campaign))
	if declared := tracing.Stored(traceparent); declared.IsValid() {
		span.AddLink(trace.Link{SpanContext: declared})
	}
}
