package expr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

var purchase = velo.Events[0]

func TestCompileAbout(t *testing.T) {
	const properties = `{"amount": 49.50, "sku": "helmet-m", "items": "2", "delivery": "2027-03-21", "paid_at": "2027-03-20T10:00:00.1234567+01:00"}`
	for name, c := range map[string]struct {
		why       string
		source    string
		predicate string
		arguments []string // with <nil> for what is unknown
		alone     bool
		holds     bool
	}{
		"Both": {
			why:       "a field of the event is an argument, and the statement is the same for every event",
			source:    `contact.lifetime_value > event.amount`,
			predicate: `(c."attr_lifetime_value" > $1::numeric)`,
			arguments: []string{"49.50"},
		},
		"Alone": {
			why:       "the event alone decides, so that nobody has to ask the database",
			source:    `event.amount >= 49.5 && event.sku.startsWith("helmet-") && event.items in [1, 2] && !event.gift`,
			predicate: `(($1::numeric >= $2::numeric) and (starts_with($3::text, $4::text)) and ($5::numeric = any ($6::bigint[])) and (($7::boolean) is not true))`,
			arguments: []string{"49.50", "49.5", "helmet-m", "helmet-", "2", `{"1","2"}`, "<nil>"},
			alone:     true,
			holds:     true,
		},
		"Unknown": {
			why:       "comparing with the unknown is false, and asking for it is allowed, even where it would tell who somebody is",
			source:    `event.gift == true || has(event.email) || event.gift != null`,
			predicate: `(($1::boolean = $2::boolean) or ($3::text is not null) or ($4::boolean is not null))`,
			arguments: []string{"<nil>", "true", "<nil>", "<nil>"},
			alone:     true,
		},
		"Clock": {
			why:       "a rule is asked once, so an event may be compared with the clock, which is the database's",
			source:    `event.delivery < ahead("2d")`,
			predicate: `($1::date < ((statement_timestamp() + $2::interval) at time zone 'UTC'))`,
			arguments: []string{"2027-03-21", "172800 seconds"},
		},
		"Where": {
			why:       "inside a where, the event that the rule waits for is a constant",
			source:    `events("purchase").where(e, e.sku == event.sku)`,
			predicate: `exists (select ` + happened + `$1::text and e.occurred_at <= statement_timestamp() and (jsonb_string(e.properties, $2::text) = $3::text))`,
			arguments: []string{"purchase", "sku", "helmet-m"},
		},
		"Instant": {
			why:       "an instant is read to the microsecond, without rounding",
			source:    `event.paid_at == timestamp("2027-03-20T09:00:00.123456Z")`,
			predicate: `($1::timestamptz = $2::timestamptz)`,
			arguments: []string{"2027-03-20 09:00:00.123456Z", "2027-03-20T09:00:00.123456Z"},
			alone:     true,
			holds:     true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			condition, err := expr.CompileAbout(velo, expr.EventSubject(purchase), c.source)
			if err != nil {
				t.Fatal(err)
			}
			facts := expr.ReadEvent(purchase, []byte(properties))
			if got := strings.ReplaceAll(condition.Predicate, "any(", "any ("); got != c.predicate {
				t.Errorf("%s\nis:   %s\nwant: %s", c.why, got, c.predicate)
			}
			if diff := cmp.Diff(c.arguments, told(condition.Bind(facts))); diff != "" {
				t.Errorf("%s: arguments: -want +got:\n%s", c.why, diff)
			}
			holds, err := condition.Holds(facts)
			if condition.Alone() != c.alone || holds != c.holds || (err == nil) != c.alone {
				t.Errorf("%s: alone %v, holds %v, %v", c.why, condition.Alone(), holds, err)
			}
		})
	}
}

func told(arguments []*string) (list []string) {
	for _, a := range arguments {
		if a == nil {
			list = append(list, "<nil>")
			continue
		}
		list = append(list, *a)
	}
	return list
}

