package smtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/deliver/socket"
)

// at answers so at a stage and agrees elsewhere.
func at(stage delivertest.Stage, a delivertest.Action) func(delivertest.Event) delivertest.Action {
	return func(e delivertest.Event) delivertest.Action {
		if e.Stage == stage {
			return a
		}
		return delivertest.Action{}
	}
}

// short makes a transport wait for little at the stages at which relays hang here, and no less at those before them than a busy machine takes.
func short(o *Options) {
	o.Timeouts.Command, o.Timeouts.Dot = 5*time.Second, 100*time.Millisecond
}

// TestTrouble: what the channel's author is told, and that no message is touched.
func TestTrouble(t *testing.T) {
	for name, tc := range map[string]struct {
		behaviour delivertest.Behaviour
		options   func(*Options)
		stage     string
		want      string // within the error
	}{
		"greeting refuses": {
			delivertest.Behaviour{Answer: at(delivertest.Greeting, delivertest.Action{Reply: "554 5.7.1 your network is blocked"})},
			nil,
			stageGreeting, "the relay does not greet (554 5.7.1 your network is blocked)",
		},
		"greeting is late": {
			delivertest.Behaviour{Answer: at(delivertest.Greeting, delivertest.Action{Hang: true})},
			func(o *Options) { o.Timeouts.Greeting = 100 * time.Millisecond }, stageGreeting, "i/o timeout",
		},
		"greeting is no SMTP": {
			delivertest.Behaviour{Answer: at(delivertest.Greeting, delivertest.Action{Reply: "SSH-2.0-OpenSSH_9"})},
			nil,
			stageGreeting, "not an SMTP reply",
		},
		"endless greeting": {
			delivertest.Behaviour{Answer: at(delivertest.Greeting, delivertest.Action{Reply: strings.Repeat("220-x\r\n", 500) + "220 x"})},
			nil,
			stageGreeting, "more than 128 lines",
		},
		"endless line": {
			delivertest.Behaviour{Answer: at(delivertest.Greeting, delivertest.Action{Reply: "220 " + strings.Repeat("x", 9000)})},
			nil,
			stageGreeting, "a line of more than 4096 bytes",
		},
		"EHLO refused":     {delivertest.Behaviour{Answer: at(delivertest.Ehlo, delivertest.Action{Reply: "502 5.5.2 no"})}, nil, stageEHLO, "502 5.5.2 no"},
		"STARTTLS missing": {delivertest.Behaviour{}, func(o *Options) { o.TLS = StartTLS }, stageStartTLS, "the relay does not offer it"},
		"STARTTLS refused": {
			delivertest.Behaviour{StartTLS: true, Answer: at(delivertest.StartTLS, delivertest.Action{Reply: "454 4.7.0 no"})},
			func(o *Options) { o.TLS = StartTLS }, stageStartTLS, "the relay refuses it",
		},
		"words injected before TLS": {
			delivertest.Behaviour{StartTLS: true, Injected: "250 2.0.0 evil"}, func(o *Options) { o.TLS = StartTLS }, stageStartTLS, "injected in clear",
		},
		"unknown certificate": {
			delivertest.Behaviour{ImplicitTLS: true}, func(o *Options) { o.TLS, o.TLSConfig = Implicit, nil }, stageTLS, "certificate",
		},
		"TLS to a plain port": {
			delivertest.Behaviour{}, func(o *Options) { o.TLS = Implicit }, stageTLS, "check tls and port",
		},
		"AUTH not offered": {
			delivertest.Behaviour{}, func(o *Options) { o.Username, o.Password = "user@relay", "s3cret" }, stageAuth, "takes no credentials on this connection",
		},
		"AUTH by other means": {
			delivertest.Behaviour{Auth: map[string]string{}, Mechanisms: []string{"GSSAPI"}},
			func(o *Options) { o.Username = "user@relay" },
			stageAuth, "neither PLAIN nor LOGIN but GSSAPI",
		},
		"AUTH refused": {
			delivertest.Behaviour{Auth: map[string]string{}},
			func(o *Options) { o.Username, o.Password = "user@relay", "s3cret" },
			stageAuth, "refuses the credentials: check username and password in the Secret (535 5.7.8)",
		},
		"MAIL refused": {
			delivertest.Behaviour{Answer: at(delivertest.Mail, delivertest.Action{Reply: "550 5.1.8 velo@velo.example unknown"})},
			nil,
			stageMail, "the relay refuses the sender or takes no mail now (550 5.1.8)",
		},
		"MAIL deferred": {
			delivertest.Behaviour{Answer: at(delivertest.Mail, delivertest.Action{Reply: "452 4.3.1 disk full"})}, nil, stageMail, "(452 4.3.1)",
		},
		"closing at once": {
			delivertest.Behaviour{Answer: at(delivertest.Mail, delivertest.Action{Reply: "421 4.7.0 too many connections", Close: true})},
			nil,
			stageMail, "(421 4.7.0)",
		},
		"hanging up at MAIL": {
			delivertest.Behaviour{Answer: at(delivertest.Mail, delivertest.Action{Close: true})}, nil, stageMail, "the relay does not answer",
		},
		"silent at MAIL": {
			delivertest.Behaviour{Answer: at(delivertest.Mail, delivertest.Action{Hang: true})}, short, stageMail, "the relay does not answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, pipelining := range []bool{true, false} {
				tc.behaviour.NoPipelining = !pipelining
				server := delivertest.NewServer(t, tc.behaviour)
				results, err := connect(t, server, tc.options).Deliver(context.Background(), mails(3))
				var trouble *deliver.Trouble
				if !errors.As(err, &trouble) {
					t.Fatalf("pipelining %t: error %v", pipelining, err)
				}
				if trouble.Stage != tc.stage || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("pipelining %t: stage %s, want %s; error %q, want within %q", pipelining, trouble.Stage, tc.stage, err, tc.want)
				}
				if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "user@relay") || strings.Contains(err.Error(), "velo@velo") {
					t.Errorf("pipelining %t: the error tells too much: %v", pipelining, err)
				}
				if diff := cmp.Diff([]deliver.Outcome{deliver.Untouched, deliver.Untouched, deliver.Untouched}, outcomes(results)); diff != "" {
					t.Errorf("pipelining %t: outcomes (-want +got):\n%s", pipelining, diff)
				}
				if got := server.Messages(); len(got) > 0 {
					t.Errorf("pipelining %t: %d messages arrived", pipelining, len(got))
				}
			}
		})
	}
}

