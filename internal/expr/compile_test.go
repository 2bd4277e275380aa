package expr_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// velo is the schema of a maker of cycling clothes.
var velo = crm.Schema{
	Attributes: []crm.Attribute{
		{Name: "first_name", Type: crm.String, Personal: true},
		{Name: "birthday", Type: crm.Date, Personal: true},
		{Name: "plan", Type: crm.String, Enum: []string{"free", "club", "pro"}},
		{Name: "city", Type: crm.String},
		{Name: "lifetime_value", Type: crm.Decimal},
		{Name: "visits", Type: crm.Integer},
		{Name: "ambassador", Type: crm.Boolean},
		{Name: "first_ride", Type: crm.Date},
		{Name: "renews_at", Type: crm.Timestamp},
	},
	Events: []crm.EventType{
		{Name: "purchase", Properties: []crm.Property{
			{Name: "amount", Type: crm.Decimal},
			{Name: "sku", Type: crm.String},
			{Name: "items", Type: crm.Integer},
			{Name: "gift", Type: crm.Boolean},
			{Name: "delivery", Type: crm.Date},
			{Name: "paid_at", Type: crm.Timestamp},
			{Name: "email", Type: crm.String},
		}},
		{Name: "web.visit"},
	},
}

// happened is the part that every selection of events has.
const happened = "from event e where e.contact_id = c.id and e.name = "

// grouped is the part that every selection of all contacts' events has.
const grouped = "from event e where e.contact_id is not null and e.name = "

