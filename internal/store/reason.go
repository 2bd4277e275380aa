package store

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgconn"
)

// Reason is why PostgreSQL did not do what was asked, in one line for people: what the server said, or why it cannot be reached.
// The driver's own text names each address that it tried, each on a line.
func Reason(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return shown(said.Message)
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
	case errors.As(err, &said):
		return &brief{text: strings.Replace(err.Error(), said.Error(), told(said), 1), err: err}
	}
	return err
}

func told(said *pgconn.PgError) string {
	if strings.HasPrefix(said.Code, "42") {
		return fmt.Sprintf("%s: %s (SQLSTATE %s)", shown(said.Severity), shown(said.Message), shown(said.Code))
	}
	return fmt.Sprintf("PostgreSQL refused a statement: SQLSTATE %s, table %q, constraint %q",
		shown(said.Code), shown(said.TableName), shown(said.ConstraintName))
}

// maxShown bounds what is repeated of a text that a server sent. PostgreSQL says less, and the server may be a stranger's.
const maxShown = 500

// shown is a server's text in one line that a log or a terminal can take.
func shown(text string) string {
	cut := len(text) > maxShown
	if cut {
		text = text[:maxShown]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if cut {
		text += "…"
	}
	return text
}

type brief struct {
	text string
	err  error
}

// Error implements error.
func (b *brief) Error() string { return b.text }

// Unwrap gives the whole error.
func (b *brief) Unwrap() error { return b.err }