func TestIssuesAboutEvents(t *testing.T) {
	for source, want := range map[string]string{
		`event.amont > 1`:                       `1:7: event has no field "amont": did you mean "amount"?`,
		`amount > 1`:                            `1:1: unknown name "amount": did you mean "event.amount"?`,
		`event > 1`:                             `1:1: event is not a value: name one of its fields, such as event.amount`,
		`event.email == contact.city`:           `1:7: event.email singles out a person: ask only whether it is known, by has(event.email)`,
		`event.sku == "ana@velo.example"`:       `1:14: an address or a number of a person must not stand in an expression: describe people by attributes, tags, consent and events`,
		`event.amount > event.sku`:              `1:14: cannot compare event.amount (Decimal) with event.sku (String)`,
		`event.sku > null`:                      `1:13: null has no order: ask by == null or has`,
		`event.sku.amount == 1`:                 `1:11: only a contact, the event of a where and the event have fields`,
		`events("purchase").where(event, true)`: `1:20: where needs another name for the event than event, such as e`,
		`evnt.amount > 1`:                       `1:1: unknown name "evnt": did you mean "event"?`,
		`event.sku`:                             `1:7: the expression is event.sku (String), not a condition: compare it with something`,
	} {
		_, err := expr.CompileAbout(velo, expr.EventSubject(purchase), source)
		var failed *expr.Error
		if !errors.As(err, &failed) || failed.Error() != want {
			t.Errorf("%s\nsays: %v\nwant: %s", source, err, want)
		}
	}
}

// TestADigestKnowsTheSubject: two expressions whose statements read the same differ by what fills their arguments.
func TestADigestKnowsTheSubject(t *testing.T) {
	seen := map[string]string{}
	for _, source := range []string{`event.delivery == contact.first_ride`, `event.sku == contact.city`, `contact.city == ""`, `event.email == null`, `event.sku == null`} {
		condition, err := expr.CompileAbout(velo, expr.EventSubject(purchase), source)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[condition.Digest]; taken {
			t.Errorf("%s and %s have one digest", source, other)
		}
		seen[condition.Digest] = source
	}
}

// hostileValues are what an event may hold, beside what the oracle draws.
var hostileValues = append([]string{
	`0e99999`, `-0.0e+5000`, `0e-5`, `1e-4`, `-1.50e1`, `100e-2`, `1e61`, `1e62`, `-1e61`, `123456789012345678901234567890.123456789012345678901234567890`, `1E+3`, `1.0e-58`,
	`"123456789012345678901234567890.123456789012345678901234567890"`, `"1234567890123456789012345678901"`, `"+1"`, `" 1"`, `".5"`, `"1."`, `"-0"`,
	`"0001-01-01"`, `"9999-12-31"`, `"2028-02-29"`, `"2027-3-1"`, `"2027-03-28T24:00:00Z"`, `"0001-01-01T00:00:00+23:59"`, `"9999-12-31T23:59:59.999999999-23:59"`,
	`"2027-03-28T00:00:00.1234565Z"`, `"2027-03-28T00:00:00.Z"`, `"2027-03-28t00:00:00z"`, `"2027-03-28T00:00:00+00:60"`, `"2027-03-28T00:00:00.1234567891Z"`,
	`"` + strings.Repeat("x", 5000) + `"`, `[[[]]]`, `false`, `"\u00e9"`, `"true"`,
}, odd...)

// TestEventsAreReadAsTheDatabaseReadsThem compares what the arguments of a statement hold with what its functions make of the stored event.
func TestEventsAreReadAsTheDatabaseReadsThem(t *testing.T) {
	db := storetest.New(t)
	functions := map[crm.ValueType]string{
		crm.String: "jsonb_string", crm.Integer: "jsonb_decimal", crm.Decimal: "jsonb_decimal", crm.Boolean: "jsonb_boolean", crm.Date: "jsonb_date",
		crm.Timestamp: "jsonb_timestamp",
	}
	known := 0
	for _, typ := range valueTypes {
		event := crm.EventType{Name: "x", Properties: []crm.Property{{Name: "p", Type: typ}}}
		condition, err := expr.CompileAbout(crm.Schema{}, expr.EventSubject(event), "event.p == null")
		if err != nil {
			t.Fatal(err)
		}
		cast := typ.SQLType()
		if typ == crm.Integer {
			cast = "numeric"
		}
		for _, value := range append([]string{"2", "2.50", `"x"`}, hostileValues...) {
			properties := fmt.Sprintf(`{"p": %s, "q": {}}`, value)
			argument := condition.Bind(expr.ReadEvent(event, []byte(properties)))[0]
			var same bool
			var stored *string
			err := db.Pool.QueryRow(context.Background(), fmt.Sprintf(
				"select %s($1::jsonb, 'p') is not distinct from $2::text::%s, %[1]s($1::jsonb, 'p')::text", functions[typ], cast), properties, argument).Scan(&same, &stored)
			if err != nil || !same {
				t.Errorf("%s as %s: %v is the argument, and the database reads %v, %v", value, typ, told([]*string{argument}), told([]*string{stored}), err)
			}
			if stored != nil {
				known++
			}
		}
	}
	if known < 50 {
		t.Errorf("only %d values are known, which tells little", known)
	}
	for _, properties := range []string{"", "null", "[]", "5", `{"p": 1`, `"p"`} {
		event := crm.EventType{Name: "x", Properties: []crm.Property{{Name: "p", Type: crm.Integer}}}
		if facts := expr.ReadEvent(event, []byte(properties)); len(facts) != 0 {
			t.Errorf("%s says %v", properties, facts)
		}
	}
}

