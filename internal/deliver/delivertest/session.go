package delivertest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// commandLine is what begins like a command: a TLS handshake on a plain port does not.
var commandLine = regexp.MustCompile(`^[A-Za-z]{4,8}[ \r]`)

// errEnded ends a session whose connection closes.
var errEnded = errors.New("the session ended")

// session is one connection of a client.
type session struct {
	server   *Server
	raw      net.Conn
	conn     net.Conn // raw, or TLS over it
	r        *bufio.Reader
	w        *bufio.Writer
	number   int
	released <-chan struct{}

	message  int
	from, to string
	params   string
	opened   bool // MAIL was accepted
	accepted bool // the recipient was
	secured  bool
	trusted  bool // AUTH succeeded
	positive bool // the last answer was 2xx
	wanted   bool // the last answer was 3xx: the message is to follow
}

func (s *session) run() {
	b := s.server.current()
	if b.ImplicitTLS {
		s.conn, s.secured = tls.Server(s.raw, s.server.tls), true
	}
	s.r, s.w = bufio.NewReaderSize(s.conn, 64<<10), bufio.NewWriter(s.writer())
	if s.answer(Greeting, "220 test.example ESMTP") != nil {
		return
	}
	for {
		if s.r.Buffered() == 0 && s.flush() != nil {
			return
		}
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		if s.r.Buffered() > 0 && commandLine.MatchString(line) && s.server.current().NoPipelining {
			s.server.t.Errorf("the client pipelined %q although PIPELINING was not offered", strings.TrimSpace(line))
		}
		if err := s.command(strings.TrimRight(line, "\r\n")); err != nil {
			return
		}
	}
}

func (s *session) command(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO":
		return s.answer(Ehlo, s.capabilities())
	case "STARTTLS":
		return s.startTLS()
	case "AUTH":
		return s.authenticate(rest)
	case "MAIL":
		return s.mail(rest)
	case "RCPT":
		return s.rcpt(rest)
	case "DATA":
		return s.data()
	case "RSET":
		s.opened, s.accepted, s.from, s.to = false, false, "", ""
		return s.answer(Rset, "250 2.0.0 flushed")
	case "NOOP":
		return s.say("250 2.0.0 here")
	case "QUIT":
		_ = s.answer(Quit, "221 2.0.0 bye")
		_ = s.flush()
		return errEnded
	}
	return s.say("500 5.5.2 unknown command")
}

func (s *session) capabilities() string {
	b := s.server.current()
	size := b.Size
	if size == 0 {
		size = 64 << 20
	}
	lines := []string{"test.example", fmt.Sprintf("SIZE %d", size)}
	add := func(offered bool, capability string) {
		if offered {
			lines = append(lines, capability)
		}
	}
	add(!b.NoPipelining, "PIPELINING")
	add(!b.No8BitMIME, "8BITMIME")
	add(!b.NoSMTPUTF8, "SMTPUTF8")
	add(b.StartTLS && !s.secured, "STARTTLS")
	if b.Auth != nil {
		add(true, "AUTH "+strings.Join(b.mechanisms(), " "))
	}
	for i := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		lines[i] = "250" + separator + lines[i]
	}
	return strings.Join(lines, "\r\n")
}

func (b Behaviour) mechanisms() []string {
	if b.Mechanisms == nil {
		return []string{"PLAIN", "LOGIN"}
	}
	return b.Mechanisms
}

func (s *session) startTLS() error {
	b := s.server.current()
	if !b.StartTLS || s.secured {
		return s.say("503 5.5.1 not offered")
	}
	reply := "220 2.0.0 go ahead"
	if b.Injected != "" {
		reply += "\r\n" + strings.TrimSuffix(b.Injected, "\r\n")
	}
	if err := s.answer(StartTLS, reply); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.conn, s.secured = tls.Server(s.raw, s.server.tls), true
	s.r, s.w = bufio.NewReaderSize(s.conn, 64<<10), bufio.NewWriter(s.writer())
	return nil
}

func (s *session) authenticate(rest string) error {
	b := s.server.current()
	mechanism, initial, _ := strings.Cut(rest, " ")
	if b.Auth == nil || !slices.Contains(b.mechanisms(), strings.ToUpper(mechanism)) {
		return s.say("504 5.5.4 mechanism not offered")
	}
	var user, password string
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		if initial == "" {
			initial = s.challenge("")
		}
		plain, _ := base64.StdEncoding.DecodeString(initial)
		parts := strings.Split(string(plain), "\x00")
		if len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case "LOGIN":
		user, password = s.decoded("VXNlcm5hbWU6"), s.decoded("UGFzc3dvcmQ6")
	}
	if want, ok := b.Auth[user]; !ok || want != password {
		return s.answer(Auth, "535 5.7.8 authentication failed for "+user)
	}
	s.trusted = true
	return s.answer(Auth, "235 2.7.0 welcome")
}

func (s *session) challenge(prompt string) string {
	_ = s.say("334 " + prompt)
	_ = s.flush()
	line, _ := s.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n")
}

func (s *session) decoded(prompt string) string {
	text, _ := base64.StdEncoding.DecodeString(s.challenge(prompt))
	return string(text)
}

func (s *session) mail(rest string) error {
	from, params, ok := cutPath(rest, "FROM:")
	switch {
	case !ok:
		return s.say("501 5.5.4 syntax: MAIL FROM:<address>")
	case s.opened:
		return s.say("503 5.5.1 a transaction is open already")
	case s.server.current().Auth != nil && !s.trusted:
		return s.say("530 5.7.0 authentication required")
	}
	s.message++
	s.from, s.to, s.params, s.accepted = from, "", params, false
	err := s.answer(Mail, "250 2.1.0 sender ok")
	s.opened = err == nil && s.positive
	return err
}

func (s *session) rcpt(rest string) error {
	to, _, ok := cutPath(rest, "TO:")
	switch {
	case !ok:
		return s.say("501 5.5.4 syntax: RCPT TO:<address>")
	case !s.opened:
		return s.say("503 5.5.1 MAIL first")
	case s.accepted:
		s.server.t.Errorf("a second recipient in one transaction")
	}
	s.to = to
	err := s.answer(Rcpt, "250 2.1.5 recipient ok")
	s.accepted = err == nil && s.positive
	return err
}
