package delivertest

import "io"

// decide asks the Answer function what to do.
func (s *session) decide(stage Stage) Action {
	b := s.server.current()
	if b.Answer == nil {
		return Action{}
	}
	return b.Answer(Event{Stage: stage, Connection: s.number, Message: s.message, From: s.from, To: s.to})
}

// answer does what the Answer function says at a stage, and says usual where it agrees.
func (s *session) answer(stage Stage, usual string) error { return s.act(s.decide(stage), usual) }

func (s *session) act(action Action, usual string) error {
	if action.Wait != nil {
		if err := s.flush(); err != nil {
			return err
		}
		select {
		case <-action.Wait:
		case <-s.released:
			return errEnded
		}
	}
	if action.Hang {
		_ = s.flush()
		<-s.released
		return errEnded
	}
	reply := usual
	if action.Reply != "" || action.Close {
		reply = action.Reply
	}
	if reply != "" {
		if err := s.say(reply); err != nil {
			return err
		}
	}
	if action.Close {
		_ = s.flush()
		return errEnded
	}
	return nil
}

// say buffers a reply and remembers whether it was positive; it leaves when the client has nothing more to say, as
// RFC 2920, section 3.2, asks of a server.
func (s *session) say(reply string) error {
	s.positive, s.wanted = reply[0] == '2', reply[0] == '3'
	_, err := s.w.WriteString(reply + "\r\n")
	return err
}

func (s *session) flush() error { return s.w.Flush() }

// writer is where answers go: the connection, or byte by byte to it.
func (s *session) writer() io.Writer {
	if s.server.current().Drip {
		return dripWriter{s.conn}
	}
	return s.conn
}

// dripWriter writes every byte apart.
type dripWriter struct{ w io.Writer }

func (d dripWriter) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.w.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}
