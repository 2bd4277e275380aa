package store

import (
	"errors"
	"fmt"
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

// Brief is an error for a log: what was attempted, and in one line why it failed. Messages of PostgreSQL can repeat values
// of the rows that they are about, so that of a refused statement only the code, the table and the constraint are told; those
// about the statement itself (class 42: rights, names, syntax) are told whole.
func Brief(err error) error {
	var connect *pgconn.ConnectError
	var said *pgconn.PgError
	switch {
	case errors.As(err, &connect):
		return &brief{text: strings.Replace(err.Error(), connect.Error(), Reason(connect), 1), err: err}
	case errors.As(err, &said) && !strings.HasPrefix(said.Code, "42"):
		told := fmt.Sprintf("PostgreSQL refused a statement: SQLSTATE %s, table %q, constraint %q", said.Code, said.TableName, said.ConstraintName)
		return &brief{text: strings.Replace(err.Error(), said.Error(), told, 1), err: err}
	}
	return err
}

type brief struct {
	text string
	err  error
}

// Error implements error.
func (b *brief) Error() string { return b.text }

// Unwrap gives the whole error.
func (b *brief) Unwrap() error { return b.err }
