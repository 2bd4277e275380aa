package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// peopleTables are the tables in which imported people end, in the order of their references.
var peopleTables = []string{"contact", "identifier", "identifier_link", "consent"}

// rawCopy is the bound of an import: it takes the rows that the import left in one database and copies them, in
// PostgreSQL's own text format and with nothing to decide, into the same tables with the same indexes of another, empty
// database. It returns how long the copying in took.
func rawCopy(ctx context.Context, from, to *store.DB, dir string) (time.Duration, error) {
	for _, table := range peopleTables {
		if err := copyOut(ctx, from, table, filepath.Join(dir, table)); err != nil {
			return 0, err
		}
	}
	var took time.Duration
	for _, table := range peopleTables {
		// A raw COPY tells nobody what has changed.
		if _, err := to.Pool.Exec(ctx, "alter table "+pgx.Identifier{table}.Sanitize()+" disable trigger user"); err != nil {
			return 0, fmt.Errorf("keep the triggers of %s still: %w", table, err)
		}
		started := time.Now()
		if err := copyIn(ctx, to, table, filepath.Join(dir, table)); err != nil {
			return 0, err
		}
		took += time.Since(started)
	}
	return took, nil
}

func copyOut(ctx context.Context, db *store.DB, table, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("keep the rows of %s: %w", table, err)
	}
	err = db.Pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Conn().PgConn().CopyTo(ctx, file, "copy "+pgx.Identifier{table}.Sanitize()+" to stdout")
		return err
	})
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("copy %s out: %w", table, err)
	}
	return nil
}

func copyIn(ctx context.Context, db *store.DB, table, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the rows of %s: %w", table, err)
	}
	defer func() { _ = file.Close() }()
	var copied pgconn.CommandTag
	err = db.Pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		copied, err = c.Conn().PgConn().CopyFrom(ctx, file, "copy "+pgx.Identifier{table}.Sanitize()+" from stdin")
		return err
	})
	if err != nil {
		return fmt.Errorf("copy %s in: %w", table, err)
	}
	if copied.RowsAffected() == 0 {
		return fmt.Errorf("the import left no rows in %s: the bound would be too fast", table)
	}
	return nil
}
