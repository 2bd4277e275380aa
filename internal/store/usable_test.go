package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestCheckUsable(t *testing.T) {
	claim := "insert into tenant (id, namespace) values ('velo', 'ns')"
	var old *store.OldSchemaError
	var foreign *store.ErrForeignDatabase
	for name, c := range map[string]struct {
		why     string
		prepare []string
		want    any // nil, an error, or a pointer to a kind of error
	}{
		"Ours":     {"", []string{claim}, nil},
		"Newer":    {"the operator runs a newer program: what this one needs is there", []string{claim, "insert into schema_version (version_id, is_applied) values (99999, true)"}, nil},
		"Nobodys":  {"nobody has claimed it yet", nil, store.ErrNotFound},
		"Foreign":  {"", []string{"insert into tenant (id, namespace) values ('other', 'ns')"}, &foreign},
		"Older":    {"this program is newer than the schema", []string{claim, "delete from schema_version where version_id > 1"}, &old},
		"Nothing":  {"a database that nobody has migrated", []string{"drop schema tertulia cascade"}, &old},
		"OldFirst": {"what an old schema says of its tenant is not looked at", []string{"delete from schema_version where version_id > 1", "drop table tenant cascade"}, &old},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			ctx := context.Background()
			for _, sql := range c.prepare {
				if _, err := db.Pool.Exec(ctx, sql); err != nil {
					t.Fatal(err)
				}
			}
			err := db.CheckUsable(ctx, "velo")
			switch want := c.want.(type) {
			case nil:
				if err != nil {
					t.Errorf("%s: %v", c.why, err)
				}
			case error:
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", c.why, err, want)
				}
			default:
				if !errors.As(err, want) {
					t.Errorf("%s: %v, want %T", c.why, err, want)
				}
			}
		})
	}
}
