package delivertest

import (
	"bytes"
	"regexp"
	"strings"
)

// data takes a message. A server that refused the recipient may answer 354 all the same (RFC 2920, section 3.1) when an
// Answer function says so; the lone dot that must follow is then refused and nothing is recorded.
func (s *session) data() error {
	reply := "354 go ahead"
	switch {
	case !s.opened:
		reply = "503 5.5.1 MAIL first"
	case !s.accepted:
		reply = "554 5.5.1 no valid recipients"
	}
	if err := s.answer(Data, reply); err != nil {
		return err
	}
	if !s.wanted {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	body, err := s.body()
	if err != nil {
		return err
	}
	accepted := s.accepted
	s.opened, s.accepted = false, false
	if !accepted {
		if len(body) > 0 {
			s.server.t.Errorf("a message was sent although its recipient had been refused")
		}
		return s.say("554 5.5.1 no valid recipients")
	}
	return s.dot(body)
}

func (s *session) dot(body []byte) error {
	action := s.decide(Dot)
	r := Received{
		From: s.from, To: s.to, Params: s.params, Data: body,
		MessageID: messageID(body), Answer: "250 2.0.0 taken", Connection: s.number,
	}
	switch {
	case action.Reply != "":
		r.Answer = action.Reply
	case action.Close || action.Hang:
		r.Answer = ""
	}
	s.server.record(r)
	return s.act(action, "250 2.0.0 taken")
}

// body reads up to the final dot and undoes dot-stuffing (RFC 5321, section 4.5.2).
func (s *session) body() ([]byte, error) {
	var body []byte
	for first := true; ; first = false {
		line, err := s.r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if first {
			if err := s.act(s.decide(Body), ""); err != nil {
				return nil, err
			}
		}
		if !bytes.HasSuffix(line, []byte("\r\n")) || bytes.IndexByte(line, '\r') < len(line)-2 {
			s.server.t.Errorf("a line of the message does not end in CRLF, or holds a lone CR: %q", line)
		}
		if bytes.Equal(line, []byte(".\r\n")) {
			return body, nil
		}
		body = append(body, bytes.TrimPrefix(line, []byte("."))...)
	}
}

var messageIDLine = regexp.MustCompile(`(?im)^Message-ID:[ \t\r\n]*(<[^>]*>)`)

func messageID(message []byte) string {
	header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	if m := messageIDLine.FindSubmatch(header); m != nil {
		return string(m[1])
	}
	return ""
}

// cutPath parses "FROM:<address> PARAMS".
func cutPath(rest, keyword string) (address, params string, ok bool) {
	if len(rest) < len(keyword) || !strings.EqualFold(rest[:len(keyword)], keyword) {
		return "", "", false
	}
	path := strings.TrimSpace(rest[len(keyword):])
	path, ok = strings.CutPrefix(path, "<")
	if !ok {
		return "", "", false
	}
	address, params, ok = strings.Cut(path, ">")
	return address, strings.TrimSpace(params), ok
}