// TestFirstMessage: what becomes of the first of three messages when the relay misbehaves with it; the others go on
// their way where the channel is not in trouble.
func TestFirstMessage(t *testing.T) {
	const first = "p0@example.com"
	for name, tc := range map[string]struct {
		reason  string
		stage   delivertest.Stage
		action  delivertest.Action
		options func(*Options)
		want    deliver.Result
		others  deliver.Outcome
		arrives bool
	}{
		"RCPT 550":      {"refused for good", delivertest.Rcpt, delivertest.Action{Reply: "550 5.1.1 nobody"}, nil, deliver.Result{Outcome: deliver.Refused, Code: 550, Reply: "5.1.1 nobody"}, deliver.Accepted, false},
		"RCPT 450":      {"refused for now", delivertest.Rcpt, delivertest.Action{Reply: "450-4.2.1 try\r\n450 4.2.1 later"}, nil, deliver.Result{Outcome: deliver.Deferred, Code: 450, Reply: "4.2.1 try 4.2.1 later"}, deliver.Accepted, false},
		"RCPT 421":      {"and the connection ends", delivertest.Rcpt, delivertest.Action{Reply: "421 4.3.2 bye", Close: true}, nil, deliver.Result{Outcome: deliver.Deferred, Code: 421, Reply: "4.3.2 bye"}, deliver.Accepted, false},
		"RCPT closed":   {"nothing was handed over", delivertest.Rcpt, delivertest.Action{Close: true}, nil, deliver.Result{Outcome: deliver.Deferred, Reply: "the connection ended at RCPT"}, deliver.Accepted, false},
		"RCPT nonsense": {"no reply of SMTP", delivertest.Rcpt, delivertest.Action{Reply: "hello"}, nil, deliver.Result{Outcome: deliver.Deferred, Reply: "the connection ended at RCPT"}, deliver.Accepted, false},
		"RCPT 354":      {"a reply of another stage", delivertest.Rcpt, delivertest.Action{Reply: "354 go"}, nil, deliver.Result{Outcome: deliver.Deferred, Reply: "the connection ended at RCPT"}, deliver.Accepted, false},
		"RCPT silent":   {"the channel is in trouble", delivertest.Rcpt, delivertest.Action{Hang: true}, short, deliver.Result{Outcome: deliver.Deferred, Reply: "the relay did not answer in time at RCPT"}, deliver.Untouched, false},
		"DATA 554":      {"refused for good", delivertest.Data, delivertest.Action{Reply: "554 5.5.1 no"}, nil, deliver.Result{Outcome: deliver.Refused, Code: 554, Reply: "5.5.1 no"}, deliver.Accepted, false},
		"DATA 451":      {"refused for now", delivertest.Data, delivertest.Action{Reply: "451 4.3.0 no"}, nil, deliver.Result{Outcome: deliver.Deferred, Code: 451, Reply: "4.3.0 no"}, deliver.Accepted, false},
		"DATA 250":      {"nothing was handed over, whatever it says", delivertest.Data, delivertest.Action{Reply: "250 fine"}, nil, deliver.Result{Outcome: deliver.Deferred, Reply: "the connection ended at DATA"}, deliver.Accepted, false},
		"DATA closed":   {"nothing was handed over", delivertest.Data, delivertest.Action{Close: true}, nil, deliver.Result{Outcome: deliver.Deferred, Reply: "the connection ended at DATA"}, deliver.Accepted, false},
		"dot 550":       {"refused for good", delivertest.Dot, delivertest.Action{Reply: "550 5.7.1 spam"}, nil, deliver.Result{Outcome: deliver.Refused, Code: 550, Reply: "5.7.1 spam"}, deliver.Accepted, false},
		"dot 451":       {"refused for now", delivertest.Dot, delivertest.Action{Reply: "451 4.3.0 no"}, nil, deliver.Result{Outcome: deliver.Deferred, Code: 451, Reply: "4.3.0 no"}, deliver.Accepted, false},
		"dot 421":       {"refused for now, and the connection ends", delivertest.Dot, delivertest.Action{Reply: "421 4.3.2 bye", Close: true}, nil, deliver.Result{Outcome: deliver.Deferred, Code: 421, Reply: "4.3.2 bye"}, deliver.Accepted, false},
		"dot 250, end":  {"accepted, and the connection ends", delivertest.Dot, delivertest.Action{Reply: "250 2.0.0 taken", Close: true}, nil, deliver.Result{Outcome: deliver.Accepted, Code: 250, Reply: "2.0.0 taken"}, deliver.Accepted, true},
		"dot closed":    {"nobody knows", delivertest.Dot, delivertest.Action{Close: true}, nil, deliver.Result{Outcome: deliver.Unknown}, deliver.Untouched, true},
		"dot silent":    {"nobody knows", delivertest.Dot, delivertest.Action{Hang: true}, short, deliver.Result{Outcome: deliver.Unknown}, deliver.Untouched, true},
		"dot nonsense":  {"nobody knows", delivertest.Dot, delivertest.Action{Reply: "taken!"}, nil, deliver.Result{Outcome: deliver.Unknown}, deliver.Untouched, false},
		"dot 354":       {"nobody knows", delivertest.Dot, delivertest.Action{Reply: "354 more"}, nil, deliver.Result{Outcome: deliver.Unknown, Code: 354, Reply: "more"}, deliver.Untouched, false},
		"long words":    {"cut, without control characters", delivertest.Rcpt, delivertest.Action{Reply: "550 \x1b[31m" + strings.Repeat("ñ", 300)}, nil, deliver.Result{Outcome: deliver.Refused, Code: 550, Reply: "?[31m" + strings.Repeat("ñ", 195)}, deliver.Accepted, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, pipelining := range []bool{true, false} {
				server := delivertest.NewServer(t, delivertest.Behaviour{NoPipelining: !pipelining, Answer: func(e delivertest.Event) delivertest.Action {
					if e.Stage == tc.stage && e.To == first {
						return tc.action
					}
					return delivertest.Action{}
				}})
				results, err := connect(t, server, tc.options).Deliver(context.Background(), mails(3))
				if (err == nil) != (tc.others == deliver.Accepted) {
					t.Errorf("pipelining %t: error %v", pipelining, err)
				}
				if diff := cmp.Diff(tc.want, results[0]); diff != "" {
					t.Errorf("pipelining %t, %s (-want +got):\n%s", pipelining, tc.reason, diff)
				}
				if diff := cmp.Diff([]deliver.Outcome{tc.others, tc.others}, outcomes(results[1:])); diff != "" {
					t.Errorf("pipelining %t, the others (-want +got):\n%s", pipelining, diff)
				}
				arrived := func() bool { return strings.Contains(fmt.Sprint(server.Recipients()), first) }
				if tc.arrives {
					eventually(t, arrived) // a relay that says nothing may take it when its client has gone
				} else if arrived() {
					t.Errorf("pipelining %t: it arrived", pipelining)
				}
			}
		})
	}
}

