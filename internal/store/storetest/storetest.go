// Package storetest gives tests a real PostgreSQL: one server for each test binary, one database for each test, made
// from a template that has been migrated once.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/local/scratch"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const template = "tertulia_template"

// settings are those of servers for tests. Autovacuum comes by when it likes: what planners know of a table, and what is read of it, is the test's own.
var settings = map[string]string{"autovacuum": "off"}

// NoonZone is a time zone in which it is about noon: of a tenant that lives there no day ends, and no night begins, while a test runs.
func NoonZone() string {
	return fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12) // the names of these zones count westwards
}

var shared struct {
	once     sync.Once
	server   *postgres.Server
	dir      *scratch.Dir
	err      error
	database atomic.Int64
}

// Main runs a package's tests and then stops the server, if a test has asked for one.
func Main(m *testing.M) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func stop() error {
	if shared.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(shared.server.Stop(ctx), shared.dir.Remove())
}

func server(t testing.TB) *postgres.Server {
	t.Helper()
	shared.once.Do(func() { shared.err = start() })
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
	return shared.server
}

func start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir, err := scratch.Make()
	if err != nil {
		return err
	}
	shared.dir = dir
	shared.server, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(dir.Path(), "data"), Settings: settings})
	if err != nil {
		return err
	}
	return prepare(ctx, shared.server)
}

// prepare makes the role that owns databases, and the template.
func prepare(ctx context.Context, s *postgres.Server) error {
	err := execute(ctx, s.URL("postgres"), "create role tertulia_test login createrole password 'test'",
		"create database "+template+" owner tertulia_test")
	if err != nil {
		return err
	}
	_, err = store.Migrate(ctx, ownerURL(s, template), store.Options{})
	return err
}

func execute(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// New makes a migrated database that may be sent from, opened by its owner, who is no superuser. It is dropped when the test
// ends.
func New(t testing.TB) *store.DB {
	t.Helper()
	s := server(t)
	name := fmt.Sprintf("test_%d", shared.database.Add(1))
	ctx := context.Background()
	if err := execute(ctx, s.URL("postgres"), "create database "+name+" owner tertulia_test template "+template); err != nil {
		t.Fatalf("make a database for the test: %v", err)
	}
	db, err := store.Open(ctx, ownerURL(s, name), store.Options{})
	if err != nil {
		t.Fatalf("open the test's database: %v", err)
	}
	t.Cleanup(func() {
		db.Close()
		// A process that the test left may connect again and again: the server would not wait for long for nobody to be there.
		err := execute(ctx, s.URL("postgres"), "alter database "+name+" allow_connections false")
		if err = errors.Join(err, execute(ctx, s.URL("postgres"), "drop database "+name+" with (force)")); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	Permit(t, db)
	return db
}

// Permit lets a database be sent from, as the operator does for a tenant's.
func Permit(t testing.TB, db *store.DB) {
	t.Helper()
	fence, err := db.LoadFence(context.Background())
	if err == nil {
		err = db.PermitSending(context.Background(), fence.Identity)
	}
	if err != nil {
		t.Fatalf("permit sending from the test's database: %v", err)
	}
}

// URL names the database of a DB that was made here, as its owner, for further pools and other processes.
func URL(t testing.TB, db *store.DB) string {
	t.Helper()
	return db.Pool.Config().ConnString()
}

// AdminURL names the server's own database, as its superuser, for tests that make databases and roles.
func AdminURL(t testing.TB) string {
	t.Helper()
	return server(t).URL("postgres")
}

func ownerURL(s *postgres.Server, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("tertulia_test", "test"),
		Host: fmt.Sprintf("127.0.0.1:%d", s.Port()), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}
