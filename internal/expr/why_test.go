package expr_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// mention is a subject with a group, and with fields that tell who somebody is.
var mention = expr.Subject{Name: "mention", Fields: []expr.Field{
	{Name: "sentiment", Type: crm.Decimal},
	{Name: "label", Type: crm.String, Enum: []string{"negative", "positive"}},
	{Name: "text", Type: crm.String, Free: true},
	{Name: "thread", Type: crm.String, Personal: true},
	{Name: "topics", Type: crm.String, List: true},
	{Name: "author", Fields: []expr.Field{{Name: "followers", Type: crm.Integer}, {Name: "handle", Type: crm.String}, {Name: "bot", Type: crm.Boolean}}},
}}

func spoken(t testing.TB, source string) *expr.Condition {
	t.Helper()
	c, err := expr.CompileAmong(velo, []expr.Subject{mention, expr.EventSubject(purchase)}, source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return c
}

func exact(t testing.TB, f float64) expr.Fact {
	t.Helper()
	fact, known := expr.ReadFact(crm.Decimal, strconv.FormatFloat(f, 'f', -1, 64))
	if !known {
		t.Fatal(f)
	}
	return fact
}

// TestSeveralSubjects binds each of them to its own arguments.
func TestSeveralSubjects(t *testing.T) {
	subjects := map[string]expr.Facts{
		"mention": {"sentiment": exact(t, -0.75), "author.followers": expr.Integer(1200), "topics": expr.Texts([]string{"brand/velo"})},
		"event":   {"amount": exact(t, 49.5)},
	}
	c := spoken(t, `mention.sentiment < -0.5 && mention.author.followers > 1000 && event.amount > contact.lifetime_value && "brand/velo" in mention.topics && !mention.author.bot`)
	want := `(($1::numeric < $2::numeric) and ($3::numeric > $4::bigint) and ($5::numeric > c."attr_lifetime_value") and ($6::text[] @> array[$7::text]) and (($8::boolean) is not true))`
	if c.Predicate != want {
		t.Errorf("is:   %s\nwant: %s", c.Predicate, want)
	}
	if diff := cmp.Diff([]string{"-0.75", "-0.5", "1200", "1000", "49.5", `{"brand/velo"}`, "brand/velo", "<nil>"}, told(c.BindAll(subjects))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !c.AsksContact() || c.Alone() {
		t.Error("it asks a contact")
	}
	if _, err := c.HoldsIn(expr.World{Subjects: subjects}); err == nil {
		t.Error("without a contact it has no answer")
	}
	if holds, err := c.HoldsIn(expr.World{Subjects: subjects, Contact: &expr.Person{Facts: expr.Facts{"lifetime_value": exact(t, 10)}}}); err != nil || !holds {
		t.Errorf("%v, %v", holds, err)
	}
	now := time.Date(2027, 3, 28, 12, 0, 0, 0, time.UTC)
	clocked := spoken(t, `event.delivery < ahead("2d") && event.delivery > ago("2d") && now > event.paid_at`)
	if clocked.AsksContact() || clocked.Alone() {
		t.Error("it asks the clock and no contact")
	}
	facts := map[string]expr.Facts{"event": {"delivery": expr.Day(now), "paid_at": expr.Instant(now.Add(-time.Second))}}
	if holds, err := clocked.HoldsIn(expr.World{Now: now, Subjects: facts}); err != nil || !holds {
		t.Errorf("%v, %v", holds, err)
	}
	if holds, err := clocked.HoldsIn(expr.World{Now: now.AddDate(0, 0, 3), Subjects: facts}); err != nil || holds {
		t.Errorf("three days later: %v, %v", holds, err)
	}
}

func TestIssuesAboutSeveralSubjects(t *testing.T) {
	for source, want := range map[string]string{
		`mention.author.folowers > 1`:             `1:16: mention.author has no field "folowers": did you mean "followers"?`,
		`mention.athor.followers > 1`:             `1:9: mention has no field "athor": did you mean "author"?`,
		`mention.author.followers.x > 1`:          `1:26: only a contact, the event of a where, the mention and the event have fields`,
		`mention.author == null`:                  `1:9: mention.author is not a value: name one of its fields, such as mention.author.followers`,
		`has(mention.author)`:                     `1:4: mention.author is not a value: name one of its fields, such as mention.author.followers`,
		`mention.author.handle == "x"`:            `1:16: mention.author.handle singles out a person: ask only whether it is known, by has(mention.author.handle)`,
		`mention.thread == contact.city`:          `1:9: mention.thread singles out a person: ask only whether it is known, by has(mention.thread)`,
		`mention.text == "hello"`:                 `1:9: mention.text is what somebody wrote, and as a whole it singles out a person: search in it, such as mention.text.containsIgnoreCase("refund")`,
		`mention.text.lowerAscii() in ["a"]`:      `1:9: mention.text is what somebody wrote`,
		`mention.text.equalsIgnoreCase("a")`:      `1:9: mention.text is what somebody wrote`,
		`mention.text > "a"`:                      `1:9: mention.text is what somebody wrote`,
		`followers > 1`:                           `1:1: unknown name "followers"`,
		`sentiment > 1`:                           `1:1: unknown name "sentiment": did you mean "mention.sentiment"?`,
		`mentoin.sentiment > 1`:                   `1:1: unknown name "mentoin": did you mean "mention"?`,
		`mention.author.followers == "many"`:      `1:26: cannot compare mention.author.followers (Integer) with a String: write it without quotes`,
		`mention.label == "angry"`:                `1:18: mention.label is never "angry": there is negative, positive`,
		`events("purchase").where(mention, true)`: `1:20: where needs another name for the event than mention, such as e`,
	} {
		_, err := expr.CompileAmong(velo, []expr.Subject{mention, expr.EventSubject(purchase)}, source)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\nsays: %v\nwant: %s", source, err, want)
		}
	}
	for _, source := range []string{`has(mention.thread)`, `mention.author.handle != null`, `mention.text != null && mention.text.containsIgnoreCase("refund")`, `has(mention.author.followers)`} {
		spoken(t, source)
	}
	for name, subjects := range map[string][]expr.Subject{
		"twice":    {mention, mention},
		"contact":  {{Name: "contact"}},
		"no name":  {{}},
		"no type":  {{Name: "x", Fields: []expr.Field{{Name: "y"}}}},
		"too deep": {{Name: "x", Fields: []expr.Field{{Name: "y", Fields: []expr.Field{{Name: "z", Fields: []expr.Field{{Name: "a", Type: crm.String}}}}}}}},
	} {
		if _, err := expr.CompileAmong(velo, subjects, "true"); err == nil {
			t.Errorf("%s: the subjects are taken", name)
		}
	}
}

func TestWhy(t *testing.T) {
	now := time.Date(2027, 3, 28, 12, 0, 0, 0, time.UTC)
	world := expr.World{
		Now: now,
		Subjects: map[string]expr.Facts{
			"mention": {"sentiment": exact(t, -0.2), "author.followers": expr.Integer(12), "author.handle": expr.Text("ana@social.example"), "text": expr.Text("my secret"), "topics": expr.Texts([]string{"brand/velo"})},
			"event":   {"amount": exact(t, 49.5), "email": expr.Text("ana@velo.example")},
		},
		Contact: &expr.Person{
			Facts:  expr.Facts{"plan": expr.Text("free"), "first_name": expr.Text("Ana"), "tags": expr.Texts([]string{"vip"}), "city": expr.Text("Madrid")},
			Events: []expr.Occurrence{{Name: "purchase", At: now.Add(-time.Hour), Facts: expr.Facts{"amount": exact(t, 10)}}},
		},
	}
	for source, want := range map[string][]string{
		`mention.sentiment < -0.5 && mention.author.followers > 10`: {`mention.sentiment < -0.5 does not hold: mention.sentiment is -0.2`},
		`mention.sentiment < -0.1 || contact.plan == "club"`:        {`mention.sentiment < -0.1 holds: mention.sentiment is -0.2`},
		`contact.plan == "club" || !("vip" in contact.tags)`: {
			`contact.plan == "club" does not hold: contact.plan is "free"`, `"vip" in contact.tags holds: contact.tags is ["vip"]`,
		},
		`!(contact.plan == "free" && event.amount > 10)`: {`contact.plan == "free" holds: contact.plan is "free"`, `event.amount > 10 holds: event.amount is 49.5`},
		`events("purchase").within("90d").sum("amount") > event.amount`: {
			`events("purchase").within("90d").sum("amount") > event.amount does not hold: events("purchase").within("90d").sum("amount") is 10, event.amount is 49.5`,
		},
		`events("purchase").where(e, e.amount > 20.0)`: {`events("purchase").where(e, e.amount > 20.0) does not hold`},
		`has(contact.birthday) && true`:                {`has(contact.birthday) does not hold`},
		`mention.text.contains("refund")`:              {`mention.text.contains("refund") does not hold: mention.text is known`},
		`has(mention.author.handle) && false`:          {`false does not hold`},
		`!has(event.email)`:                            {`has(event.email) holds`},
		`contact.first_name == null`:                   {`contact.first_name == null does not hold: contact.first_name is known`},
		`contact.lifetime_value > 1`:                   {`contact.lifetime_value > 1 does not hold: contact.lifetime_value is not known`},
		`in_segment("vips")`:                           {`in_segment("vips") does not hold`},
		`contact.city.lowerAscii() in ["paris"]`:       {`contact.city.lowerAscii() in ["paris"] does not hold: contact.city is "Madrid"`},
		`now < timestamp("2027-01-01T00:00:00Z")`:      {`now < timestamp("2027-01-01T00:00:00Z") does not hold: now is 2027-03-28T12:00:00Z`},
	} {
		c := spoken(t, source)
		holds, parts, err := c.Why(world)
		if plain, _ := c.HoldsIn(world); err != nil || holds != plain {
			t.Errorf("%s: %v, and otherwise %v, %v", source, holds, plain, err)
		}
		var got []string
		for _, p := range parts {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", source, diff)
		}
		if text := strings.Join(got, " "); strings.Contains(text, "Ana") || strings.Contains(text, "ana@") || strings.Contains(text, "my secret") {
			t.Errorf("%s shows a person: %s", source, text)
		}
	}
}

func TestValues(t *testing.T) {
	subjects := []expr.Subject{expr.EventSubject(purchase)}
	facts := map[string]expr.Facts{"event": {"amount": exact(t, 49.5), "sku": expr.Text("club"), "items": expr.Integer(3)}}
	for _, c := range []struct{ attribute, source, sql, value string }{
		{"lifetime_value", `event.amount`, `($1::numeric)::numeric`, "49.5"},
		{"lifetime_value", `event.items`, `($1::numeric)::numeric`, "3"},
		{"visits", `event.items`, `(select case when v is null or v = trunc(v) and v between -9223372036854775808 and 9223372036854775807 then v::bigint else c."attr_visits" end from (select $1::numeric::numeric) x(v))`, "3"},
		{"plan", `event.sku`, `(select case when v is null or v = any($2::text[]) then v::text else c."attr_plan" end from (select $1::text::text) x(v))`, "club"},
		{"city", `null`, `null::text`, ""},
		{"city", `"Madrid"`, `($1::text)::text`, "Madrid"},
	} {
		v, err := expr.CompileValue(velo, subjects, c.attribute, c.source)
		if err != nil {
			t.Errorf("%s = %s: %v", c.attribute, c.source, err)
			continue
		}
		if v.SQL != c.sql {
			t.Errorf("%s = %s\nis:   %s\nwant: %s", c.attribute, c.source, v.SQL, c.sql)
		}
		if got, known, err := v.In(expr.World{Subjects: facts}); got != c.value || known != (c.value != "") || err != nil {
			t.Errorf("%s = %s is %q, %v, %v", c.attribute, c.source, got, known, err)
		}
	}
	for source, want := range map[string]string{
		`event.sku`:          `1:7: contact.visits (Integer) cannot be given event.sku (String)`,
		`event.amount`:       `1:7: contact.visits (Integer) cannot be given event.amount (Decimal)`,
		`contact.tags`:       `1:9: contact.visits (Integer) cannot be given contact.tags (list of String)`,
		`event.email`:        `1:7: event.email singles out a person: ask only whether it is known, by has(event.email)`,
		`events("purchase")`: `1:1: contact.visits (Integer) cannot be given events`,
		`event.items + 1`:    `1:13: arithmetic is not part of the language: compute the value beforehand`,
	} {
		if _, err := expr.CompileValue(velo, subjects, "visits", source); err == nil || err.Error() != want {
			t.Errorf("%s\nsays: %v\nwant: %s", source, err, want)
		}
	}
}

func TestReadSubject(t *testing.T) {
	facts, err := expr.ReadSubject(mention, []byte(`{"sentiment": -0.5, "author": {"followers": 10, "bot": false}, "topics": ["a"], "text": null}`))
	if err != nil {
		t.Fatal(err)
	}
	c := spoken(t, `mention.sentiment == -0.5 && mention.author.followers == 10 && !mention.author.bot && "a" in mention.topics && mention.text == null`)
	if holds, err := c.HoldsIn(expr.World{Subjects: map[string]expr.Facts{"mention": facts}}); err != nil || !holds {
		t.Errorf("%v, %v", holds, err)
	}
	for object, want := range map[string]string{
		`[]`:                                `mention is no JSON object`,
		`{"sentimnet": 1}`:                  `mention has no field "sentimnet": did you mean "sentiment"?`,
		`{"author": 5}`:                     `mention.author is no JSON object`,
		`{"author": {"followers": "many"}}`: `mention.author.followers is no Integer: write it as JSON has it, such as 42`,
		`{"topics": "a"}`:                   `mention.topics is no list: write it as JSON has it, such as ["a", "b"]`,
	} {
		if _, err := expr.ReadSubject(mention, []byte(object)); err == nil || err.Error() != want {
			t.Errorf("%s says %v, want %s", object, err, want)
		}
	}
}