// TestLoneDot: a relay that refuses the recipient and answers 354 all the same gets a dot and no content, and the next
// message is not harmed (RFC 2920, section 3.1).
func TestLoneDot(t *testing.T) {
	server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		switch {
		case e.Stage == delivertest.Rcpt && strings.HasPrefix(e.To, "p1@"):
			return delivertest.Action{Reply: "550 5.1.1 nobody"}
		case e.Stage == delivertest.Data:
			return delivertest.Action{Reply: "354 go ahead"}
		}
		return delivertest.Action{}
	}})
	results, err := connect(t, server, nil).Deliver(context.Background(), mails(4))
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]deliver.Outcome{deliver.Accepted, deliver.Refused, deliver.Accepted, deliver.Accepted}, outcomes(results)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if server.Connections() != 1 {
		t.Errorf("%d connections, want 1", server.Connections())
	}
}

// TestClosingRelay: a relay that takes only so many messages by a connection costs nothing but another connection.
func TestClosingRelay(t *testing.T) {
	server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Mail && e.Message > 3 {
			return delivertest.Action{Reply: "421 4.7.0 enough", Close: true}
		}
		return delivertest.Action{}
	}})
	results, err := connect(t, server, nil).Deliver(context.Background(), mails(10))
	if err != nil {
		t.Error(err)
	}
	for i, r := range results {
		if r.Outcome != deliver.Accepted {
			t.Errorf("message %d: %+v", i, r)
		}
	}
	if len(server.Messages()) != 10 {
		t.Errorf("%d messages arrived, want 10", len(server.Messages()))
	}
}

