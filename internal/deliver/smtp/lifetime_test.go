package smtp

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
)

func eventually(t *testing.T, happened func() bool) {
	t.Helper()
	gomega.NewWithT(t).Eventually(happened).WithTimeout(30 * time.Second).WithPolling(time.Millisecond).Should(gomega.BeTrue())
}

// TestCancel: the message whose dot is out is completed, the others are not begun: of the one whose commands left with that dot, the
// relay gets no content.
func TestCancel(t *testing.T) {
	reached, go1 := make(chan struct{}), make(chan struct{})
	server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Dot && e.Message == 1 {
			close(reached)
			return delivertest.Action{Wait: go1}
		}
		return delivertest.Action{}
	}})
	transport := connect(t, server, nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("SIGTERM")
	go func() {
		<-reached
		cancel(reason)
		close(go1)
	}()
	results, err := transport.Deliver(ctx, mails(5))
	if !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
	want := []deliver.Outcome{deliver.Accepted, deliver.Untouched, deliver.Untouched, deliver.Untouched, deliver.Untouched}
	if diff := cmp.Diff(want, outcomes(results)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(server.Messages()) != 1 {
		t.Errorf("%d messages arrived, want 1", len(server.Messages()))
	}
}

// TestCloseWhileInUse: who cannot wait for the answer learns what is known, and what left without one is Unknown.
func TestCloseWhileInUse(t *testing.T) {
	reached, never := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(never) })
	server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Dot && e.Message == 2 {
			close(reached)
			return delivertest.Action{Wait: never}
		}
		return delivertest.Action{}
	}})
	transport := connect(t, server, nil)
	go func() {
		<-reached
		_ = transport.Close()
	}()
	results, err := transport.Deliver(context.Background(), mails(4))
	if err == nil {
		t.Error("messages were left, and no error says why")
	}
	want := []deliver.Outcome{deliver.Accepted, deliver.Unknown, deliver.Untouched, deliver.Untouched}
	if diff := cmp.Diff(want, outcomes(results)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestCancelWhileConnecting: nothing was begun, so nothing is waited for.
func TestCancelWhileConnecting(t *testing.T) {
	reached := make(chan struct{})
	server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Greeting {
			close(reached)
			return delivertest.Action{Hang: true}
		}
		return delivertest.Action{}
	}})
	transport := connect(t, server, nil)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-reached; cancel() }()
	results, err := transport.Deliver(ctx, mails(1))
	if !errors.Is(err, context.Canceled) || results[0].Outcome != deliver.Untouched {
		t.Errorf("%v %v", results, err)
	}
}

func TestIdle(t *testing.T) {
	left := make(chan struct{})
	server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Quit && e.Connection == 1 {
			close(left)
		}
		return delivertest.Action{}
	}})
	transport := connect(t, server, func(o *Options) { o.IdleTimeout = time.Millisecond })
	if _, err := transport.Deliver(context.Background(), mails(1)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-left:
	case <-time.After(30 * time.Second):
		t.Fatal("an idle connection was not closed")
	}
	if _, err := transport.Deliver(context.Background(), mails(1)); err != nil {
		t.Error(err)
	}
}

// TestShared: batches handed over at the same time share the connections.
func TestShared(t *testing.T) {
	server := delivertest.NewServer(t, delivertest.Behaviour{})
	transport := connect(t, server, func(o *Options) { o.Connections = 2 })
	done := make(chan error)
	for range 6 {
		go func() {
			_, err := transport.Deliver(context.Background(), mails(20))
			done <- err
		}()
	}
	for range 6 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := server.Connections(); got > 2 {
		t.Errorf("%d connections, want 2 at most", got)
	}
}

