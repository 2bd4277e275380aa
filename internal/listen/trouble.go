package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// HTTPClient is what connectors need of *http.Client.
type HTTPClient interface {
	Do(r *http.Request) (*http.Response, error)
}

// DialFunc connects to a host and port.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// ErrSignature is that a request to a source's address was not signed by who may write there.
var ErrSignature = errors.New("the signature does not hold")

// Reason is why a network cannot be read.
type Reason string

// The reasons, as they stand in a source's status.
const (
	Throttled    Reason = "Throttled"    // asked too often; it goes on by itself
	Unauthorized Reason = "Unauthorized" // the credentials are missing, wrong or revoked: a person has to act
	Forbidden    Reason = "Forbidden"    // the network, or the operator, does not allow it: a person has to act
	NotFound     Reason = "NotFound"     // there is nothing at that address: a person has to act
	Unreachable  Reason = "Unreachable"  // it does not answer, or with a failure of its own
	Malformed    Reason = "Malformed"    // what it answers cannot be read
	Misdeclared  Reason = "Misdeclared"  // the settings cannot work
)

// Trouble is that a network cannot be read. Its text goes to people and into status: it names no person and no secret, and repeats
// nothing that a stranger wrote.
type Trouble struct {
	Reason Reason
	// Message is a sentence or two: what is wrong, and what to do where a person has to.
	Message string
	// Wait is for how long the network wants to be left alone; zero where it does not say.
	Wait time.Duration
	Err  error // for logs; may be nil
}

// Error implements error.
func (t *Trouble) Error() string { return t.Message }

// Unwrap gives the cause.
func (t *Trouble) Unwrap() error { return t.Err }

// Troublef makes a Trouble.
func Troublef(reason Reason, format string, args ...any) *Trouble {
	return &Trouble{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// NeedsPerson says that waiting does not mend it.
func (r Reason) NeedsPerson() bool {
	return r == Unauthorized || r == Forbidden || r == NotFound || r == Misdeclared
}