// TestLargeMessage: a connection that ends while content that the kernel could not take at once is written leaves the
// message Deferred: its dot was not begun.
func TestLargeMessage(t *testing.T) {
	large := mail("p0@example.com")
	large.Data = append(large.Data, bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), 400_000)...) // 31 MB
	for name, action := range map[string]delivertest.Action{"hangs": {Hang: true}, "closes": {Close: true}} {
		t.Run(name, func(t *testing.T) {
			server := delivertest.NewServer(t, delivertest.Behaviour{Answer: at(delivertest.Body, action)})
			transport := connect(t, server, func(o *Options) { o.Timeouts.Block = 200 * time.Millisecond })
			results, err := transport.Deliver(context.Background(), []deliver.Message{large})
			if results[0].Outcome != deliver.Deferred || err != nil {
				t.Errorf("%+v %v", results, err)
			}
		})
	}
}

// TestGone: a relay that was gone before the content was written leaves the message Deferred, not Unknown.
func TestGone(t *testing.T) {
	client, server := tcpPair(t)
	raw, err := client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if closed, pending := socket.Peek(raw); closed || pending {
		t.Fatalf("a live connection is closed %t, has words %t", closed, pending)
	}
	if _, err := server.Write([]byte("421 bye\r\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { _, pending := socket.Peek(raw); return pending })
	if _, err := client.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { closed, _ := socket.Peek(raw); return closed })

	transport, err := New(Options{Host: "relay.example", Port: 25, TLS: None})
	if err != nil {
		t.Fatal(err)
	}
	b := newBatch(context.Background(), mails(1))
	c := &conn{t: transport, net: client, raw: raw, r: bufio.NewReader(client)}
	if _, _, err := c.finish(b, &transaction{batch: b, message: &b.Messages[0]}, content); err != nil {
		t.Error(err)
	}
	if got := b.Results[0]; got.Outcome != deliver.Deferred || !c.broken {
		t.Errorf("%+v, broken %t", got, c.broken)
	}
}

func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn) //nolint:forcetypeassert // of a TCP listener
}

