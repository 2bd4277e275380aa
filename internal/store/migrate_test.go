package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestMigrateTwiceChangesNothing(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	first, err := store.Migrate(ctx, storetest.URL(t, db), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var count int64
	if err := db.Pool.QueryRow(ctx, "select max(version_id) from schema_version").Scan(&count); err != nil {
		t.Fatal(err)
	}
	if first < 1 || first != count {
		t.Errorf("schema version: reported %d, recorded %d", first, count)
	}
}

func TestMigrateYieldsToAnotherProcess(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock(7302115846)"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Migrate(ctx, storetest.URL(t, db), store.Options{}); !errors.Is(err, store.ErrMigrating) {
		t.Errorf("migrating under another's lock: got %v, want ErrMigrating", err)
	}
}

func TestMigrateRefusesANewerDatabase(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	if _, err := db.Pool.Exec(ctx, "insert into schema_version (version_id, is_applied) values (99999, true)"); err != nil {
		t.Fatal(err)
	}
	_, err := store.Migrate(ctx, storetest.URL(t, db), store.Options{})
	var newer *store.ErrNewerSchema
	if !errors.As(err, &newer) || newer.Version != 99999 || !strings.Contains(err.Error(), "upgrade the program") {
		t.Errorf("a newer database: got %v, want an ErrNewerSchema that says to upgrade the program", err)
	}
}

func TestOpenNeverRepeatsTheURL(t *testing.T) {
	_, err := store.Open(context.Background(), "postgres://user:hunter2@host:notaport/db", store.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func TestUnavailable(t *testing.T) {
	db, err := store.Open(context.Background(), "postgres://user:secret@127.0.0.1:1/db", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Pool.Exec(context.Background(), "select 1")
	if !store.IsUnavailable(err) {
		t.Errorf("a refused connection is not recognised: %v", err)
	}
}