func TestNew(t *testing.T) {
	good := Options{Host: "relay.example", Port: 587, TLS: StartTLS}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Options){
		"no host":              func(o *Options) { o.Host = "" },
		"no port":              func(o *Options) { o.Port = 0 },
		"no TLS mode":          func(o *Options) { o.TLS = "" },
		"EHLO name with more":  func(o *Options) { o.HELO = "a\r\nMAIL" },
		"negative connections": func(o *Options) { o.Connections = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestCredentialsInClear: they go to this machine only.
func TestCredentialsInClear(t *testing.T) {
	transport, err := New(Options{Host: "relay.example", Port: 25, TLS: None, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{t: transport, net: elsewhere{}, offers: offers{auth: []string{"PLAIN"}}}
	if err := c.authenticate(); err == nil || !strings.Contains(err.Error(), "do not travel in clear") {
		t.Errorf("error %v", err)
	}
}

// elsewhere is a connection to another machine on which nothing may be written.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

// Until when a relay's certificate is good is told before it has run out, and after: then nothing is handed over.
func TestCertificateIsTold(t *testing.T) {
	for name, now := range map[string]time.Time{"good": time.Now(), "expired": time.Now().Add(48 * time.Hour)} {
		t.Run(name, func(t *testing.T) {
			s := delivertest.NewServer(t, delivertest.Behaviour{ImplicitTLS: true})
			config := s.TLSConfig()
			config.Time = func() time.Time { return now }
			var told []time.Time
			transport, err := New(Options{
				Host: s.Host(), Port: s.Port(), TLS: Implicit, Connections: 1, TLSConfig: config,
				Certificate: func(notAfter time.Time) { told = append(told, notAfter) },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = transport.Close() }()
			_, err = transport.Deliver(context.Background(), []deliver.Message{{From: "a@velo.example", To: "b@people.example", Data: []byte("Subject: x\r\n\r\nx\r\n")}})
			if (err != nil) != (name == "expired") {
				t.Errorf("deliver: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "expired") {
				t.Errorf("the trouble does not say that the certificate has expired: %v", err)
			}
			if len(told) != 1 || told[0].Before(time.Now().Add(23*time.Hour)) || told[0].After(time.Now().Add(25*time.Hour)) {
				t.Errorf("told %v, want the end of the certificate, once", told)
			}
		})
	}
}

// Who waits for a Deliver whose ctx has ended waits for as long as Patience says, and no longer.
func TestPatience(t *testing.T) {
	limits := Timeouts{Connect: time.Second, Greeting: time.Second, Command: time.Second, Data: time.Second, Block: time.Second, Dot: 500 * time.Millisecond}
	for name, stage := range map[string]delivertest.Stage{
		"greeting": delivertest.Greeting, "EHLO": delivertest.Ehlo, "MAIL": delivertest.Mail, "RCPT": delivertest.Rcpt, "DATA": delivertest.Data, "dot": delivertest.Dot,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{}, 100)
			server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
				if e.Stage == stage {
					arrived <- struct{}{}
					return delivertest.Action{Hang: true}
				}
				return delivertest.Action{}
			}})
			transport := connect(t, server, func(o *Options) { o.Timeouts = limits })
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ctx.Err() == nil { // on a machine that stands still for a moment the first may not get that far
					_, _ = transport.Deliver(ctx, mails(100))
				}
			}()
			<-arrived
			cancel()
			select {
			case <-done:
			case <-time.After(transport.Patience(1000) + 10*time.Second): // one after the other the messages would take longer
				t.Errorf("after %s it still goes on", transport.Patience(1000)+10*time.Second)
			}
		})
	}
	transport, err := New(Options{Host: "127.0.0.1", Port: 25, TLS: None})
	if err != nil {
		t.Fatal(err)
	}
	// Ten minutes for a dot, and for the message after it fifteen for commands, two for DATA, six for the content and ten again.
	if got, want := transport.Patience(10_000), 43*time.Minute; got != want {
		t.Errorf("with the limits of RFC 5321: %s, want %s", got, want)
	}
	if transport.Patience(10<<20) <= transport.Patience(10_000) {
		t.Error("a large message takes longer")
	}
}
