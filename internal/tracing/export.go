package tracing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// flushTimeout bounds how long a process that stops waits for a collector to take the last spans.
	flushTimeout = 3 * time.Second
	// complainEvery bounds how often a collector that takes nothing is told of.
	complainEvery = 10 * time.Minute
)

// Service says who makes the spans.
type Service struct {
	Name    string // tertulia-operator, tertulia-worker, tertulia-server
	Version string
}

// Export hands the spans of this process to the collector that the environment names: OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, with the variables beside them, and OTEL_TRACES_SAMPLER. Without an endpoint, with
// OTEL_SDK_DISABLED=true or with OTEL_TRACES_EXPORTER=none nothing is recorded. stop hands over what is left, for at most
// three seconds.
func Export(ctx context.Context, service Service) (stop func(), err error) {
	if !enabled(os.Getenv) {
		return func() {}, nil
	}
	if protocol := protocol(os.Getenv); protocol != "" && protocol != "http/protobuf" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q, and spans are handed over by http/protobuf alone: "+
			"name a collector's HTTP endpoint, such as http://collector:4318", protocol)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare the export of spans: %w", err)
	}
	about, err := describe(ctx, service)
	if err != nil {
		return nil, err
	}
	otel.SetErrorHandler(&complaints{log: logr.FromContextOrDiscard(ctx), now: time.Now})
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			otel.Handle(err)
		}
	}, nil
}

// enabled tells whether the environment asks for spans.
func enabled(env func(string) string) bool {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") || env("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func protocol(env func(string) string) string {
	if p := env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"); p != "" {
		return p
	}
	return env("OTEL_EXPORTER_OTLP_PROTOCOL")
}

// describe says who makes the spans. The name is the process's own: OTEL_RESOURCE_ATTRIBUTES are those of a whole
// installation, handed on by the operator; OTEL_SERVICE_NAME is for one process.
func describe(ctx context.Context, service Service) (*resource.Resource, error) {
	name := service.Name
	if chosen := os.Getenv("OTEL_SERVICE_NAME"); chosen != "" {
		name = chosen
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv(), resource.WithAttributes(
		attribute.String("service.name", name), attribute.String("service.version", service.Version),
	))
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return about, nil
}

// complaints tells the log of a collector that takes nothing, and does not repeat it for every batch.
type complaints struct {
	log logr.Logger
	now func() time.Time

	mu   sync.Mutex
	last time.Time
}

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.last.IsZero() || now.Sub(c.last) >= complainEvery {
		c.last = now
		c.log.Info("spans cannot be handed over to the collector", "error", err.Error())
	}
}
