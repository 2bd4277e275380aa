package controllers_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestADatabaseThatHangsHoldsUpNobodyElse has a tenant's database answer nothing about segments, as a lock that somebody
// holds does, and a server that is malicious: the passes over that tenant's segments wait, and those over others' do not.
func TestADatabaseThatHangsHoldsUpNobodyElse(t *testing.T) {
	hanging, other := newHome(t), newHome(t)
	tx, err := hanging.db.Pool.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), "lock table segment in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		hanging.create(hanging.segment(fmt.Sprintf("s%d", i), "true"))
	}
	other.create(other.segment("all", "true"))
	becomes(other, true, "select exists (select from segment where name = 'all')")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Those that were put off have their turn.
	becomes(hanging, 40, "select count(*)::int from segment")
}
