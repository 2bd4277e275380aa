package store

import (
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Reason is why PostgreSQL did not do what was asked, in one line for people: what the server said, or why it cannot be reached.
// The driver's own text names each address that it tried, each on a line.
func Reason(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Message
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Error()
	}
	return err.Error()
}

// Brief is an error for a log: what was attempted, and of a connection that cannot be made only the reason, so that it is a line.
func Brief(err error) error {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return err
	}
	return &brief{text: strings.Replace(err.Error(), connect.Error(), Reason(connect), 1), err: err}
}

type brief struct {
	text string
	err  error
}

// Error implements error.
func (b *brief) Error() string { return b.text }

// Unwrap gives the whole error.
func (b *brief) Unwrap() error { return b.err }
