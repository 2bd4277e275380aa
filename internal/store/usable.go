package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// OldSchemaError says that a database has not been migrated to what this program needs. The operator migrates it.
type OldSchemaError struct {
	Have, Want int64 // versions
}

// Error implements error.
func (e *OldSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d, and this program needs %d: it waits for the operator to migrate it", e.Have, e.Want)
}

// CheckUsable tells whether a worker or a server of this program can work with the database for a tenant: it answers,
// belongs to the tenant, and its schema is new enough (a newer one is: migrations leave what a release before needs). It
// returns an *ErrForeignDatabase, an *OldSchemaError, ErrNotFound while nobody has claimed the database, or what was in
// the way.
func (db *DB) CheckUsable(ctx context.Context, id string) error {
	var version int64
	err := db.Pool.QueryRow(ctx, "select coalesce(max(version_id), 0) from schema_version where is_applied").Scan(&version)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" { // no such table: nobody has migrated it yet
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if version < newestMigration {
		return &OldSchemaError{Have: version, Want: newestMigration}
	}
	owner, err := db.LoadTenant(ctx)
	if err != nil {
		return err
	}
	if owner.ID != id {
		return &ErrForeignDatabase{WantID: id, WantNamespace: owner.Namespace, ID: owner.ID, Namespace: owner.Namespace}
	}
	return nil
}

// newestMigration is the schema version that this program was written for.
var newestMigration = func() int64 {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		panic(err) // decided when the program was compiled
	}
	var newest int64
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			panic(err)
		}
		newest = max(newest, version)
	}
	return newest
}()