// TestListsOfASubject asks lists by SQL and by cel-go.
func TestListsOfASubject(t *testing.T) {
	db := storetest.New(t)
	subject := expr.Subject{Name: "thing", Alone: true, Fields: []expr.Field{
		{Name: "kinds", Type: crm.String, List: true, Enum: []string{"a", "b", "c"}}, {Name: "kind", Type: crm.String}, {Name: "day", Type: crm.Date},
	}}
	for source, want := range map[string][3]bool{ // of {a,b}, of the empty list, and of one that is not there
		`"a" in thing.kinds`:               {true, false, false},
		`!("a" in thing.kinds)`:            {false, true, true},
		`thing.kind in thing.kinds`:        {true, false, false},
		`thing.kinds.hasAny(["a", "c"])`:   {true, false, false},
		`thing.kinds.hasAll(["a", "c"])`:   {false, false, false},
		`thing.kinds.hasAll([])`:           {true, true, true},
		`thing.kinds.hasOnly(["a", "b"])`:  {true, true, true},
		`!thing.kinds.hasOnly(["b", "c"])`: {true, false, false},
		`has(thing.kinds)`:                 {true, false, false},
		`thing.day == date("2027-03-21")`:  {true, true, true},
		`thing.day < timestamp("2027-03-21T00:00:01Z") && thing.kind != null`: {true, true, true},
	} {
		condition, err := expr.CompileAbout(crm.Schema{}, subject, source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		for i, kinds := range [][]string{{"a", "b"}, {}, nil} {
			facts := expr.Facts{"kind": expr.Text("b"), "day": expr.Day(time.Date(2027, 3, 21, 23, 0, 0, 0, time.FixedZone("", 7200)))}
			if kinds != nil {
				facts["kinds"] = expr.Texts(kinds)
			}
			holds, err := condition.Holds(facts)
			if err != nil || holds != want[i] {
				t.Errorf("%s of %v: %v, %v by cel-go", source, kinds, holds, err)
			}
			arguments := []any{}
			for _, a := range condition.Bind(facts) {
				arguments = append(arguments, a)
			}
			if err := db.Pool.QueryRow(t.Context(), "select coalesce("+condition.Predicate+", false)", arguments...).Scan(&holds); err != nil || holds != want[i] {
				t.Errorf("%s of %v: %v, %v by SQL", source, kinds, holds, err)
			}
		}
	}
	for source, part := range map[string]string{
		`"d" in thing.kinds`:         `thing.kinds is never "d"`,
		`thing.kinds.hasOnly(["d"])`: `thing.kinds is never "d"`,
		`thing.kinds == "a"`:         "cannot compare thing.kinds (list of String) with a String",
		`thing.kinds.count() > 1`:    "count is for events",
		`thing.kind.hasAny(["a"])`:   "hasAny does not fit thing.kind (String)",
		`consented("newsletter")`:    "consented is not part of this expression: it is about the thing alone",
		`has(contact.plan)`:          "contact is not part of this expression",
		`thing.day < now`:            "now is not part of this expression",
	} {
		if _, err := expr.CompileAbout(crm.Schema{}, subject, source); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", source, err)
		}
	}
}
