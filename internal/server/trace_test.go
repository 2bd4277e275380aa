package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"
)

// TestOnlyKnownClientsChooseWhatIsRecorded: a span that says that it is recorded makes all below it be recorded, whatever
// share of requests the operator of the platform wants.
func TestOnlyKnownClientsChooseWhatIsRecorded(t *testing.T) {
	f := newFixture(t)
	spans := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())), sdktrace.WithSpanProcessor(spans)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() {
		otel.SetTracerProvider(noop.NewTracerProvider())
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
	})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for name, tc := range map[string]struct {
		path, token string
		recorded    bool
	}{
		"a stranger":            {"/v1/quarantine", "", false},
		"a token that is wrong": {"/v1/quarantine", "ttl_wrong", false},
		"a page behind a link":  {"/u/x", f.token, false},
		"a client":              {"/v1/quarantine", f.token, true},
	} {
		t.Run(name, func(t *testing.T) {
			spans.Reset()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.base+tc.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
			if tc.token != "" {
				request.Header.Set("Authorization", "Bearer "+tc.token)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			recorded := false
			for _, span := range spans.Started() {
				if span.SpanContext().TraceID().String() == trace && strings.Contains(span.Name(), tc.path) {
					recorded = true
				}
			}
			if recorded != tc.recorded || !tc.recorded && len(spans.Started()) > 0 {
				t.Errorf("recorded is %t, want %t; %d spans", recorded, tc.recorded, len(spans.Started()))
			}
		})
	}
}
