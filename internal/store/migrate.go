package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock under which migrations run; its number means nothing beyond being ours.
const migrationLock = 7_302_115_846

// ErrMigrating says that another process migrates this database at the moment.
var ErrMigrating = errors.New("another process is migrating the database")

// ErrNewerSchema says that a newer program has migrated the database. Migrations only go forward, so that this program leaves
// it alone.
type ErrNewerSchema struct {
	Version, Known int64 // of the database, and the newest that this program knows
}

// Error implements error.
func (e *ErrNewerSchema) Error() string {
	return fmt.Sprintf("the database has schema version %d, newer than version %d of this program: upgrade the program", e.Version, e.Known)
}

// Migrate brings a database to the newest schema and returns its version. Migrations only go forward. It returns
// ErrMigrating when another process holds the lock, and an *ErrNewerSchema when the database is newer than this program.
func Migrate(ctx context.Context, url string, o Options) (int64, error) {
	o.MaxConns = 2 // one holds the lock, the other migrates
	db, err := Open(ctx, url, o)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var version int64
	ran, err := db.withSessionLock(ctx, migrationLock, func(ctx context.Context) (err error) {
		if err := makeSchema(ctx, db); err != nil {
			return err
		}
		version, err = runMigrations(ctx, db)
		return err
	})
	if err == nil && !ran {
		err = ErrMigrating
	}
	return version, err
}

func makeSchema(ctx context.Context, db *DB) error {
	var exists bool
	if err := db.Pool.QueryRow(ctx, "select to_regnamespace($1) is not null", Schema).Scan(&exists); err != nil {
		return fmt.Errorf("look for schema %s: %w", Schema, err)
	}
	if exists {
		return nil
	}
	if _, err := db.Pool.Exec(ctx, "create schema if not exists "+pgx.Identifier{Schema}.Sanitize()); err != nil {
		return fmt.Errorf("create schema %s: %w", Schema, err)
	}
	return nil
}

func runMigrations(ctx context.Context, db *DB) (int64, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	sqlDB := stdlib.OpenDBFromPool(db.Pool)
	defer func() { _ = sqlDB.Close() }()
	versions, err := database.NewStore(goose.DialectPostgres, "schema_version")
	if err != nil {
		return 0, fmt.Errorf("prepare the table of schema versions: %w", err)
	}
	provider, err := goose.NewProvider("", sqlDB, files, goose.WithStore(versions), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	if current > target {
		return current, &ErrNewerSchema{Version: current, Known: target}
	}
	if _, err := provider.Up(ctx); err != nil {
		return current, fmt.Errorf("migrate from version %d: %w", current, err)
	}
	return provider.GetDBVersion(ctx)
}
