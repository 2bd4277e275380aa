package expr_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// hostileRows are what nobody can bring in over imports and the API, and what a statement by hand can.
var hostileRows = []string{
	`insert into contact (locale, time_zone, tags, created_at, attr_lifetime_value, attr_birthday, attr_first_ride, attr_renews_at, attr_city) values
		('', 'Nowhere/Land', '{}', '-infinity', 'NaN', '-infinity', 'infinity', 'infinity', ''),
		('', '', '{""}', 'infinity', 'Infinity', 'infinity', '-infinity', '-infinity', repeat('É', 10000)),
		('\\', 'Pacific/Kiritimati', '{NULL}', '294276-12-31 23:59:59 UTC', '-Infinity', '5874897-12-31', '4713-01-01 BC', '294276-12-31 23:59:59 UTC', chr(1114109)),
		('%', 'Pacific/Pago_Pago', '{{a,b},{c,d}}', '4713-01-01 00:00:00 BC', ('1' || repeat('0', 131000))::numeric, '0001-01-01', '0044-03-15 BC', '4713-01-01 00:00:00 BC', e'\u0001'),
		(null, '+99:99', '{}', '0001-01-01', ('0.' || repeat('0', 16000) || '1')::numeric, '2000-02-29', '9999-12-31', '9999-12-31', 'İ' || chr(8490))`,
	`insert into event (name, occurred_at, identifier_id, contact_id, properties, source)
		select n, at::timestamptz, 1, c.id, p::jsonb, 'x'
		from contact c, unnest(array['purchase', 'web.visit']) n, unnest(array['-infinity', 'infinity', '0001-01-01', '2026-01-01', '294276-12-31']) at, unnest(array[
			'[]', '"x"', '5', 'null', '{}', '{"amount": null, "gift": "true", "items": {}, "delivery": 5, "paid_at": [], "sku": 1e5}',
			'{"amount": 1e130000, "items": -1e-16000, "delivery": "2026-02-30", "paid_at": "2026-01-01T24:00:00Z", "sku": ""}',
			'{"amount": "NaN", "items": "Infinity", "delivery": "infinity", "paid_at": "now", "sku": "\ud83d\ude00"}',
			'{"amount": "1e999999999", "items": "99999999999999999999999999999999", "delivery": "9999-99-99", "paid_at": "9999-12-31T23:59:59-23:59"}',
			'{"amount": "0x10", "items": "1_000", "delivery": "0000-00-00", "paid_at": "0001-01-01T00:00:00+23:59"}',
			'{"amount": ' || repeat('[', 1000) || repeat(']', 1000) || ', "sku": ' || repeat('{"a":', 1000) || '1' || repeat('}', 1000) || '}'
		]) p`,
	`insert into segment_member (segment_id, contact_id) select s.id, c.id from segment s, contact c`,
	`insert into engaged (contact_id, send_id, what, at) select c.id, 77, 'opened', 'infinity' from contact c`,
	`insert into ledger (send_id, seq, contact_id, state) select 1, c.id, c.id, 'sent' from contact c`,
}

