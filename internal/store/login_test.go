package store_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestSameDatabase(t *testing.T) {
	const url = "postgres://u:p@db.example:5432/velo"
	for name, c := range map[string]struct {
		other string
		want  bool
	}{
		"the same":            {url, true},
		"another password":    {"postgres://u:q@db.example:5432/velo", true},
		"another user":        {"postgres://v:q@db.example/velo", true},
		"protected":           {url + "?sslmode=require", true},
		"another database":    {"postgres://u:p@db.example:5432/moto", false},
		"another server":      {"postgres://u:p@db2.example:5432/velo", false},
		"another port":        {"postgres://u:p@db.example:5433/velo", false},
		"one server more":     {"postgres://u:p@db.example,db2.example:5432/velo", false},
		"what cannot be read": {"postgres://u:p@db.example:port/velo", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := store.SameDatabase(url, c.other); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}

type queryRower interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

func TestChangeLogin(t *testing.T) {
	owner := storetest.New(t)
	ctx := context.Background()
	exec := func(sql string) {
		t.Helper()
		if _, err := owner.Pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	url := func(role string) string {
		t.Helper()
		u, err := store.URLAs(storetest.URL(t, owner), role, "secret")
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	first := owner.Pool.Config().ConnConfig.Database + "_first"
	second := owner.Pool.Config().ConnConfig.Database + "_second"
	exec("create role " + first + " login password 'secret'")
	exec("create role " + second + " login password 'secret'")
	db, err := store.Open(ctx, url(first), store.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	user := func(q queryRower) string {
		t.Helper()
		var name string
		if err := q.QueryRow(ctx, "select session_user").Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	tx, err := db.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := user(tx); got != first {
		t.Fatalf("logged in as %s", got)
	}
	if err := db.ChangeLogin("postgres://u:p@h:port/d"); err == nil {
		t.Error("a URL that cannot be read was taken")
	}
	if err := db.ChangeLogin(url(second)); err != nil {
		t.Fatal(err)
	}
	if got := user(tx); got != first {
		t.Errorf("what has begun should end as it began: %s", got)
	}
	if got := user(db.Pool); got != second {
		t.Errorf("what begins should log in anew: %s", got)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Errorf("what has begun should end well: %v", err)
	}
	for range 3 {
		if got := user(db.Pool); got != second {
			t.Errorf("an old login was used again: %s", got)
		}
	}
}
