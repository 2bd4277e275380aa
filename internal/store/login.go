package store

import (
	"context"
	"net"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// SameDatabase tells whether two URLs lead to the same database of the same server: they differ in the login, or in how
// the connection is protected. It is false for a URL that cannot be read.
func SameDatabase(a, b string) bool {
	one, err := pgxpool.ParseConfig(a)
	if err != nil {
		return false
	}
	other, err := pgxpool.ParseConfig(b)
	return err == nil && one.ConnConfig.Database == other.ConnConfig.Database && slices.Equal(servers(one), servers(other))
}

// servers are the addresses that are tried, in their order. One is tried twice where a connection may be protected or not.
func servers(config *pgxpool.Config) []string {
	list := []string{net.JoinHostPort(config.ConnConfig.Host, strconv.Itoa(int(config.ConnConfig.Port)))}
	for _, f := range config.ConnConfig.Fallbacks {
		list = append(list, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	}
	return slices.Compact(list)
}

// ChangeLogin makes new connections with what a URL of the same database says. Those in use finish what they do; none
// that the old login made is used after that. An error means that the URL cannot be read, and nothing has changed.
func (db *DB) ChangeLogin(url string) error {
	config, err := poolConfig(url, db.options)
	if err != nil {
		return err
	}
	db.login.Store(config.ConnConfig)
	db.Pool.Reset()
	return nil
}

func (db *DB) useLogin(_ context.Context, config *pgx.ConnConfig) error {
	if login := db.login.Load(); login != nil {
		*config = *login.Copy()
	}
	return nil
}
