package sink

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// errEnded ends a session whose connection closes.
var errEnded = errors.New("the session ended")

// session is one connection of a client.
type session struct {
	sink   *server
	conn   net.Conn
	number int64
	r      *bufio.Reader
	w      *bufio.Writer

	to       string
	opened   bool // MAIL was accepted
	accepted bool // the recipient was
	positive bool // the last answer was 2xx or 3xx
	clock    clock
}

func (s *session) run() {
	if s.do(Greeting, "220 sink.example ESMTP") != nil {
		return
	}
	for {
		if s.r.Buffered() == 0 && s.w.Flush() != nil {
			return
		}
		line, err := s.r.ReadSlice('\n')
		if err != nil || s.command(strings.TrimRight(string(line), "\r\n")) != nil {
			return
		}
	}
}

func (s *session) command(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO":
		return s.say("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 67108864")
	case "MAIL":
		s.to, s.accepted = "", false
		err := s.do(Mail, "250 2.1.0 sender ok")
		s.opened = err == nil && s.positive
		return err
	case "RCPT":
		return s.rcpt(rest)
	case "DATA":
		return s.data()
	case "RSET", "NOOP":
		s.opened, s.accepted = false, false
		return s.say("250 2.0.0 ok")
	case "QUIT":
		_ = s.say("221 2.0.0 bye")
		_ = s.w.Flush()
		return errEnded
	}
	return s.say("500 5.5.2 unknown command")
}

func (s *session) rcpt(rest string) error {
	_, path, ok := strings.Cut(rest, "<")
	address, _, closed := strings.Cut(path, ">")
	switch {
	case !ok || !closed || strings.ContainsAny(address, " \t"):
		return s.say("501 5.5.4 syntax: RCPT TO:<address>")
	case !s.opened || s.accepted:
		return s.say("503 5.5.1 one MAIL and one recipient")
	}
	s.to = address
	err := s.do(Rcpt, "250 2.1.5 recipient ok")
	s.accepted = err == nil && s.positive
	return err
}

func (s *session) data() error {
	if !s.accepted {
		return s.say("554 5.5.1 no valid recipients")
	}
	if err := s.do(Data, "354 go ahead"); err != nil || !s.positive {
		return err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	person, err := s.body()
	if err != nil {
		return err
	}
	s.opened, s.accepted = false, false
	return s.dot(person)
}

// body reads a message up to its final dot and returns the number in its subject.
func (s *session) body() (person int, err error) {
	for header, first := true, true; ; first = false {
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			return 0, err // a line that is longer than the buffer is no mail's either
		}
		if first {
			if err := s.do(Body, ""); err != nil {
				return 0, err
			}
		}
		switch {
		case bytes.Equal(line, []byte(".\r\n")):
			return person, nil
		case bytes.Equal(line, []byte("\r\n")):
			header = false
		case header && bytes.HasPrefix(line, []byte("Subject:")):
			person = Number(string(line))
		}
	}
}

// dot notes that a message is here, takes its time, notes the answer, and gives it.
func (s *session) dot(person int) error {
	id := s.sink.nextID()
	if err := s.sink.note("%s %s %s %d", lineDot, id, s.to, person); err != nil {
		return err
	}
	// Earlier answers do not wait for this message.
	s.clock.takeTime(s.sink.rules.Load().script.Pace, func() { _ = s.w.Flush() })
	rule := s.sink.rules.Load().at(Dot, s.to)
	reply := "250 2.0.0 taken"
	if rule != nil {
		reply = rule.Reply
	}
	if reply != "" {
		if err := s.sink.note("%s %s %s", lineAnswer, id, reply[:3]); err != nil {
			return err
		}
	}
	return s.follow(rule, reply)
}

// leastSleep is the shortest wait that an operating system keeps with some precision; what is shorter is saved up.
const leastSleep = 2 * time.Millisecond

// do says what is usual at a stage, unless a rule applies.
func (s *session) do(stage Stage, usual string) error {
	rule := s.sink.rules.Load().at(stage, s.to)
	if rule != nil {
		usual = rule.Reply
	}
	return s.follow(rule, usual)
}

func (s *session) follow(rule *Rule, reply string) error {
	if rule != nil && rule.Hang {
		return s.hang()
	}
	if reply != "" {
		if err := s.say(reply); err != nil {
			return err
		}
	}
	if rule != nil && rule.Close {
		_ = s.w.Flush()
		return errEnded
	}
	return nil
}

// hang says nothing more, and waits until the other side has given up.
func (s *session) hang() error {
	_ = s.w.Flush()
	if err := s.sink.note("%s %d", lineHang, s.number); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, s.conn)
	return errEnded
}

func (s *session) say(reply string) error {
	code, err := strconv.Atoi(reply[:3])
	if err != nil {
		return fmt.Errorf("the reply %q begins with no code", reply)
	}
	s.positive = code < 400
	_, err = s.w.WriteString(reply + "\r\n")
	return err
}