// everything uses each operator and function of the language on what the rows above hold.
var everything = []string{
	`age("birthday") > 1 || age("first_ride") == 0 || age("renews_at") != 3 || age("created_at") in [1, 2] || age("birthday") == contact.visits`,
	`anniversary("birthday") > 1 || anniversary("first_ride") == 0 || anniversary("renews_at") != 3 || anniversary("created_at") <= 400`,
	`contact.first_ride < now || contact.first_ride >= contact.renews_at || contact.renews_at < ago("3650d") || contact.created_at > ahead("3650d") || contact.first_ride == date("0001-01-01")`,
	`contact.renews_at in [timestamp("0001-01-01T00:00:00Z")] || contact.first_ride in [date("9999-12-31")] || contact.renews_at > contact.first_ride`,
	`contact.lifetime_value > 3 || contact.lifetime_value in [1.5] || contact.lifetime_value == contact.visits || events("purchase").sum("amount") < contact.lifetime_value`,
	`contact.city.equalsIgnoreCase(contact.locale) || contact.city.startsWithIgnoreCase("É") || contact.city.endsWithIgnoreCase("k") || contact.city.containsIgnoreCase("i")`,
	`contact.city.lowerAscii() < contact.locale || contact.city.startsWith("") || contact.city.endsWith("é") || contact.city.contains("\u0001") || contact.locale in contact.tags`,
	`contact.tags.hasAny(["a", ""]) || contact.tags.hasAll(["a"]) || contact.tags.hasOnly(["a"]) || has(contact.tags) || "" in contact.tags`,
	`events("purchase").sum("amount") > 1 || events("purchase").avg("amount") > 1 || events("purchase").min("items") > 1 || events("purchase").max("items") > 1.5`,
	`events("purchase").avg("items") == 0.5 || events("purchase").distinct("amount") > 1 || events("purchase").distinct("delivery") > 1 || events("purchase").distinct("gift") > 1`,
	`events("purchase").first() < now || events("purchase").last() == contact.renews_at || events("purchase").last("paid_at") > timestamp("2026-01-01T00:00:00Z") || events("purchase").first("amount") > 3`,
	`events("purchase").first("delivery") < date("2026-01-01") || events("purchase").last("gift") || events("purchase").first("sku").containsIgnoreCase("x") || events("purchase").last("items") in [1]`,
	`events("purchase").where(e, e.amount > 1 || e.items < 0 || e.gift || e.sku < contact.city || e.delivery < contact.first_ride || e.paid_at != contact.renews_at || has(e.paid_at)).within("3650d").before("1s").count() > 1`,
	`opened().count() > 0 || opened("x") || clicked().last() == null || received().first() < ago("1d") || received("y").within("1d") || in_segment("x") || has_identifier("email") || consented("x")`,
}

// TestNoRowMakesAStatementFail asks everything of everyone, and of each contact alone.
func TestNoRowMakesAStatementFail(t *testing.T) {
	ctx := context.Background()
	db := storetest.New(t)
	execute := func(sql string, arguments ...any) {
		t.Helper()
		if _, err := db.Pool.Exec(ctx, sql, arguments...); err != nil {
			t.Fatalf("%.200s: %v", sql, err)
		}
	}
	execute("insert into tenant (id, namespace, time_zone) values ('x', 'x', 'No/Zone')")
	execute("insert into segment (name, match, digest, predicate, arguments) values ('x', '', '', '', '[]')")
	execute("insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline) values ('x', 'x', '', '', '{}', 1, '[]', now(), now())")
	for _, a := range velo.Attributes {
		execute("alter table contact add column " + a.Column() + " " + a.Type.SQLType())
	}
	for _, sql := range hostileRows {
		execute(sql)
	}
	used := map[string]bool{}
	for _, source := range everything {
		if _, err := expr.Compile(velo, source); err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		// What is true at once keeps PostgreSQL from looking further: each part is asked for by itself too.
		for _, one := range append([]string{source}, strings.Split(source, " || ")...) {
			compiled, err := expr.Compile(velo, one)
			if err != nil {
				continue // a part of the condition of a where
			}
			var arguments []any
			for _, a := range compiled.Arguments {
				arguments = append(arguments, a)
			}
			if _, err := db.Pool.Exec(ctx, "select c.id from contact c where "+compiled.Predicate, arguments...); err != nil {
				t.Errorf("%s, of everyone: %v", one, err)
			}
			if _, err := db.Pool.Exec(ctx, "select b.* from contact k cross join lateral (select c.id from contact c where c.id = k.id and "+compiled.Predicate+" offset 0) b", arguments...); err != nil {
				t.Errorf("%s, of each: %v", one, err)
			}
		}
		for _, name := range expr.Vocabulary() {
			used[name] = used[name] || strings.Contains(source, name)
		}
	}
	for _, name := range expr.Vocabulary() {
		if !used[name] && name != "&&" && name != "!" {
			t.Errorf("%s was never asked", name)
		}
	}
}
