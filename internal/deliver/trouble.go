package deliver

import (
	"errors"
	"fmt"
	"net"
)

// Trouble is the error of a Transport: what stands in the way of the channel as a whole. Its text is meant for the
// author of the channel; it names the server and the mend, and neither people nor secrets.
type Trouble struct {
	Server string // host:port
	Stage  string // what was attempted: connect, greeting, EHLO, STARTTLS, AUTH, MAIL, final dot
	Code   int    // the server's reply code; 0 where there was none
	Reason string // what happened, and how to mend it where that is known
	Err    error  // the cause; nil where the server's reply says it all
}

// Error implements error.
func (t *Trouble) Error() string {
	text := fmt.Sprintf("%s at %s: %s", t.Stage, t.Server, t.Reason)
	if t.Err != nil {
		text += ": " + t.Err.Error()
	}
	return text
}

// Unwrap is the cause.
func (t *Trouble) Unwrap() error { return t.Err }

// WithoutAddresses takes the addresses out of a network error, as the cause of a Trouble: that names the server already, and the
// local port would make every error another one.
func WithoutAddresses(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}
