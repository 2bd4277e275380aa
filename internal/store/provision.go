package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Cluster is a PostgreSQL cluster on which the operator makes databases for tenants that bring none. Its login needs
// CREATEDB and CREATEROLE, and no more.
type Cluster struct {
	admin *DB
	url   *url.URL
}

// OpenCluster opens a cluster by the URL of a login that may create databases and roles. It connects lazily; its
// errors never repeat the URL.
func OpenCluster(ctx context.Context, adminURL string) (*Cluster, error) {
	u, err := parseURL(adminURL)
	if err != nil {
		return nil, err
	}
	admin, err := Open(ctx, adminURL, Options{MaxConns: 2, ApplicationName: "tertulia-operator"})
	if err != nil {
		return nil, err
	}
	return &Cluster{admin: admin, url: u}, nil
}

// Close ends the connections.
func (c *Cluster) Close() { c.admin.Close() }

// The names of a tenant's database and roles on the default cluster. An id has single hyphens and no underscore, so
// that two ids never share a name.
func databaseName(id string) string { return "tertulia_" + strings.ReplaceAll(id, "-", "_") }

// OwnerRole is the role that owns a tenant's database and cannot log in: the operator takes it with SET ROLE.
func OwnerRole(id string) string { return databaseName(id) + "_owner" }

// RuntimeRole is the role as which workers and servers of a tenant log in. It owns nothing.
func RuntimeRole(id string) string { return databaseName(id) + "_runtime" }

// TenantURL is how the operator reaches a tenant's database on this cluster; it then takes OwnerRole.
func (c *Cluster) TenantURL(id string) string {
	u := *c.url
	u.Path = "/" + databaseName(id)
	return u.String()
}

// DatabaseName is the name of the database that a URL leads to.
func DatabaseName(databaseURL string) (string, error) {
	u, err := parseURL(databaseURL)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(u.Path, "/"), nil
}

// LoginOf is the role as which a URL logs in.
func LoginOf(databaseURL string) (string, error) {
	u, err := parseURL(databaseURL)
	if err != nil {
		return "", err
	}
	return u.User.Username(), nil
}

// URLAs is a URL to the same database with another login.
func URLAs(databaseURL, role, password string) (string, error) {
	u, err := parseURL(databaseURL)
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword(role, password)
	return u.String(), nil
}

// PasswordOf is the password that a URL logs in with, and "" where it holds none for this role.
func PasswordOf(databaseURL, role string) string {
	u, err := parseURL(databaseURL)
	if err != nil || u.User.Username() != role {
		return ""
	}
	password, _ := u.User.Password()
	return password
}

// ErrDatabaseURL says that a text is no URL of a PostgreSQL database. It does not repeat the text.
var ErrDatabaseURL = errors.New("the database URL cannot be read: it must look like postgres://user:password@host:5432/name")

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.User == nil || strings.Trim(u.Path, "/") == "" {
		return nil, ErrDatabaseURL
	}
	return u, nil
}

// urlParameters are those that a URL which a tenant brings may have. The driver knows others by which a URL reads files of
// ours and sends what they hold to a server of the tenant's choice (passfile, servicefile, sslkey), or names another server.
var urlParameters = []string{"application_name", "channel_binding", "connect_timeout", "sslmode", "sslnegotiation", "target_session_attrs"}

// CheckBroughtURL refuses, with ErrDatabaseURL, a URL of a tenant's that says anything but where its database is and how to
// log in. Without a password of its own the driver would look for one of ours.
func CheckBroughtURL(databaseURL string) error {
	u, err := parseURL(databaseURL)
	if err != nil {
		return err
	}
	parameters, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "/") {
		return ErrDatabaseURL
	}
	if password, _ := u.User.Password(); password == "" || u.User.Username() == "" {
		return ErrDatabaseURL
	}
	for name := range parameters {
		if !slices.Contains(urlParameters, name) {
			return ErrDatabaseURL
		}
	}
	return nil
}

// EnsureDatabase makes a tenant's owner role and its database, into which nobody but its own roles can connect. What is
// there stays as it is.
func (c *Cluster) EnsureDatabase(ctx context.Context, id string) error {
	owner, database := OwnerRole(id), databaseName(id)
	if err := ensureRole(ctx, c.admin, owner, "nologin"); err != nil {
		return err
	}
	// An administrator who is no superuser may take the role only as its member.
	var member bool
	if err := c.admin.Pool.QueryRow(ctx, "select pg_has_role($1, 'USAGE')", owner).Scan(&member); err != nil {
		return fmt.Errorf("look at role %s: %w", owner, err)
	}
	if !member {
		if _, err := c.admin.Pool.Exec(ctx, "grant "+sqlName(owner)+" to current_user"); err != nil {
			return fmt.Errorf("become a member of role %s: %w", owner, err)
		}
	}
	if err := c.createDatabase(ctx, database, owner); err != nil {
		return err
	}
	return c.closeDatabase(ctx, database)
}

