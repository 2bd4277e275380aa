package main

import (
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// TestRawCopyCopiesEverything makes sure that the bound does the whole work that it stands for.
func TestRawCopyCopiesEverything(t *testing.T) {
	from, to := storetest.New(t), storetest.New(t)
	for _, statement := range []string{
		"insert into contact (tags) select '{road}' from generate_series(1, 500)",
		"insert into identifier (type, value) select 'external:shop', id::text from contact",
		"insert into identifier_link (identifier_id, contact_id, verified, source) select id, value::bigint, true, 'shop' from identifier",
		"insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'shop' from contact",
	} {
		if _, err := from.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	took, err := rawCopy(t.Context(), from, to, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if took <= 0 {
		t.Error("copying took no time")
	}
	for _, table := range peopleTables {
		var n int
		if err := to.Pool.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 500 {
			t.Errorf("%s has %d rows, want 500", table, n)
		}
	}
}

func TestRawCopyRefusesAnImportThatLeftNothing(t *testing.T) {
	if _, err := rawCopy(t.Context(), storetest.New(t), storetest.New(t), t.TempDir()); err == nil {
		t.Error("a bound was measured on no rows")
	}
}
