package controllers_test

import (
	"bytes"
	"context"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/server"
	"github.com/tertulia-crm/tertulia/internal/tracing"
	"github.com/tertulia-crm/tertulia/internal/tracing/tracingtest"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// recorded are the spans of one tenant, with what a test looks for in them.
type recorded []tracingtest.Span

func (r recorded) named(t *testing.T, name string, conditions ...func(tracingtest.Span) bool) tracingtest.Span {
	t.Helper()
	for _, s := range r {
		if s.Name == name && !slices.ContainsFunc(conditions, func(f func(tracingtest.Span) bool) bool { return !f(s) }) {
			return s
		}
	}
	t.Fatalf("there is no span %q as it should be", name)
	return tracingtest.Span{}
}

func below(parent tracingtest.Span) func(tracingtest.Span) bool {
	return func(s tracingtest.Span) bool { return s.Trace == parent.Trace && s.Parent == parent.ID }
}

func about(key, value string) func(tracingtest.Span) bool {
	return func(s tracingtest.Span) bool { return s.Attributes[key] == value }
}

// A campaign goes from its manifest to its recipients, one of whom is refused by name and one of whom leaves by the link in
// the mail. The spans of operator, worker and server belong together, and nobody is in them.
func TestSpansOfACampaignJoinAndHoldNobody(t *testing.T) {
	c := tracingtest.NewCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100") // milliseconds: a process that ends has three seconds for what is left
	stopTracing, err := tracing.Export(t.Context(), tracing.Service{Name: "tertulia-test", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })

	h := newHome(t)
	relay := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Rcpt && strings.HasPrefix(e.To, "refused") {
			return delivertest.Action{Reply: "550 5.1.1 <" + e.To + "> is unknown here"}
		}
		return delivertest.Action{}
	}})
	h.create(h.contact(v1alpha1.Attribute{Name: "first_name", Type: v1alpha1.StringType}))
	h.current(&v1alpha1.RecordType{}, "contact")
	h.people("zoraida@people.example", "refused.wilfreda@people.example")
	h.sql("update contact set attr_first_name = 'Zoraida'")
	channel := h.channel("news", "")
	channel.Spec.Email.SMTP.Port = int32(relay.Port()) //nolint:gosec // a port
	template := h.template("spring", `<p>{{ contact.first_name }}</p><a href="{{ unsubscribe_url }}">baja</a>`)
	spring := h.campaign("spring")
	spring.Spec.Schedule.At, spring.Spec.Schedule.TimeZone = v1alpha1.LocalTime(time.Now().UTC().Add(-time.Minute).Format("2006-01-02T15:04:05")), "Etc/UTC"
	h.create(channel, template, h.segment("all", "'vip' in contact.tags"), spring)
	h.runWorker()
	h.eventually(func(g gomega.Gomega) {
		got := &v1alpha1.Campaign{}
		g.Expect(h.api.Get(t.Context(), h.key("spring"), got)).To(gomega.Succeed())
		g.Expect(got.Status.Phase).To(gomega.Equal(v1alpha1.CampaignPhase("Completed")), "%v", got.Status.Conditions)
	})
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	path := "/t/" + h.id + unsubscribePath(t, relay.Messages()[0].Data)
	base := h.runServer()
	h.request(http.MethodGet, base+path, parent, "")
	h.request(http.MethodPost, base+"/t/"+h.id+"/v1/contacts:batch", parent,
		`{"contacts": [{"external_id": "C7", "email": "zoraida.seven@people.example", "attributes": {"first_name": "Zoraida"}}]}`)
	stopTracing()

	var spans recorded
	for _, s := range c.Spans() {
		for _, never := range []string{"people.example", "zoraida", "wilfreda", "Zoraida", "vip", "unknown here", "$1"} {
			if strings.Contains(idBytes.ReplaceAllString(s.Text, ""), never) {
				t.Errorf("a span holds %q:\n%s", never, s.Text)
			}
		}
		spans = append(spans, s)
	}
	ours := about("namespace", h.namespace)
	insert := spans.named(t, "insert send")
	declared := spans.named(t, "reconcile Campaign", ours, func(s tracingtest.Span) bool { return s.ID == insert.Parent })
	if declared.Attributes["name"] != "spring" || declared.Attributes["tenant"] != h.id {
		t.Errorf("the span that declares the send: %s", declared.Text)
	}
	freeze := spans.named(t, "freeze", below(declared), about("tenant", h.id), about("campaign", "spring"))
	spans.named(t, "insert ledger", below(freeze), about("db.system.name", "postgresql"))
	chunk := spans.named(t, "chunk", below(declared), about("tenant", h.id), about("campaign", "spring"), about("channel", "news"))
	commit := spans.named(t, "commit intents", below(chunk), about("intents", "2"))
	spans.named(t, "batch", below(commit))
	spans.named(t, "hand over", below(chunk), about("messages.sent", "1"), about("messages.failed", "1"))

	// Who opens a page does not decide what is recorded; who calls the API may.
	page := spans.named(t, "GET /u/{token}", about("tenant", h.id), about("campaign", "spring"), about("http.response.status_code", "200"))
	if page.Parent != "" || !slices.Contains(page.Links, declared.ID) {
		t.Errorf("the page behind the link in a mail is not linked with the send, or below a stranger's span: %s", page.Text)
	}
	batch := spans.named(t, "POST /v1/contacts:batch", about("tenant", h.id), about("http.response.status_code", "200"))
	if batch.Trace != parent[3:35] || batch.Parent != parent[36:52] {
		t.Errorf("a request of the API is not below its client's span: %s", batch.Text)
	}
	spans.named(t, "select api_token", below(batch))
}

