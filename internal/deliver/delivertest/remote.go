package delivertest

import (
	"sync"
	"testing"
)

// SMTPRemote is the far end of an SMTP transport: a Server that treats recipients as the suite says, at the stage at
// which a test wants it.
type SMTPRemote struct {
	*Server
	Stage Stage // where it refuses and defers: Rcpt, Data or Dot

	mu         sync.Mutex
	treatments map[string]Treatment
	distrusts  bool
}

// NewSMTPRemote starts a server that behaves as b says and treats recipients at the stage. b.Answer is set here.
func NewSMTPRemote(t testing.TB, b Behaviour, stage Stage) *SMTPRemote {
	t.Helper()
	r := &SMTPRemote{Stage: stage, treatments: map[string]Treatment{}}
	b.Answer = r.answer
	r.Server = NewServer(t, b)
	return r
}

// Treat implements Remote.
func (r *SMTPRemote) Treat(recipient string, how Treatment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.treatments[recipient] = how
}

// Distrust implements Remote: AUTH is refused, or the greeting where none is asked for. The words repeat what the server
// knows, as those of real ones do.
func (r *SMTPRemote) Distrust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.distrusts = true
}

// Arrived implements Remote.
func (r *SMTPRemote) Arrived() []string { return r.Recipients() }

// Content is the content of the last message to a recipient.
func (r *SMTPRemote) Content(recipient string) (data []byte) {
	for _, m := range r.Messages() {
		if m.To == recipient {
			data = m.Data
		}
	}
	return data
}

func (r *SMTPRemote) answer(e Event) Action {
	r.mu.Lock()
	defer r.mu.Unlock()
	how := r.treatments[e.To]
	switch {
	case r.distrusts && e.Stage == Auth:
		return Action{Reply: "535 5.7.8 user@relay with password s3cret is not welcome"}
	case r.distrusts && e.Stage == Mail:
		return Action{Reply: "530 5.7.0 " + e.From + " is not welcome to write to p0@example.com"}
	case how == Refuse && e.Stage == r.Stage:
		return Action{Reply: "550 5.1.1 no such user " + e.To}
	case how == Defer && e.Stage == r.Stage:
		return Action{Reply: "451 4.3.0 try again later"}
	case how == CutOff && e.Stage == Data:
		return Action{Close: true}
	case how == Swallow && e.Stage == Dot:
		return Action{Close: true}
	}
	return Action{}
}

var _ Remote = (*SMTPRemote)(nil)
