package crash

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The database of a scenario without a cluster, whose owner is no superuser.
const (
	databaseName = "velo"
	ownerName    = "velo_owner"
	runtimeName  = "velo_runtime"
	password     = "crash"
)

// stopTimeout bounds how long PostgreSQL may take to stop.
const stopTimeout = time.Minute

// database is a PostgreSQL that can be disturbed. It keeps what it has acknowledged.
type database struct {
	options postgres.Options
	server  *postgres.Server
}

func startDatabase(ctx context.Context, dir string) (*database, error) {
	d := &database{options: postgres.Options{Dir: dir, Durable: true, Settings: map[string]string{"shared_buffers": "64MB"}}}
	return d, d.start(ctx)
}

// start starts the server, at the address that it had before.
func (d *database) start(ctx context.Context) error {
	server, err := postgres.Start(ctx, d.options)
	if err != nil {
		return err
	}
	d.server, d.options.Port = server, server.Port()
	return nil
}

// restart ends the server in immediate mode and starts it again.
func (d *database) restart(ctx context.Context) error {
	if err := d.server.Kill(); err != nil {
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	return d.start(ctx)
}

func (d *database) stop() error {
	if d == nil || d.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return d.server.Stop(ctx)
}

// url names the tenant's database as one of its roles.
func (d *database) url(role string) (string, error) {
	return store.URLAs(d.server.URL(databaseName), role, password)
}

// template makes a directory with a server's data in which a tenant's database is migrated already: to copy it takes a tenth of
// the time of making it.
func makeTemplate(ctx context.Context, dir string) (err error) {
	d, err := startDatabase(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	admin, err := store.Open(ctx, d.server.URL("postgres"), store.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer admin.Close()
	for _, statement := range []string{
		"create role " + ownerName + " login createrole password '" + password + "'",
		"create database " + databaseName + " owner " + ownerName,
	} {
		if _, err := admin.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the template's database: %w", err)
		}
	}
	owner, err := d.url(ownerName)
	if err != nil {
		return err
	}
	_, err = store.Migrate(ctx, owner, store.Options{})
	return err
}

// copyTemplate copies a stopped server's data, with its password and its owner.
func copyTemplate(ctx context.Context, from, to string) error {
	for _, suffix := range []string{"", ".password"} {
		out, err := exec.CommandContext(ctx, "cp", "-a", from+suffix, to+suffix).CombinedOutput() //nolint:gosec // paths of our own
		if err != nil {
			return fmt.Errorf("copy PostgreSQL's data: %w: %s", err, out)
		}
	}
	return nil
}

// Suite runs scenarios and keeps what they share.
type Suite struct {
	dir     string
	cluster *cluster
}

// NewSuite prepares what scenarios share in a scratch directory, which is removed by Close.
func NewSuite(ctx context.Context) (*Suite, error) {
	dir, err := os.MkdirTemp("", "tertulia-crash-")
	if err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	s := &Suite{dir: dir}
	if err := makeTemplate(ctx, s.template()); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare a database: %w", err), s.Close())
	}
	return s, nil
}

func (s *Suite) template() string { return filepath.Join(s.dir, "template") }

// Close ends what scenarios share and removes the scratch directory.
func (s *Suite) Close() error {
	err := s.cluster.stop()
	if removed := os.RemoveAll(s.dir); err == nil {
		err = removed
	}
	return err
}

// hostOf is where a URL leads, and withHost leads it elsewhere.
func hostOf(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("read a database's URL: %w", err)
	}
	return u.Host, nil
}

func withHost(raw, host string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("read a database's URL: %w", err)
	}
	u.Host = host
	return u.String(), nil
}
