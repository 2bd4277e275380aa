package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// sinkArgument makes this program a sink for mail: see runSink.
const sinkArgument = "sink"

// sink is a process that takes mail and throws it away: it does what a server of mail must do at least, and nothing else.
type sink struct {
	*child
	address string
}

// startSink starts a sink that takes so long for each message.
func startSink(ctx context.Context, log io.Writer, delay time.Duration) (*sink, error) {
	c, address, err := startServing(ctx, log, sinkArgument, delay.String())
	if err != nil {
		return nil, err
	}
	return &sink{child: c, address: address}, nil
}

// taken is what a sink has taken so far.
type taken struct {
	messages, recipients, bytes int64     // a recipient counts once
	first, last                 time.Time // zero before the first message
}

// ask asks a sink what it has taken.
func (s *sink) ask(ctx context.Context) (t taken, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return t, fmt.Errorf("ask the sink: %w", err)
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	if _, err := fmt.Fprint(conn, "NOOP\r\n"); err != nil {
		return t, err
	}
	var first, last int64
	if _, err := r.ReadString('\n'); err != nil { // the greeting
		return t, err
	}
	if _, err := fmt.Fscanf(r, "250 %d %d %d %d %d\r\n", &t.messages, &t.recipients, &t.bytes, &first, &last); err != nil {
		return t, fmt.Errorf("read the sink's answer: %w", err)
	}
	if first > 0 {
		t.first, t.last = time.Unix(0, first), time.Unix(0, last)
	}
	return t, nil
}

// sinkServer is the sink within its process.
type sinkServer struct {
	delay           time.Duration
	messages, bytes atomic.Int64
	first, last     atomic.Int64 // in nanoseconds since 1970
	mu              sync.Mutex
	recipients      map[string]struct{} // who has got a message
}

// runSink takes mail on a free port of this machine, which it prints, until the process is ended. It speaks SMTP as far as
// senders need it: EHLO with PIPELINING, RSET, MAIL, RCPT, DATA, QUIT; NOOP tells what it has taken.
func runSink(args []string) error {
	if len(args) != 1 {
		return errors.New("the sink needs a delay for each message")
	}
	delay, err := time.ParseDuration(args[0])
	if err != nil {
		return fmt.Errorf("delay of the sink: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println(l.Addr())
	s := &sinkServer{delay: delay, recipients: make(map[string]struct{}, 1<<17)}
	for {
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go s.serve(conn)
	}
}

// What the sink says. Answers to commands that arrive together leave together.
const (
	sinkGreeting = "220 sink\r\n"
	sinkOffers   = "250-sink\r\n250-8BITMIME\r\n250-SIZE 10485760\r\n250 PIPELINING\r\n"
	sinkYes      = "250 2.0.0 OK\r\n"
	sinkGo       = "354 go\r\n"
	sinkOrder    = "503 5.5.1 not now\r\n"
	sinkUnknown  = "500 5.5.2 what?\r\n"
	sinkBye      = "221 2.0.0 bye\r\n"
)

// sinkSession is one connection to the sink.
type sinkSession struct {
	*sinkServer
	out     []byte
	mail    bool   // MAIL was said
	to      []byte // who RCPT named
	content bool   // what comes next is a message's
	bytes   int64  // of it so far
	over    bool
}

func (s *sinkServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	session := &sinkSession{sinkServer: s, out: append(make([]byte, 0, 4<<10), sinkGreeting...)}
	in := make([]byte, 64<<10)
	have := 0
	for !session.over && have < len(in) {
		if len(session.out) > 0 {
			if _, err := conn.Write(session.out); err != nil {
				return
			}
			session.out = session.out[:0]
		}
		n, err := conn.Read(in[have:])
		if err != nil {
			return
		}
		have += n
		rest := in[:have]
		for end := bytes.IndexByte(rest, '\n'); end >= 0; end = bytes.IndexByte(rest, '\n') {
			if session.content {
				session.contentLine(rest[:end+1])
			} else {
				session.command(bytes.TrimSuffix(rest[:end], []byte("\r")))
			}
			rest = rest[end+1:]
		}
		have = copy(in, rest)
	}
	_, _ = conn.Write(session.out)
}

// contentLine passes over a line of a message. A dot alone ends it.
func (s *sinkSession) contentLine(line []byte) {
	if len(line) != 3 || line[0] != '.' || line[1] != '\r' {
		s.bytes += int64(len(line))
		return
	}
	s.content = false
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	now := time.Now().UnixNano()
	s.first.CompareAndSwap(0, now)
	s.last.Store(now)
	s.sinkServer.bytes.Add(s.bytes)
	s.messages.Add(1)
	s.mu.Lock()
	s.recipients[string(s.to)] = struct{}{}
	s.mu.Unlock()
	s.mail, s.to, s.bytes = false, s.to[:0], 0
	s.out = append(s.out, sinkYes...)
}

// command answers a command.
func (s *sinkSession) command(line []byte) {
	verb, _, _ := bytes.Cut(line, []byte(" "))
	answer := sinkYes
	switch string(bytes.ToUpper(verb)) {
	case "MAIL":
		s.mail, s.to = true, s.to[:0]
	case "RCPT":
		from, to := bytes.IndexByte(line, '<'), bytes.IndexByte(line, '>')
		if !s.mail || len(s.to) > 0 || from < 0 || to <= from+1 {
			answer = sinkOrder
			break
		}
		s.to = append(s.to, line[from+1:to]...)
	case "DATA":
		if answer = sinkGo; len(s.to) == 0 {
			answer = sinkOrder
			break
		}
		s.content = true
	case "RSET":
		s.mail, s.to = false, s.to[:0]
	case "EHLO":
		answer = sinkOffers
	case "NOOP":
		answer = s.tell()
	case "QUIT":
		answer, s.over = sinkBye, true
	default:
		answer = sinkUnknown
	}
	s.out = append(s.out, answer...)
}

// tell says what the sink has taken.
func (s *sinkServer) tell() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("250 %d %d %d %d %d\r\n", s.messages.Load(), len(s.recipients), s.bytes.Load(), s.first.Load(), s.last.Load())
}