func TestCompile(t *testing.T) {
	cases := map[string]struct {
		why       string
		source    string
		predicate string
		arguments []string
	}{
		"Equality": {
			why:       "a comparison is bare, so that an index serves it: where keeps only what is true",
			source:    `contact.plan == "club"`,
			predicate: `(c."attr_plan" = $1::text)`,
			arguments: []string{"club"},
		},
		"Inequality": {
			why:       "people without a plan have another plan than club",
			source:    `contact.plan != "club"`,
			predicate: `((c."attr_plan" = $1::text) is not true)`,
			arguments: []string{"club"},
		},
		"NegatedOrder": {
			why:       "a negation is true of null, which is not greater than 50",
			source:    `!(contact.lifetime_value > 50.0)`,
			predicate: `((c."attr_lifetime_value" > $1::numeric) is not true)`,
			arguments: []string{"50.0"},
		},
		"DeMorgan": {
			why:       "negations go down to the leaves, so that none meets a null, and exists stays visible to the planner",
			source:    `!(contact.ambassador || events("web.visit").count() > 0)`,
			predicate: `(((c."attr_ambassador") is not true) and (not exists (select ` + happened + `$1::text and e.occurred_at <= statement_timestamp())))`,
			arguments: []string{"web.visit"},
		},
		"NullTest": {
			why:       "== null asks whether a value is missing, even a personal one",
			source:    `contact.first_name == null || null != contact.birthday || has(contact.first_name)`,
			predicate: `((c."attr_first_name" is null) or (c."attr_birthday" is not null) or (c."attr_first_name" is not null))`,
		},
		"ExactDecimal": {
			why:       "a decimal keeps every digit of its source, also behind a sign that stands apart and a comment",
			source:    "contact.lifetime_value < - // debt\n 12345678901234567890.123456789012345678901",
			predicate: `(c."attr_lifetime_value" < $1::numeric)`,
			arguments: []string{"-12345678901234567890.123456789012345678901"},
		},
		"MixedList": {
			why:       "a decimal makes its list one of decimals; the list is one argument",
			source:    `contact.visits in [1, 2.5]`,
			predicate: `(c."attr_visits" = any($1::numeric[]))`,
			arguments: []string{`{"1","2.5"}`},
		},
		"QuotedList": {
			why:       "array syntax inside a text stays text",
			source:    `contact.city in ["a,b", "{\"\\}", "NULL", ""]`,
			predicate: `(c."attr_city" = any($1::text[]))`,
			arguments: []string{`{"a,b","{\"\\}","NULL",""}`},
		},
		"Text": {
			why:       "texts are searched without patterns and ordered by characters",
			source:    `contact.city.startsWith("San ") || contact.city.lowerAscii().contains("%") || contact.city.endsWith("a") || contact.city < "m"`,
			predicate: `((starts_with(c."attr_city", $1::text)) or (strpos(lower(c."attr_city" collate "C"), $2::text) > 0) or (right(c."attr_city", length($3::text)) = $4::text) or (c."attr_city" collate "C" < $5::text))`,
			arguments: []string{"San ", "%", "a", "a", "m"},
		},
		"TagsAndConsent": {
			why:       "tags and consent are looked up by argument",
			source:    `"vip" in contact.tags && consented("newsletter") && !has(contact.tags)`,
			predicate: `((c.tags @> array[$1::text]) and exists (select from consent k where k.contact_id = c.id and k.purpose = $2::text and k.granted) and (not (cardinality(c.tags) > 0)))`,
			arguments: []string{"vip", "newsletter"},
		},
		"Ages": {
			why:       "ages count from the statement's time; a date is its midnight in UTC",
			source:    `contact.first_ride < ago("365d") && contact.renews_at <= ahead("1d12h") && now > contact.created_at && contact.first_ride >= date("2026-01-01")`,
			predicate: `((c."attr_first_ride" < ((statement_timestamp() - $1::interval) at time zone 'UTC')) and (c."attr_renews_at" <= (statement_timestamp() + $2::interval)) and (statement_timestamp() > c.created_at) and (c."attr_first_ride" >= $3::date))`,
			arguments: []string{"31536000 seconds", "129600 seconds", "2026-01-01"},
		},
		"TimestampWithOffset": {
			why:       "an instant travels in UTC",
			source:    `contact.renews_at >= timestamp("2026-01-01T00:30:00.5+02:00")`,
			predicate: `(c."attr_renews_at" >= $1::timestamptz)`,
			arguments: []string{"2025-12-31T22:30:00.5Z"},
		},
		"Lapsed": {
			why:    "the whole of a common segment: an exists and a not exists, which the planner makes joins of",
			source: `contact.plan == "club" && events("purchase").count() > 0 && events("purchase").within("90d").count() == 0`,
			predicate: `((c."attr_plan" = $1::text) and exists (select ` + happened + `$2::text and e.occurred_at <= statement_timestamp())` +
				` and (not exists (select ` + happened + `$3::text and e.occurred_at > statement_timestamp() - $4::interval and e.occurred_at <= statement_timestamp())))`,
			arguments: []string{"club", "purchase", "purchase", "7776000 seconds"},
		},
		"CountIsGrouped": {
			why:       "the planner may count for all contacts at once, or look up the events of one",
			source:    `events("purchase").count() >= 3`,
			predicate: `exists (select from (select e.contact_id ` + grouped + `$1::text and e.occurred_at <= statement_timestamp() group by e.contact_id having (count(*) >= $2::bigint)) q where q.contact_id = c.id)`,
			arguments: []string{"purchase", "3"},
		},
		"OneGroup": {
			why:    "several questions about the same events are one look at them",
			source: `events("purchase").within("1d").sum("amount") >= 4 && contact.visits > 1 && events("purchase").within("1d").count() >= 2 && events("purchase").count() != 3`,
			predicate: `(exists (select from (select e.contact_id ` + grouped + `$1::text and e.occurred_at > statement_timestamp() - $2::interval and e.occurred_at <= statement_timestamp()` +
				` group by e.contact_id having (coalesce(sum(jsonb_decimal(e.properties, $3::text)), 0) >= $4::bigint) and (count(*) >= $5::bigint)) q where q.contact_id = c.id)` +
				` and (c."attr_visits" > $6::bigint) and (not exists (select from (select e.contact_id ` + grouped + `$7::text and e.occurred_at <= statement_timestamp()` +
				` group by e.contact_id having (count(*) = $8::bigint)) q where q.contact_id = c.id)))`,
			arguments: []string{"purchase", "86400 seconds", "amount", "4", "2", "1", "purchase", "3"},
		},
		"OneGroupOfWhoHasNone": {
			why:    "whoever has none is held by both",
			source: `events("purchase").count() < 4 && events("purchase").sum("amount") < 2`,
			predicate: `((not exists (select from (select e.contact_id ` + grouped + `$1::text and e.occurred_at <= statement_timestamp()` +
				` group by e.contact_id having ((count(*) < $2::bigint) is not true) or ((coalesce(sum(jsonb_decimal(e.properties, $3::text)), 0) < $4::bigint) is not true)) q where q.contact_id = c.id)))`,
			arguments: []string{"purchase", "4", "amount", "2"},
		},
		"WhoHasNone": {
			why:    "who has no purchase has spent less than 50: those are left out who have spent that",
			source: `events("purchase").sum("amount") < 50 || events("purchase").within("1d").max("items") != 3`,
			predicate: `((not exists (select from (select e.contact_id ` + grouped + `$1::text and e.occurred_at <= statement_timestamp() group by e.contact_id having ((coalesce(sum(jsonb_decimal(e.properties, $2::text)), 0) < $3::bigint) is not true)) q where q.contact_id = c.id))` +
				` or (not exists (select from (select e.contact_id ` + grouped + `$4::text and e.occurred_at > statement_timestamp() - $5::interval and e.occurred_at <= statement_timestamp() group by e.contact_id having (max(jsonb_decimal(e.properties, $6::text)) = $7::bigint)) q where q.contact_id = c.id)))`,
			arguments: []string{"purchase", "amount", "50", "purchase", "86400 seconds", "items", "3"},
		},
		"Selections": {
			why:    "a selection is a condition: is there any?",
			source: `events("web.visit") && !opened("spring").within("7d")`,
			predicate: `(exists (select ` + happened + `$1::text and e.occurred_at <= statement_timestamp()) and (not exists (select from (` +
				`select l.contact_id, l.at from engaged l where l.what = $2::text and l.send_id in (select d.id from send d where d.campaign = $3::text)` +
				` and not exists (select from contact_record r where r.id = l.contact_id) union all ` +
				`select r.contact_id, l.at from contact_record r join engaged l on l.contact_id = r.id where l.what = $4::text and l.send_id in (select d.id from send d where d.campaign = $5::text)` +
				`) e where e.contact_id = c.id and e.at > statement_timestamp() - $6::interval and e.at <= statement_timestamp())))`,
			arguments: []string{"web.visit", "opened", "spring", "opened", "spring", "604800 seconds"},
		},
		"LastBuy": {
			why:    "the last event has a time and properties",
			source: `events("purchase").last() < ago("90d") && events("purchase").last("sku").startsWith("bike-")`,
			predicate: `(exists (select from (select e.contact_id ` + grouped + `$1::text and e.occurred_at <= statement_timestamp() group by e.contact_id having (max(e.occurred_at) < (statement_timestamp() - $2::interval))) q where q.contact_id = c.id)` +
				` and exists (select from (select e.contact_id ` + grouped + `$3::text and e.occurred_at <= statement_timestamp() group by e.contact_id having (starts_with((array_agg(jsonb_string(e.properties, $4::text) order by e.occurred_at desc, e.id desc))[1], $5::text))) q where q.contact_id = c.id))`,
			arguments: []string{"purchase", "7776000 seconds", "purchase", "sku", "bike-"},
		},
		"Calendar": {
			why:       "a birthday is one where the contact lives",
			source:    `anniversary("birthday") == 0`,
			predicate: `(days_to_anniversary(c."attr_birthday", local_day(statement_timestamp(), coalesce(c.time_zone, (select time_zone from tenant)))) = $1::bigint)`,
			arguments: []string{"0"},
		},
		"LookUps": {
			why:    "other tables are asked by argument",
			source: `in_segment("vips") && has_identifier("phone") && contact.tags.hasAny(["a", "b,"])`,
			predicate: `(exists (select from segment_member m where m.contact_id = c.id and m.segment_id = (select g.id from segment g where g.name = $1::text))` +
				` and exists (select from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = c.id and i.type = $2::text) and (c.tags && $3::text[]))`,
			arguments: []string{"vips", "phone", `{"a","b,"}`},
		},
		"FoldedCase": {
			why:       "case is folded on both sides, by a function that is the same in every database",
			source:    `contact.city.equalsIgnoreCase("MÁLAGA")`,
			predicate: `(fold_case(c."attr_city") = fold_case($1::text))`,
			arguments: []string{"MÁLAGA"},
		},
		"CountOnTheRight": {
			why:       "0 < count is count > 0",
			source:    `0 < events("purchase").count()`,
			predicate: `exists (select ` + happened + `$1::text and e.occurred_at <= statement_timestamp())`,
			arguments: []string{"purchase"},
		},
		"NarrowestWindow": {
			why:       "windows intersect",
			source:    `events("purchase").within("30d").before("1d").within("1w").before("2d").count() != 0`,
			predicate: `exists (select ` + happened + `$1::text and e.occurred_at > statement_timestamp() - $2::interval and e.occurred_at <= statement_timestamp() - $3::interval)`,
			arguments: []string{"purchase", "604800 seconds", "172800 seconds"},
		},
		"SumWhere": {
			why:    "a sum of nothing is 0; a property that is missing or of another type does not count",
			source: `events("purchase").where(p, p.gift && p.sku != "socks").sum("amount") > contact.lifetime_value`,
			predicate: `((select coalesce(sum(jsonb_decimal(e.properties, $5::text)), 0) ` + happened + `$1::text and e.occurred_at <= statement_timestamp()` +
				` and ((jsonb_boolean(e.properties, $2::text)) and ((jsonb_string(e.properties, $3::text) = $4::text) is not true))) > c."attr_lifetime_value")`,
			arguments: []string{"purchase", "gift", "sku", "socks", "amount"},
		},
		"Everyone": {
			why:       "true is a condition too",
			source:    `true`,
			predicate: `$1::boolean`,
			arguments: []string{"true"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := expr.Compile(velo, tc.source)
			if err != nil {
				t.Fatalf("%s: %v", tc.why, err)
			}
			if diff := cmp.Diff(tc.predicate, got.Predicate); diff != "" {
				t.Errorf("%s: predicate (-want +got):\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(tc.arguments, got.Arguments); diff != "" {
				t.Errorf("%s: arguments (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestDependencies(t *testing.T) {
	const day = 24 * time.Hour
	got, err := expr.Compile(velo, `contact.plan == "pro" && contact.city != contact.plan && "vip" in contact.tags && contact.tags.hasAll(["b"]) && contact.locale == "es"
		&& consented("newsletter") && in_segment("lapsed") && has_identifier("phone")
		&& contact.first_ride < ago("30d") && contact.created_at <= now && ahead("7d") > contact.renews_at
		&& events("purchase").within("90d").before("7d").where(e, e.gift).count() > 0 && events("purchase").count() > 1 && events("web.visit").count() == 0
		&& events("purchase").last() < ago("60d") && opened("spring").within("7d") && received().count() > 3
		&& age("birthday") >= 18 && age("birthday") < 30 && anniversary("created_at") in [0, 7] && anniversary("first_ride") != contact.visits
		&& now < timestamp("2027-01-01T00:00:00Z") && ago("1d") > date("2026-01-01")`)
	if err != nil {
		t.Fatal(err)
	}
	want := expr.Dependencies{
		Attributes:  []string{"birthday", "city", "first_ride", "plan", "renews_at", "visits"},
		Fields:      []string{"created_at", "locale", "tags", "time_zone"},
		Tags:        []string{"b", "vip"},
		Purposes:    []string{"newsletter"},
		Identifiers: []string{"phone"},
		Segments:    []string{"lapsed"},
		Events: []expr.EventUse{
			{Name: "purchase"},
			{Name: "purchase", Window: expr.Window{Compared: 60 * day}},
			{Name: "purchase", Window: expr.Window{Within: 90 * day, Before: 7 * day}},
			{Name: "web.visit"},
		},
		Messages: []expr.MessageUse{{What: "opened", Campaign: "spring", Window: expr.Window{Within: 7 * day}}, {What: "received"}},
		Ages:     []expr.AgeUse{{Field: "created_at"}, {Field: "first_ride", Offset: -30 * day}, {Field: "renews_at", Offset: 7 * day}},
		Calendar: []expr.CalendarUse{
			{Function: "age", Field: "birthday", Steps: []int64{0, 18, 30}},
			{Function: "anniversary", Field: "created_at", Steps: []int64{0, 7}},
			{Function: "anniversary", Field: "first_ride"},
		},
		Instants: []time.Time{time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	if diff := cmp.Diff(want, got.Dependencies); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
	boundaries := []expr.Boundary{
		{Of: expr.OfEvent, Name: "purchase", Age: 0},
		{Of: expr.OfEvent, Name: "purchase", Age: 7 * day},
		{Of: expr.OfEvent, Name: "purchase", Age: 60 * day},
		{Of: expr.OfEvent, Name: "purchase", Age: 90 * day},
		{Of: expr.OfEvent, Name: "web.visit", Age: 0},
		{Of: expr.OfField, Name: "created_at", Age: 0},
		{Of: expr.OfField, Name: "first_ride", Age: 30 * day},
		{Of: expr.OfField, Name: "renews_at", Age: -7 * day},
		{Of: expr.OfMessage, Name: "opened", Age: 0},
		{Of: expr.OfMessage, Name: "opened", Age: 7 * day},
		{Of: expr.OfMessage, Name: "received", Age: 0},
	}
	if diff := cmp.Diff(boundaries, got.Dependencies.Boundaries()); diff != "" {
		t.Errorf("boundaries (-want +got):\n%s", diff)
	}
	text, err := json.Marshal(got.Dependencies)
	if err != nil {
		t.Fatal(err)
	}
	var back expr.Dependencies
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("what comes back of what was stored (-want +got):\n%s", diff)
	}
}

// TestAnyTag: where a tag is looked for by a value, or any at all, every tag matters.
func TestAnyTag(t *testing.T) {
	for _, source := range []string{`contact.city in contact.tags && "vip" in contact.tags`, `has(contact.tags) || contact.tags.hasAny(["a"])`} {
		got, err := expr.Compile(velo, source)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Dependencies.Tags) > 0 || !slices.Contains(got.Dependencies.Fields, "tags") {
			t.Errorf("%s depends on %+v", source, got.Dependencies)
		}
	}
}

func TestDigest(t *testing.T) {
	digest := func(schema crm.Schema, source string) string {
		t.Helper()
		c, err := expr.Compile(schema, source)
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest
	}
	one := digest(velo, `contact.visits > 3 && contact.city == "León"`)
	if other := digest(velo, "contact.visits>3 // often\n&& (contact.city == 'León')"); other != one {
		t.Error("spaces, quotes and comments made another digest: a segment would be built anew for nothing")
	}
	if other := digest(velo, `contact.visits > 4 && contact.city == "León"`); other == one {
		t.Error("another literal made the same digest")
	}
	decimalVisits := crm.Schema{Attributes: []crm.Attribute{{Name: "visits", Type: crm.Decimal}, {Name: "city", Type: crm.String}}}
	if other := digest(decimalVisits, `contact.visits in [3]`); other == digest(velo, `contact.visits in [3]`) {
		t.Error("another type made the same digest: the statement casts differently")
	}
}

func TestUnusableSchema(t *testing.T) {
	for name, schema := range map[string]crm.Schema{
		"Quote":    {Attributes: []crm.Attribute{{Name: `a" or true --`, Type: crm.String}}},
		"Type":     {Attributes: []crm.Attribute{{Name: "a", Type: "Text"}}},
		"Taken":    {Attributes: []crm.Attribute{{Name: "tags", Type: crm.String}}},
		"Event":    {Events: []crm.EventType{{Name: "a'b"}}},
		"Property": {Events: []crm.EventType{{Name: "a", Properties: []crm.Property{{Name: "b c", Type: crm.String}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := expr.Compile(schema, "true"); err == nil || strings.Contains(err.Error(), "1:1") {
				t.Errorf("got %v, want an error about the schema", err)
			}
		})
	}
}
