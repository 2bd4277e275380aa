package expr_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// TestValuesNeverFailAStatement gives attributes values that they can and cannot hold, as PostgreSQL does it and in memory.
func TestValuesNeverFailAStatement(t *testing.T) {
	ctx := context.Background()
	conn := oracleDatabase(ctx, t, "expr_values")
	schema := crm.Schema{Attributes: slices.Clone(columns), Events: eventTypes}
	for i := range schema.Attributes {
		if schema.Attributes[i].Name == "string_1" {
			schema.Attributes[i].Enum = []string{"free", "club"}
		}
	}
	execute(ctx, t, conn, "insert into contact (attr_string_0, attr_string_1, attr_integer_0, attr_decimal_0, attr_boolean_0) values ('old', 'free', 7, 7.5, true)")
	subjects := []expr.Subject{expr.EventSubject(eventTypes[0])}
	for name, c := range map[string]struct{ attribute, source, event, want string }{
		"a text":          {"string_0", `event.sku`, `{"sku": "helmet"}`, "helmet"},
		"not known":       {"string_0", `event.sku`, `{}`, "<nil>"},
		"null":            {"string_0", `null`, `{}`, "<nil>"},
		"of the enum":     {"string_1", `event.sku`, `{"sku": "club"}`, "club"},
		"not of the enum": {"string_1", `event.sku`, `{"sku": "gold"}`, "free"},
		"cleared":         {"string_1", `event.sku`, `{"sku": 5}`, "<nil>"},
		"lower case":      {"string_1", `event.sku.lowerAscii()`, `{"sku": "CLUB"}`, "club"},
		"a whole number":  {"integer_0", `event.items`, `{"items": 3}`, "3"},
		"no whole one":    {"integer_0", `event.items`, `{"items": 3.5}`, "7"},
		"too large":       {"integer_0", `event.items`, `{"items": 9223372036854775808}`, "7"},
		"the largest":     {"integer_0", `event.items`, `{"items": 9223372036854775807}`, "9223372036854775807"},
		"a number of":     {"integer_0", `events("purchase").count()`, `{}`, "0"},
		"to a decimal":    {"decimal_0", `event.items`, `{"items": 3}`, "3"},
		"a decimal":       {"decimal_0", `event.amount`, `{"amount": "49.50"}`, "49.50"},
		"written out":     {"decimal_0", `-1.25`, `{}`, "-1.25"},
		"a condition":     {"boolean_0", `event.gift || contact.integer_0 > 100`, `{}`, "false"},
		"a boolean":       {"boolean_0", `event.gift`, `{"gift": false}`, "false"},
		"a day":           {"date_0", `event.delivery`, `{"delivery": "2027-03-28"}`, "2027-03-28"},
		"now":             {"timestamp_0", `now`, `{}`, "2027-03-28 14:30:00+14"}, // the database lives in Kiritimati
	} {
		v, err := expr.CompileValue(schema, subjects, c.attribute, c.source)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		facts := map[string]expr.Facts{"event": expr.ReadEvent(eventTypes[0], []byte(c.event))}
		arguments := []any{}
		for _, a := range v.Bind(facts) {
			arguments = append(arguments, a)
		}
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got *string
		err = tx.QueryRow(ctx, "update contact c set attr_"+c.attribute+" = "+v.SQL+" returning attr_"+c.attribute+"::text", arguments...).Scan(&got)
		if err != nil || told([]*string{got})[0] != c.want {
			t.Errorf("%s: %v, %v, want %s", name, told([]*string{got}), err, c.want)
		}
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
