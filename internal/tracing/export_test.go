package tracing_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tertulia-crm/tertulia/internal/tracing"
	"github.com/tertulia-crm/tertulia/internal/tracing/tracingtest"
)

// clean takes every variable away that spans heed, and what a test leaves behind in the process.
func clean(t *testing.T) {
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
		"OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
	} {
		t.Setenv(name, "")
	}
	otel.SetTracerProvider(noop.NewTracerProvider())
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
}

var service = tracing.Service{Name: "tertulia-worker", Version: "1.2.3"}

func TestNothingIsRecordedUnlessAnEndpointIsNamed(t *testing.T) {
	for name, variables := range map[string]map[string]string{
		"no endpoint":      {},
		"the SDK is off":   {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"no exporter":      {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
		"the sampler says": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "always_off"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for name, value := range variables {
				t.Setenv(name, value)
			}
			stop, err := tracing.Export(t.Context(), service)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			ctx, span := tracing.Start(t.Context(), "freeze", tracing.Tenant("velo"))
			if span.IsRecording() || tracing.Recording(ctx) {
				t.Error("a span is recorded")
			}
			span.End()
		})
	}
}

func TestSpansAreHandedOverWhenTheProcessStops(t *testing.T) {
	clean(t)
	c := tracingtest.NewCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=everything")
	stop, err := tracing.Export(t.Context(), service)
	if err != nil {
		t.Fatal(err)
	}
	ctx, outer := tracing.Start(t.Context(), "freeze", tracing.Tenant("velo"), tracing.Campaign("spring"))
	stored := tracing.Parent(ctx)
	outer.End()
	// Another process, later.
	_, below := tracing.Start(tracing.Under(context.Background(), stored), "chunk")
	tracing.Failed(below, "unreachable")
	below.End()
	_, linked := tracing.StartLinked(ctx, tracing.Stored(stored), "chunk")
	linked.End()
	stop()
	spans := c.Spans()
	if len(spans) != 3 {
		t.Fatalf("%d spans were handed over, want 3", len(spans))
	}
	freeze, chunk, other := spans[0], spans[1], spans[2]
	if freeze.Parent != "" || freeze.Attributes["tenant"] != "velo" || freeze.Attributes["campaign"] != "spring" {
		t.Errorf("the first span: %s", freeze.Text)
	}
	if chunk.Trace != freeze.Trace || chunk.Parent != freeze.ID || chunk.Failed != "unreachable" || chunk.Attributes["error.type"] != "unreachable" {
		t.Errorf("the span below it: %s", chunk.Text)
	}
	if other.Trace == freeze.Trace || other.Parent != "" || len(other.Links) != 1 || other.Links[0] != freeze.ID {
		t.Errorf("the span that is linked with it: %s", other.Text)
	}
	for key, want := range map[string]string{
		"service.name": "tertulia-worker", "service.version": "1.2.3", "deployment.environment.name": "test",
	} {
		if got := freeze.Resource[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestAnotherProtocolIsRefused(t *testing.T) {
	clean(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if _, err := tracing.Export(t.Context(), service); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("the error does not name the variable: %v", err)
	}
}

// A collector that takes nothing must not keep a process from stopping, and is told of once.
func TestACollectorThatHangs(t *testing.T) {
	clean(t)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600000") // ms: whoever waits for the export waits for so long
	var lines []string
	log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
	stop, err := tracing.Export(logr.NewContext(t.Context(), log), service)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracing.Start(t.Context(), "freeze")
	span.End()
	began := time.Now()
	stop()
	if took := time.Since(began); took > time.Minute {
		t.Errorf("stopping took %s", took)
	}
	if len(lines) != 1 {
		t.Errorf("the log has %d lines about it: %q", len(lines), lines)
	}
}

func TestWhatIsStoredMayBeAnything(t *testing.T) {
	for _, stored := range []string{"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01", strings.Repeat("0", 1<<16)} {
		if tracing.Stored(stored).IsValid() {
			t.Errorf("%.40q is taken for a span", stored)
		}
		if ctx := context.Background(); tracing.Under(ctx, stored) != ctx {
			t.Errorf("%.40q changes the context", stored)
		}
	}
}