// unsubscribePath finds the link in a mail.
func unsubscribePath(t *testing.T, mail []byte) string {
	t.Helper()
	plain, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(mail)))
	if err != nil {
		plain = mail
	}
	link := regexp.MustCompile(`/u/[A-Za-z0-9_-]+`).Find(plain)
	if link == nil {
		t.Fatalf("the mail holds no link:\n%s", mail)
	}
	return string(link)
}

// request asks as an administrator, below a span of its own.
func (h *home) request(method, url, traceparent, body string) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Traceparent", traceparent)
	request.Header.Set("Authorization", "Bearer "+h.secret("tertulia-admin")["token"])
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body) // its end comes after that of the server's span
	if err != nil || answer.StatusCode != http.StatusOK {
		h.t.Fatalf("%s %s: %s: %s, %v", method, url, answer.Status, text, err)
	}
}

// runServer runs a server for the tenant until the test ends, and returns its URL.
func (h *home) runServer() string {
	h.t.Helper()
	listener, err := new(net.ListenConfig).Listen(h.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.New(server.Options{Dirs: []string{filepath.Join(h.root, h.id)}}).Run(ctx, listener)
	}()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// people puts contacts who have consented into the tenant's database.
func (h *home) people(addresses ...string) {
	h.t.Helper()
	for _, address := range addresses {
		h.sql(`with c as (insert into contact (locale, tags) values ('es', '{vip}') returning id),
			i as (insert into identifier (type, value) values ('email', $1) returning id),
			l as (insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, c.id, true, 'test' from i, c)
			insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from c`, address)
	}
}

// runWorker runs a worker for the tenant until the test ends.
func (h *home) runWorker() {
	h.t.Helper()
	w, err := work.New(work.Options{
		TenantDirs: []string{filepath.Join(h.root, h.id)}, SendPoll: 20 * time.Millisecond, CampaignPoll: 20 * time.Millisecond, SegmentPoll: 20 * time.Millisecond,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
}

// idBytes are a span's ids as its text has them: at random they read like anything.
var idBytes = regexp.MustCompile(`(?m)^\s*(trace_id|span_id|parent_span_id): .*$`)
