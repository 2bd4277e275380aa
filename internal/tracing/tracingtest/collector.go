// Package tracingtest is a collector of spans for tests: it takes them over OTLP as one of a cluster would.
package tracingtest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// maxBody bounds a batch of spans.
const maxBody = 32 << 20

// Span is one that was handed over.
type Span struct {
	Name              string
	Trace, ID, Parent string // hexadecimal; Parent is "" for a root
	Links             []string
	Failed            string // why, "" where it did not
	Attributes        map[string]string
	Resource          map[string]string
	// Text is all that was handed over of the span, for a search for what must not be in it.
	Text string
}

// Collector takes spans.
type Collector struct {
	URL string

	t     *testing.T
	mu    sync.Mutex
	spans []Span
}

// NewCollector starts a collector, which ends with the test.
func NewCollector(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{t: t}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Spans are those that were handed over so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxBody)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			c.t.Errorf("unpack spans: %v", err)
			return
		}
		body = unpacked
	}
	raw, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("what was handed over at %s is no batch of spans: %v", r.URL.Path, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, read(s, resource.Resource.GetAttributes()))
			}
		}
	}
}

func read(s *trace.Span, resource []*common.KeyValue) Span {
	span := Span{
		Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Attributes: texts(s.Attributes), Resource: texts(resource), Text: prototext.Format(s),
	}
	if s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR {
		span.Failed = s.GetStatus().GetMessage()
	}
	for _, l := range s.Links {
		span.Links = append(span.Links, hex.EncodeToString(l.SpanId))
	}
	return span
}

func texts(attributes []*common.KeyValue) map[string]string {
	read := map[string]string{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			read[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			read[a.Key] = strconv.FormatInt(v.IntValue, 10)
		default:
			read[a.Key] = a.GetValue().String()
		}
	}
	return read
}
