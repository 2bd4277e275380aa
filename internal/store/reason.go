package store

import (
	"errors"
	"net"

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
