package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Redact tells about an error what a log may hold. Messages of PostgreSQL can repeat values of the rows that they are
// about, so that of its errors only the code, the table and the constraint are told.
func Redact(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fmt.Sprintf("PostgreSQL refused a statement: SQLSTATE %s, table %q, constraint %q", pg.Code, pg.TableName, pg.ConstraintName)
	}
	return err.Error()
}
