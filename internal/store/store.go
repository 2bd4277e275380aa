// Package store is the only package that talks to PostgreSQL. One file per aggregate holds its queries; migrations/
// holds the schema. A DB is one tenant's database: there is no tenant column anywhere, because there is no other
// tenant's row to keep apart.
package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Schema is the schema that holds everything of a tenant. SQL in this package names no schema: connections search it first.
const Schema = "tertulia"

// DB is a tenant's database.
type DB struct {
	Pool *pgxpool.Pool

	options Options
	login   atomic.Pointer[pgx.ConnConfig] // that ChangeLogin named

	mentionKey atomic.Pointer[addressKey] // once it was read
}

// Options tell how a database is opened. The zero value works.
type Options struct {
	// MaxConns bounds the pool; 0 means 8.
	MaxConns int32
	// MaxIdle is how long a connection that nobody uses is kept; 0 means two minutes.
	MaxIdle time.Duration
	// ApplicationName is what pg_stat_activity shows; "" means tertulia.
	ApplicationName string
	// Role is taken with SET ROLE by every connection; "" keeps the login role.
	Role string
	// IdleInTransaction ends the connection of a transaction that its owner has left alone for so long, because it was
	// stopped or cut off, so that it locks nobody out; 0 keeps the server's setting.
	IdleInTransaction time.Duration
	// MaxAnswer bounds how many bytes the server may send in answer to one request: it may be a stranger's. 0 takes whatever comes.
	MaxAnswer int
	// Observe is told how every round trip ended: "" for one that was answered, else one of TroubleReasons. It may be nil.
	Observe func(trouble string)
}

// Open makes a pool for a database. It connects lazily: an error means that the URL cannot be read, and names neither
// the URL nor the password.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	config, err := poolConfig(url, o)
	if err != nil {
		return nil, err
	}
	db := &DB{options: o}
	config.BeforeConnect = db.useLogin
	if db.Pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open database %q: %w", config.ConnConfig.Database, err)
	}
	return db, nil
}

func poolConfig(url string, o Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parser's own message can repeat parts of the URL.
		return nil, errors.New("the database URL cannot be read: it must look like postgres://user:password@host:5432/name")
	}
	config.MinConns = 0
	config.MaxConns = 8
	if o.MaxConns > 0 {
		config.MaxConns = o.MaxConns
	}
	config.MaxConnIdleTime = 2 * time.Minute
	config.ConnConfig.Tracer = &tracer{observe: o.Observe}
	if o.MaxIdle > 0 {
		// Idle connections are looked for at this pace.
		config.MaxConnIdleTime, config.HealthCheckPeriod = o.MaxIdle, o.MaxIdle
	}
	config.PingTimeout = pingTimeout
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.DialFunc = dial
	if o.MaxAnswer > 0 {
		config.ConnConfig.BuildFrontend = limitAnswers(o.MaxAnswer)
	}
	params := config.ConnConfig.RuntimeParams
	params["search_path"] = Schema
	params["timezone"] = "UTC"
	// Compiling takes longer than what it saves, of statements that a wrong estimate makes look costly by seconds.
	params["jit"] = "off"
	// What a process asked that has died since is given up: it may hold locks that others wait for.
	params["client_connection_check_interval"] = "5s"
	params["application_name"] = "tertulia"
	if o.ApplicationName != "" {
		params["application_name"] = o.ApplicationName
	}
	if o.IdleInTransaction > 0 {
		params["idle_in_transaction_session_timeout"] = strconv.FormatInt(max(1, o.IdleInTransaction.Milliseconds()), 10)
	}
	if o.Role != "" {
		setRole := "set role " + pgx.Identifier{o.Role}.Sanitize()
		config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, setRole)
			return err
		}
	}
	return config, nil
}

// Close ends the pool's connections.
func (db *DB) Close() { db.Pool.Close() }

// InTx runs f in a transaction, which commits when f returns nil. When the error is not nil the transaction has been
// rolled back, or its outcome is unknown because the connection was lost during the commit.
func (db *DB) InTx(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db.Pool, f)
}

// ErrNotFound says that no row answers the question.
var ErrNotFound = errors.New("not found")

// IsNoText tells whether an error means that something that was asked with holds what no text of the database can: a zero character,
// or what is no UTF-8.
func IsNoText(err error) bool { return hasCode(err, "22021", "22P05") }

// IsUnavailable tells whether an error means that the database cannot be reached or used at the moment, so that the
// same call may succeed later.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, ErrStandby) {
		return true
	}
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	if errors.As(err, &pg) {
		if pg.Code == "55000" { // while connecting: the database admits nobody at the moment
			return errors.As(err, &connect)
		}
		switch pg.Code {
		case "57P01", "57P02", "57P03", // shutdown, crash, starting up
			"53300",          // too many connections
			"25006", "53100": // read-only, disk full
			return true
		}
		return strings.HasPrefix(pg.Code, "08")
	}
	var network net.Error
	return errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) ||
		errors.Is(err, net.ErrClosed) || isLostConnection(err)
}

// IsRefused tells whether the role lacks a right that a statement needs.
func IsRefused(err error) bool { return hasCode(err, "42501") }

// IsUniqueViolation tells whether an error is a violation of this unique index; "" means any.
func IsUniqueViolation(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" && (constraint == "" || pg.ConstraintName == constraint)
}