// createDatabase makes a database that admits nobody yet, so that there is no moment at which everybody may connect.
func (c *Cluster) createDatabase(ctx context.Context, database, owner string) error {
	var exists bool
	err := c.admin.Pool.QueryRow(ctx, "select exists(select from pg_database where datname = $1)", database).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for database %s: %w", database, err)
	}
	if exists {
		return nil
	}
	_, err = c.admin.Pool.Exec(ctx, "create database "+sqlName(database)+" owner "+sqlName(owner)+
		" template template0 encoding 'UTF8' allow_connections false")
	if err != nil && !hasCode(err, "42P04") { // another operator was faster
		return fmt.Errorf("create database %s: %w", database, err)
	}
	return nil
}

// closeDatabase takes from everybody the right to connect, which PostgreSQL grants by itself, and only then lets
// connections in.
func (c *Cluster) closeDatabase(ctx context.Context, database string) error {
	var public, admits bool
	err := c.admin.Pool.QueryRow(ctx, `select has_database_privilege('public', oid, 'CONNECT') or has_database_privilege('public', oid, 'TEMPORARY'),
		datallowconn from pg_database where datname = $1`, database).Scan(&public, &admits)
	if err != nil {
		return fmt.Errorf("look at database %s: %w", database, err)
	}
	if public {
		if _, err := c.admin.Pool.Exec(ctx, "revoke connect, temporary on database "+sqlName(database)+" from public"); err != nil {
			return fmt.Errorf("close database %s to the public: %w", database, err)
		}
	}
	if !admits {
		if _, err := c.admin.Pool.Exec(ctx, "alter database "+sqlName(database)+" allow_connections true"); err != nil {
			return fmt.Errorf("open database %s to its roles: %w", database, err)
		}
	}
	return nil
}

// EnsureLogin makes the runtime role of a tenant on this cluster, with this password.
func (c *Cluster) EnsureLogin(ctx context.Context, role, password string) error {
	return c.admin.EnsureLogin(ctx, role, password)
}

// ErrMayNotCreateRoles says that a database's owner may not create roles, so that workers and servers have to use the
// owner's login.
var ErrMayNotCreateRoles = errors.New("the database's owner may not create roles")

// EnsureLogin makes a role that can log in with this password. The password travels as a SCRAM verifier, so that no log
// of statements ever holds it. It returns ErrMayNotCreateRoles where this database's login lacks the right.
func (db *DB) EnsureLogin(ctx context.Context, role, password string) error {
	if err := ensureRole(ctx, db, role, "login"); err != nil {
		return err
	}
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	return db.executeFormatted(ctx, "set the password of role "+role, "alter role %I with login password %L", role, verifier)
}

func ensureRole(ctx context.Context, db *DB, role, attribute string) error {
	var exists bool
	if err := db.Pool.QueryRow(ctx, "select exists(select from pg_roles where rolname = $1)", role).Scan(&exists); err != nil {
		return fmt.Errorf("look for role %s: %w", role, err)
	}
	if exists {
		return nil
	}
	_, err := db.Pool.Exec(ctx, "create role "+sqlName(role)+" "+attribute)
	switch {
	case hasCode(err, "42710"), err == nil: // another operator was faster
		return nil
	case hasCode(err, "42501"):
		return ErrMayNotCreateRoles
	}
	return fmt.Errorf("create role %s: %w", role, err)
}

// executeFormatted runs a statement that takes no parameters (DDL) with identifiers (%I) and literals (%L) that the
// server itself quotes.
func (db *DB) executeFormatted(ctx context.Context, what, format string, arguments ...string) error {
	return executeFormatted(ctx, db.Pool, what, format, arguments...)
}

type executor interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

func executeFormatted(ctx context.Context, e executor, what, format string, arguments ...string) error {
	var statement string
	if err := e.QueryRow(ctx, "select format($1, variadic $2::text[])", format, arguments).Scan(&statement); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if _, err := e.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ErrLoginRefused says that the server took no login with the URL's role and password, or lets the role not in.
var ErrLoginRefused = errors.New("the server refuses this login to this database")

// ErrNoDatabase says that the server has no database of this name.
var ErrNoDatabase = errors.New("the server has no such database")

// refusal is the server's refusal of a connection as one of the errors above, without its words, and nil for any other.
func refusal(err error) error {
	switch {
	case hasCode(err, "28P01", "28000", "42501"):
		return ErrLoginRefused
	case hasCode(err, "3D000"):
		return ErrNoDatabase
	}
	return nil
}

// CheckLogin tries whether a URL leads into its database. It returns ErrLoginRefused or ErrNoDatabase when the server
// says no, and an error for which IsUnavailable holds when it cannot be reached.
func CheckLogin(ctx context.Context, databaseURL string) error {
	db, err := Open(ctx, databaseURL, Options{MaxConns: 1, ApplicationName: "tertulia-operator", MaxAnswer: 1 << 20})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Pool.Ping(ctx); err != nil {
		if refused := refusal(err); refused != nil {
			return refused
		}
		return fmt.Errorf("reach the database: %w", err)
	}
	return nil
}

func sqlName(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

// hasCode tells whether an error is PostgreSQL's, with one of these SQLSTATE codes.
func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, code := range codes {
		if pg.Code == code {
			return true
		}
	}
	return false
}
