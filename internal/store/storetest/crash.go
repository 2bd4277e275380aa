package storetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// NewDurable makes a migrated database on a server of its own, which keeps every commit that it has acknowledged. crash
// ends the server as PostgreSQL's immediate mode does, so that it has to recover, and starts it again.
func NewDurable(t testing.TB) (db *store.DB, crash func()) {
	t.Helper()
	db, end, start := NewStoppable(t)
	return db, func() {
		t.Helper()
		end()
		start()
	}
}

// NewStoppable makes a database as NewDurable does. end ends its server as PostgreSQL's immediate mode does, and start
// starts it again, at the same address.
func NewStoppable(t testing.TB) (db *store.DB, end, start func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tertulia-test-") // PostgreSQL may run as another user, who cannot enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	o := postgres.Options{Dir: filepath.Join(dir, "data"), Durable: true, Settings: settings}
	server := run(t, o)
	t.Cleanup(func() {
		if err := server.Kill(); err != nil {
			t.Errorf("end PostgreSQL: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	ctx := context.Background()
	if err := prepare(ctx, server); err != nil {
		t.Fatalf("make a database for the test: %v", err)
	}
	if db, err = store.Open(ctx, ownerURL(server, template), store.Options{}); err != nil {
		t.Fatalf("open the test's database: %v", err)
	}
	t.Cleanup(db.Close)
	Permit(t, db)
	end = func() {
		t.Helper()
		if err := server.Kill(); err != nil {
			t.Fatalf("crash PostgreSQL: %v", err)
		}
	}
	return db, end, func() {
		t.Helper()
		o.Port = server.Port()
		server = run(t, o)
	}
}

func run(t testing.TB, o postgres.Options) *postgres.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err := postgres.Start(ctx, o)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return server
}
