package imap_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/inbound/imap"
	"github.com/tertulia-crm/tertulia/internal/inbound/imap/imaptest"
)

func mailbox(s *imaptest.Server) imap.Options {
	return imap.Options{
		Host: s.Host, Port: s.TLSPort, TLS: imap.Implicit, Username: s.Username, Password: s.Password,
		TLSConfig: &tls.Config{RootCAs: s.Trust, MinVersion: tls.VersionTLS12},
	}
}

// subjects takes what is new and returns the subjects with the cursor behind them.
func subjects(t *testing.T, o imap.Options, after inbound.Cursor) (got []string, read inbound.Cursor) {
	t.Helper()
	read = after
	err := imap.Take(context.Background(), o, after, func(_ context.Context, messages []imap.Message, at inbound.Cursor) error {
		for _, m := range messages {
			line, _, _ := bytes.Cut(m.Raw, []byte("\r\n"))
			got = append(got, strings.TrimPrefix(string(line), "Subject: "))
		}
		read = at
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, read
}

func TestTakeEachOnce(t *testing.T) {
	server := imaptest.New(t)
	o := mailbox(server)
	if got, _ := subjects(t, o, inbound.Cursor{}); got != nil {
		t.Fatalf("an empty mailbox holds %v", got)
	}
	var want []string
	for i := range 45 {
		want = append(want, fmt.Sprint(i))
		server.Put(fmt.Sprintf("Subject: %d\r\n\r\ntext\r\n", i))
	}
	got, read := subjects(t, o, inbound.Cursor{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all, in their order (-want +got):\n%s", diff)
	}
	if got, _ := subjects(t, o, read); got != nil {
		t.Errorf("taken twice: %v", got)
	}
	server.Put("Subject: late\r\n\r\ntext\r\n")
	o.Port, o.TLS = server.Port, imap.StartTLS
	if got, read = subjects(t, o, read); len(got) != 1 || got[0] != "late" {
		t.Errorf("what is new: %v", got)
	}
	server.Renumber()
	if got, again := subjects(t, o, read); len(got) != 46 || again.Validity == read.Validity {
		t.Errorf("a mailbox that is numbered anew gives %d messages, and the validity is %d after %d", len(got), again.Validity, read.Validity)
	}
}

func TestTakeStopsWhereItCannotBeKept(t *testing.T) {
	server := imaptest.New(t)
	for i := range 45 {
		server.Put(fmt.Sprintf("Subject: %d\r\n\r\ntext\r\n", i))
	}
	away := errors.New("the database is away")
	batches := 0
	err := imap.Take(context.Background(), mailbox(server), inbound.Cursor{}, func(context.Context, []imap.Message, inbound.Cursor) error {
		batches++
		return away
	})
	if !errors.Is(err, away) || batches != 1 {
		t.Errorf("after %d batches: %v", batches, err)
	}
}

func TestTakeBoundsMessages(t *testing.T) {
	server := imaptest.New(t)
	server.Put("Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 200_000))
	err := imap.Take(context.Background(), mailbox(server), inbound.Cursor{}, func(_ context.Context, messages []imap.Message, _ inbound.Cursor) error {
		if len(messages) != 1 || len(messages[0].Raw) != inbound.MaxMessage {
			t.Errorf("%d messages, the first of %d bytes", len(messages), len(messages[0].Raw))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTakeTroubles(t *testing.T) {
	server := imaptest.New(t)
	cases := map[string]struct {
		change func(*imap.Options)
		stage  string
	}{
		"Password":          {func(o *imap.Options) { o.Password = "wrong" }, "LOGIN"},
		"Mailbox":           {func(o *imap.Options) { o.Mailbox = "Nowhere" }, "EXAMINE"},
		"Untrusted":         {func(o *imap.Options) { o.TLSConfig = nil }, "connect"},
		"UntrustedStartTLS": {func(o *imap.Options) { o.TLSConfig, o.TLS, o.Port = nil, imap.StartTLS, server.Port }, "STARTTLS"},
		"Nobody":            {func(o *imap.Options) { o.Port = 1 }, "connect"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := mailbox(server)
			tc.change(&o)
			err := imap.Take(context.Background(), o, inbound.Cursor{}, nil)
			var trouble *imap.Trouble
			if !errors.As(err, &trouble) || trouble.Stage != tc.stage {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), server.Password) || strings.Contains(err.Error(), server.Username) {
				t.Errorf("it tells a secret: %v", err)
			}
		})
	}
}

// TestTakeEndsWithItsContext: a server that says nothing holds nobody up for longer than the caller wants.
func TestTakeEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // the test is over
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	o := imap.Options{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: imap.None}
	if err := imap.Take(ctx, o, inbound.Cursor{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
