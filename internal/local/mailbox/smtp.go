package mailbox

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/go-logr/logr"
)

const (
	// maxMessageSize is announced by SIZE (RFC 1870) and enforced, in bytes.
	maxMessageSize = 10 << 20
	// maxLine is generous: RFC 5321 allows 1,000 octets, but this server accepts everything.
	maxLine = 1 << 20
	// idleTimeout is longer than the five minutes that RFC 5321 asks of a server (section 4.5.3.2.7).
	idleTimeout = 10 * time.Minute
)

// newSMTPServer makes a server that accepts every sender, recipient, message and password, and keeps the messages.
func newSMTPServer(store *Store, slow *pace, log logr.Logger) *smtp.Server {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{store: store, pace: slow}, nil
	}))
	server.Domain = "mailbox.tertulia.invalid"
	server.MaxMessageBytes = maxMessageSize
	server.MaxLineLength = maxLine
	server.ReadTimeout = idleTimeout
	server.WriteTimeout = time.Minute
	server.AllowInsecureAuth = true
	server.EnableSMTPUTF8 = true
	server.ErrorLog = smtpLog{log}
	return server
}

// session is one connection's. go-smtp calls it from one goroutine.
type session struct {
	store *Store
	pace  *pace
	from  string
	to    []string
}

// pace is how long each message takes.
type pace struct {
	delay   atomic.Int64 // a time.Duration
	once    sync.Once
	stopped chan struct{}
}

func (p *pace) stop() { p.once.Do(func() { close(p.stopped) }) }

// wait returns when a message has taken its time, or false where the mailbox stops first.
func (p *pace) wait() bool {
	delay := time.Duration(p.delay.Load())
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.stopped:
		return false
	}
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data returns, and so lets the message be acknowledged, only once it is kept.
func (s *session) Data(r io.Reader) error {
	var message bytes.Buffer
	if _, err := message.ReadFrom(r); err != nil {
		return err // of go-smtp's own making: too large, or the connection is gone
	}
	if !s.pace.wait() {
		return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "the mailbox stops"}
	}
	if _, err := s.store.Append(time.Now(), s.from, s.to, message.Bytes()); err != nil {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: err.Error()}
	}
	return nil
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth believes everybody.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
	case sasl.Login:
		return &loginServer{}, nil
	default:
		return nil, smtp.ErrAuthUnknownMechanism
	}
}

// loginServer speaks the LOGIN mechanism (draft-murchison-sasl-login), which go-sasl has for clients only.
type loginServer struct{ asked int }

func (l *loginServer) Next([]byte) (challenge []byte, done bool, err error) {
	challenges := []string{"Username:", "Password:"}
	if l.asked == len(challenges) {
		return nil, true, nil
	}
	l.asked++
	return []byte(challenges[l.asked-1]), false, nil
}

// smtpLog is go-smtp's logger. It is told of broken connections, which are nothing to worry about here.
type smtpLog struct{ log logr.Logger }

func (l smtpLog) Printf(format string, v ...any) {
	l.log.V(1).Info("SMTP connection", "error", fmt.Sprintf(format, v...))
}
func (l smtpLog) Println(v ...any) { l.log.V(1).Info("SMTP connection", "error", fmt.Sprint(v...)) }
