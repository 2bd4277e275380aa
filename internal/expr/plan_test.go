package expr_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// TestPlans asks PostgreSQL for its ways to answer the same text for everyone and for some: everyone is joined with what events
// there are, read once; some are looked up by the index, however many events others have.
func TestPlans(t *testing.T) {
	ctx := context.Background()
	db := storetest.New(t)
	for _, sql := range []string{
		"insert into tenant (id, namespace) values ('x', 'x')",
		"insert into identifier (type, value) values ('email', 'x')",
		"alter table contact add column attr_city text, add column attr_lifetime_value numeric",
		"insert into contact (locale) select 'es' from generate_series(1, 5000)",
		`insert into event (name, occurred_at, identifier_id, contact_id, source)
			select (array['purchase', 'web.visit'])[1 + n % 2], now() - n % 8000 * interval '1 hour', 1, 1 + n % 5000, 'x' from generate_series(1, 50000) n`,
		`insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline)
			select n, 'c' || n, '', '', '{}', 1, '[]', now(), now() from generate_series(1, 5) n`,
		"insert into ledger (send_id, seq, contact_id, state, settled_at) select s, n, n, 'sent', now() from generate_series(1, 5) s, generate_series(1, 4000) n",
		"insert into engaged select n, s, 'opened', now() from generate_series(1, 5) s, generate_series(1, 4000) n",
		`insert into contact_record (id, contact_id, public_id, source, created_at, updated_at, said, tags, consents)
			select r, n, gen_random_uuid(), 'x', now(), now(), '{}', '{}', '[]' from generate_series(1, 1000) n, unnest(array[n, n + 100000]) r`,
		"analyze",
	} {
		if _, err := db.Pool.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	// Whether everyone can be answered by joins alone.
	for source, joined := range map[string]bool{
		`events("purchase").within("90d") && !events("web.visit")`:                                            true,
		`events("purchase").count() >= 3 && events("purchase").sum("amount") > 10`:                            true,
		`events("purchase").count() < 3`:                                                                      true,
		`events("purchase").last() < ago("90d") && events("web.visit").first("page").startsWith("x")`:         true,
		`events("purchase").avg("amount") != 3 && events("purchase").distinct("sku") in [1, 2]`:               true,
		`received("c1") && !opened("c1") && opened().count() > 2`:                                             true,
		`events("purchase").count() > 3 || opened("c1")`:                                                      false,
		`events("purchase").sum("amount") > contact.lifetime_value`:                                           false,
		`events("purchase").where(e, e.sku == contact.city).count() > 3`:                                      false,
		`events("purchase").within("90d").sum("amount") > events("purchase").within("180d").sum("amount")`:    false,
		`events("web.visit").first("seconds") > 1 && (opened().last() > ago("9d") || received().count() > 1)`: false,
	} {
		schema := velo
		schema.Events = append(schema.Events[:1:1], eventTypes[1])
		compiled, err := expr.Compile(schema, source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		everyone := explain(ctx, t, db.Pool.BeginTx, "select c.id from contact c where "+compiled.Predicate, compiled.Arguments)
		if strings.Contains(everyone, "Nested Loop") || joined && strings.Contains(everyone, "SubPlan") {
			t.Errorf("%s, of everyone, is no join:\n%s", source, everyone)
		}
		some := explain(ctx, t, db.Pool.BeginTx,
			"select b.id from unnest('{1,2,3}'::bigint[]) k(id) cross join lateral (select c.id from contact c where c.id = k.id and ("+compiled.Predicate+") offset 0) b", compiled.Arguments)
		for _, table := range []string{"event", "engaged", "contact c", "contact_record"} { // of the ledger, partitions that are empty may be read
			if strings.Contains(some, "Seq Scan on "+table) {
				t.Errorf("%s, of some, reads all of %s:\n%s", source, table, some)
				break
			}
		}
	}
}

// explain is the plan of a statement. For everyone nested loops are off, as when a membership is built.
func explain(ctx context.Context, t *testing.T, begin func(context.Context, pgx.TxOptions) (pgx.Tx, error), sql string, arguments []string) string {
	t.Helper()
	tx, err := begin(ctx, pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if !strings.Contains(sql, "lateral") {
		if _, err := tx.Exec(ctx, "set local enable_nestloop = off"); err != nil {
			t.Fatal(err)
		}
	}
	values := []any{pgx.QueryExecModeDescribeExec}
	for _, a := range arguments {
		values = append(values, a)
	}
	rows, err := tx.Query(ctx, "explain (costs off) "+sql, values...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(lines, "\n")
}
