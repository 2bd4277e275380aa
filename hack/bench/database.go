package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// scratch is a folder and, within it, a PostgreSQL server of a measurement's own.
type scratch struct {
	dir    string
	server *postgres.Server
}

// scratch makes a folder with this prefix and starts a server in it.
func (s Settings) scratch(ctx context.Context, prefix string) (*scratch, error) {
	dir, err := os.MkdirTemp(s.Dir, prefix)
	if err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	server, err := startPostgres(ctx, dir, s.Log)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &scratch{dir: dir, server: server}, nil
}

// remove ends the server, even where the benchmark was interrupted, and removes the folder.
func (s *scratch) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(s.server.Stop(ctx), os.RemoveAll(s.dir))
}

// startPostgres starts a server that keeps its promises: fsync, full_page_writes and synchronous_commit are on.
func startPostgres(ctx context.Context, dir string, log io.Writer) (*postgres.Server, error) {
	server, err := postgres.Start(ctx, postgres.Options{Dir: filepath.Join(dir, "postgres"), Durable: true, Log: log})
	if err != nil {
		return nil, err
	}
	if err := requireDurability(ctx, server.URL("postgres")); err != nil {
		_ = server.Kill()
		return nil, err
	}
	return server, nil
}

// requireDurability refuses to measure a server that would lose what it committed.
func requireDurability(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("ask PostgreSQL for its settings: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		if err := conn.QueryRow(ctx, "select current_setting($1)", setting).Scan(&value); err != nil {
			return fmt.Errorf("ask PostgreSQL for %s: %w", setting, err)
		}
		if value != "on" {
			return fmt.Errorf("PostgreSQL has %s = %s: numbers without durability mean nothing", setting, value)
		}
	}
	return nil
}

// newDatabase makes a migrated database of this name.
func newDatabase(ctx context.Context, server *postgres.Server, name string) (*store.DB, error) {
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return nil, fmt.Errorf("make database %s: %w", name, err)
	}
	if _, err := store.Migrate(ctx, server.URL(name), store.Options{}); err != nil {
		return nil, fmt.Errorf("migrate database %s: %w", name, err)
	}
	return store.Open(ctx, server.URL(name), store.Options{})
}

// settle writes out what earlier work left in memory, so that it is not charged to what is measured next.
func settle(ctx context.Context, db *store.DB) error {
	if _, err := db.Pool.Exec(ctx, "checkpoint"); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	return nil
}