// TestImpossible: what the relay said it does not take is refused without asking.
func TestImpossible(t *testing.T) {
	utf8, eightBit := mail("añá@example.com"), mail("b@example.com")
	eightBit.Data = []byte("Subject: x\r\n\r\nañá\r\n")
	large := mail("c@example.com")
	large.Data = append(large.Data, bytes.Repeat([]byte("x\r\n"), 1000)...)
	batch := []deliver.Message{utf8, eightBit, large, mail("d@example.com")}

	server := delivertest.NewServer(t, delivertest.Behaviour{No8BitMIME: true, NoSMTPUTF8: true, Size: 1000})
	results, err := connect(t, server, nil).Deliver(context.Background(), batch)
	if err != nil {
		t.Error(err)
	}
	var codes []int
	for _, r := range results {
		codes = append(codes, r.Code)
	}
	if diff := cmp.Diff([]int{553, 554, 552, 250}, codes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	server = delivertest.NewServer(t, delivertest.Behaviour{})
	if _, err := connect(t, server, nil).Deliver(context.Background(), batch); err != nil {
		t.Error(err)
	}
	params := map[string]string{}
	for _, m := range server.Messages() {
		params[m.To] = m.Params
	}
	want := map[string]string{
		utf8.To: fmt.Sprintf("SIZE=%d BODY=8BITMIME SMTPUTF8", len(utf8.Data)), eightBit.To: fmt.Sprintf("SIZE=%d BODY=8BITMIME", len(eightBit.Data)),
		large.To: fmt.Sprintf("SIZE=%d", len(large.Data)), "d@example.com": fmt.Sprintf("SIZE=%d", len(batch[3].Data)),
	}
	if diff := cmp.Diff(want, params); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTooLargeForTheRelay: 552 to MAIL that told the size is this message's, not the channel's (RFC 1870).
func TestTooLargeForTheRelay(t *testing.T) {
	server := delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Mail && e.Connection == 1 {
			return delivertest.Action{Reply: "552 5.3.4 too big"}
		}
		return delivertest.Action{}
	}})
	results, err := connect(t, server, nil).Deliver(context.Background(), mails(2))
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]deliver.Outcome{deliver.Refused, deliver.Accepted}, outcomes(results)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
