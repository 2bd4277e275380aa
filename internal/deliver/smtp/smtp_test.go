package smtp

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
)

// connect makes a transport to a test server.
func connect(t *testing.T, s *delivertest.Server, change func(*Options)) *Transport {
	t.Helper()
	o := Options{Host: s.Host(), Port: s.Port(), TLS: None, Connections: 1, TLSConfig: s.TLSConfig()}
	if change != nil {
		change(&o)
	}
	transport, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

func mails(n int) []deliver.Message {
	batch := make([]deliver.Message, n)
	for i := range batch {
		batch[i] = mail(fmt.Sprintf("p%d@example.com", i))
	}
	return batch
}

func mail(to string) deliver.Message {
	return deliver.Message{
		From: "velo@velo.example", To: to,
		Data: []byte("Message-ID: <" + to + ">\r\nSubject: hi\r\n\r\n.dot at the beginning\r\n..two\r\nbye\r\n"),
	}
}

func outcomes(results []deliver.Result) []deliver.Outcome {
	out := make([]deliver.Outcome, len(results))
	for i := range results {
		out[i] = results[i].Outcome
	}
	return out
}

func TestDelivers(t *testing.T) {
	for name, tc := range map[string]struct {
		reason    string
		behaviour delivertest.Behaviour
		options   func(*Options)
	}{
		"pipelined":      {reason: "the usual relay", behaviour: delivertest.Behaviour{}},
		"reply by reply": {reason: "the server fails the test when commands come in groups", behaviour: delivertest.Behaviour{NoPipelining: true}},
		"byte by byte":   {reason: "replies come in pieces", behaviour: delivertest.Behaviour{Drip: true}},
		"STARTTLS": {
			reason: "protected after EHLO", behaviour: delivertest.Behaviour{StartTLS: true},
			options: func(o *Options) { o.TLS = StartTLS },
		},
		"implicit TLS with PLAIN": {
			reason:    "protected from the first byte, authenticated",
			behaviour: delivertest.Behaviour{ImplicitTLS: true, Auth: map[string]string{"u": "p"}},
			options:   func(o *Options) { o.TLS, o.Username, o.Password = Implicit, "u", "p" },
		},
		"LOGIN": {
			reason:    "to this machine credentials may travel in clear",
			behaviour: delivertest.Behaviour{Auth: map[string]string{"u": "p"}, Mechanisms: []string{"LOGIN"}},
			options:   func(o *Options) { o.Username, o.Password = "u", "p" },
		},
		"few messages a connection": {
			reason: "a connection is closed after its share", behaviour: delivertest.Behaviour{},
			options: func(o *Options) { o.MaxMessages = 3 },
		},
		"many connections": {
			reason: "lanes share the batch", behaviour: delivertest.Behaviour{},
			options: func(o *Options) { o.Connections = 7 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := delivertest.NewServer(t, tc.behaviour)
			transport := connect(t, server, tc.options)
			batch := mails(50)
			for range 2 {
				results, err := transport.Deliver(context.Background(), batch)
				if err != nil {
					t.Fatalf("%s: %v", tc.reason, err)
				}
				for i, r := range results {
					if r.Outcome != deliver.Accepted || r.Code != 250 || r.Reply != "2.0.0 taken" {
						t.Errorf("%s: message %d: %+v", tc.reason, i, r)
					}
				}
			}
			got := map[string]int{}
			for _, m := range server.Messages() {
				got[m.To]++
				if want := string(mail(m.To).Data); string(m.Data) != want {
					t.Errorf("%s: message changed on its way: %q", tc.reason, m.Data)
				}
			}
			for _, m := range batch {
				if got[m.To] != 2 {
					t.Errorf("%s: %s arrived %d times, want 2", tc.reason, m.To, got[m.To])
				}
			}
		})
	}
}

// TestConnections counts connections: they are kept between batches and limited in what they serve.
func TestConnections(t *testing.T) {
	server := delivertest.NewServer(t, delivertest.Behaviour{})
	transport := connect(t, server, func(o *Options) { o.MaxMessages = 10 })
	for range 3 {
		if _, err := transport.Deliver(context.Background(), mails(5)); err != nil {
			t.Fatal(err)
		}
	}
	if got := server.Connections(); got != 2 {
		t.Errorf("15 messages, at most 10 by one connection: %d connections, want 2", got)
	}
}

func TestStale(t *testing.T) {
	server := delivertest.NewServer(t, delivertest.Behaviour{})
	transport := connect(t, server, func(o *Options) { o.Connections = 2 })
	for range 3 {
		results, err := transport.Deliver(context.Background(), mails(4))
		if err != nil || strings.Count(fmt.Sprint(outcomes(results)), "Accepted") != 4 {
			t.Fatalf("a relay that was restarted between batches costs nothing: %v %v", results, err)
		}
		server.Stop()
		server.Start()
	}
	if got := len(server.Messages()); got != 12 {
		t.Errorf("%d messages arrived, want 12", got)
	}
}

// BenchmarkDeliver hands messages of 9 KB over to a test server in this process.
func BenchmarkDeliver(b *testing.B) {
	server := delivertest.NewServer(b, delivertest.Behaviour{})
	transport, err := New(Options{Host: server.Host(), Port: server.Port(), TLS: None, Connections: 4})
	if err != nil {
		b.Fatal(err)
	}
	batch := mails(16)
	for i := range batch {
		batch[i].Data = append(batch[i].Data, strings.Repeat(strings.Repeat("x", 76)+"\r\n", 115)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := transport.Deliver(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "messages/s")
	_ = transport.Close()
}
