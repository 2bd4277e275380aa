package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// WakeSources has sources that could not be read tried again at once: their credentials are others.
func (db *DB) WakeSources(ctx context.Context, names []string) error {
	_, err := db.Pool.Exec(ctx, `
		update social_source_state t set next_at = now() from social_source s
		where s.id = t.source_id and s.name = any ($1) and t.trouble is not null and t.next_at > now()`, names)
	if err != nil {
		return fmt.Errorf("have sources with new credentials tried: %w", err)
	}
	return nil
}

// IsUnacceptable tells whether the server refused a statement for the values in it, so that the same would be refused again: they are no
// data of their type (class 22), break a constraint (class 23) or are more than a row or an index takes (class 54).
func IsUnacceptable(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, class := range []string{"22", "23", "54"} {
		if strings.HasPrefix(pg.Code, class) {
			return true
		}
	}
	return false
}
