package expr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/expr"
)

func TestIssues(t *testing.T) {
	const personal = "is personal and must not single out a person: ask only whether it is known, by has(contact."
	const aPerson = "an address or a number of a person must not stand in an expression: describe people by attributes, tags, consent and events"
	cases := map[string]struct {
		why    string
		source string
		want   []expr.Issue
	}{
		"Attribute": {
			why:    "the position is the name's, and the nearest name is offered",
			source: `contact.plann == "club"`,
			want:   []expr.Issue{{1, 9, `contact has no attribute "plann": did you mean "plan"?`, "plan"}},
		},
		"SwappedLetters": {
			why:    "two letters in the wrong order are one mistake",
			source: `contact.ctiy == "León"`,
			want:   []expr.Issue{{1, 9, `contact has no attribute "ctiy": did you mean "city"?`, "city"}},
		},
		"NothingNear": {
			why:    "where nothing is near, a long list would not help",
			source: `contact.shoe_size > 3`,
			want:   []expr.Issue{{1, 9, `contact has no attribute "shoe_size"`, ""}},
		},
		"SeveralOverLines": {
			why:    "an author mends everything at once; columns count characters, not bytes",
			source: "contact.city == \"Lleó\" && contact.plann == 'x'\n  && events('purchas').witihn('1d').count() > 0",
			want: []expr.Issue{
				{1, 35, `contact has no attribute "plann": did you mean "plan"?`, "plan"},
				{2, 13, `there is no event type "purchas": did you mean "purchase"?`, "purchase"},
				{2, 24, `unknown function "witihn": did you mean "within"?`, "within"},
			},
		},
		"WithoutContact": {
			why:    "the commonest mistake of beginners",
			source: `plan == "club"`,
			want:   []expr.Issue{{1, 1, `unknown name "plan": did you mean "contact.plan"?`, "contact.plan"}},
		},
		"Property": {
			why:    "properties belong to their event",
			source: `events("purchase").where(e, e.amuont > 50.0).count() > 0`,
			want:   []expr.Issue{{1, 31, `event "purchase" has no property "amuont": did you mean "amount"?`, "amount"}},
		},
		"SumOfUnknown": {
			why:    "a sum names its property in quotes, and the position is inside them",
			source: `events("purchase").sum("price") > 3`,
			want:   []expr.Issue{{1, 24, `event "purchase" has no property "price": there is amount, items`, ""}},
		},
		"SumOfText": {
			why:    "only numbers add up",
			source: `events("purchase").sum("sku") > 3`,
			want:   []expr.Issue{{1, 24, `property "sku" of event "purchase" is a String, not a number: there is amount, items`, ""}},
		},
		"Function": {
			why:    "an unknown function is named at its name",
			source: `contact.city.startWith("L")`,
			want:   []expr.Issue{{1, 14, `unknown function "startWith": did you mean "startsWith"?`, "startsWith"}},
		},
		"FunctionInFront": {
			why:    "functions of events stand behind a dot",
			source: `count(events("purchase")) > 0`,
			want:   []expr.Issue{{1, 1, `count stands behind a dot: write events("purchase").count()`, ""}},
		},
		"EnumValue": {
			why:    "a value that nobody can have is a mistake, not an empty segment",
			source: `contact.plan == "clbu" || contact.plan in ["free", "gold"]`,
			want: []expr.Issue{
				{1, 17, `contact.plan is never "clbu": did you mean "club"?`, "club"},
				{1, 52, `contact.plan is never "gold": there is club, free, pro`, ""},
			},
		},
		"Types": {
			why:    "types are named as manifests name them, at the operator",
			source: `contact.plan > 3`,
			want:   []expr.Issue{{1, 14, "cannot compare contact.plan (String) with an Integer", ""}},
		},
		"DateAsText": {
			why:    "a date in quotes is a text; the message shows how a date is written",
			source: `contact.first_ride > "2026-01-01"`,
			want:   []expr.Issue{{1, 20, `cannot compare contact.first_ride (Date) with a String: write a date as date("2026-03-21")`, ""}},
		},
		"DateIsInstant": {
			why:    "a day is no instant",
			source: `contact.first_ride == contact.renews_at`,
			want:   []expr.Issue{{1, 20, "cannot compare contact.first_ride (Date) with contact.renews_at (Timestamp): a date and an instant are only ordered, by < <= > >=", ""}},
		},
		"NumberInQuotes": {
			why:    "a number in quotes is a text",
			source: `contact.lifetime_value >= "50"`,
			want:   []expr.Issue{{1, 24, "cannot compare contact.lifetime_value (Decimal) with a String: write it without quotes", ""}},
		},
		"EventsAsNumber": {
			why:    "events are counted or summed",
			source: `events("purchase") > 3`,
			want:   []expr.Issue{{1, 20, "cannot compare events with an Integer: count them, or sum one of their properties", ""}},
		},
		"MessagesAsNumber": {
			why:    "so are messages",
			source: `3 < opened("spring")`,
			want:   []expr.Issue{{1, 3, "cannot compare an Integer with messages: count them", ""}},
		},
		"NoCondition": {
			why:    "a segment needs a yes or no",
			source: `contact.plan`,
			want:   []expr.Issue{{1, 9, "the expression is contact.plan (String), not a condition: compare it with something", ""}},
		},
		"NoConditionInside": {
			why:    "so does each side of &&",
			source: `contact.ambassador && contact.city`,
			want:   []expr.Issue{{1, 31, "this is contact.city (String), not a condition: compare it with something", ""}},
		},
		"WhereNoCondition": {
			why:    "and a where",
			source: `events("purchase").where(e, e.amount).count() > 0`,
			want:   []expr.Issue{{1, 31, "the condition of where is e.amount (Decimal): compare it with something", ""}},
		},
		"Personal": {
			why:    "however it is asked, nobody is singled out by a personal attribute",
			source: `contact.first_name == "Ana" || (contact.first_name.lowerAscii()) in ["ana"] || events("purchase").where(e, e.sku == contact.first_name).count() > 0`,
			want: []expr.Issue{
				{1, 9, "contact.first_name " + personal + "first_name)", ""},
				{1, 41, "contact.first_name " + personal + "first_name)", ""},
				{1, 125, "contact.first_name " + personal + "first_name)", ""},
			},
		},
		"PersonalOrder": {
			why:    "two comparisons would single out a birthday as well as one",
			source: `contact.birthday >= date("1990-01-01") && !(contact.birthday != contact.birthday)`,
			want: []expr.Issue{
				{1, 9, "contact.birthday " + personal + "birthday)", ""},
				{1, 53, "contact.birthday " + personal + "birthday)", ""},
				{1, 73, "contact.birthday " + personal + "birthday)", ""},
			},
		},
		"Identifier": {
			why:    "who somebody is does not belong into Git",
			source: `contact.email == "ana@velo.example"`,
			want: []expr.Issue{
				{1, 9, "contact.email singles out a person: describe people by attributes, tags, consent and events, not by who they are", ""},
				{1, 18, aPerson, ""},
			},
		},
		"IdentifierAnywhere": {
			why: "an address singles out a person wherever it is looked for, and so does a property that holds one",
			source: `"+34 600 111 222" in contact.tags || contact.city.endsWith("@ana@social.example") || contact.tags.hasAny(["did:plc:x"])
|| events("purchase").where(p, p.sku == "ana@velo.example" || p.email.contains("a")) || !(events("purchase").first("email") in ["a"]) || contact.city.contains("@velo.example")`,
			want: []expr.Issue{
				{1, 1, aPerson, ""},
				{1, 60, aPerson, ""},
				{1, 107, aPerson, ""},
				{2, 41, aPerson, ""},
				{2, 65, "p.email singles out a person: ask only whether it is known, by has(p.email)", ""},
				{2, 116, `first("email") singles out a person: describe people by what they did`, ""},
			},
		},
		"PersonalDay": {
			why:    "an age does not tell who it is; the birthday does",
			source: `age("birthday") >= 18 && contact.birthday == date("1990-01-01")`,
			want:   []expr.Issue{{1, 34, "contact.birthday " + personal + "birthday)", ""}},
		},
		"Calendar": {
			why:    "an age is of a day",
			source: `age("visits") > 3 || anniversary("birthdy") == 0`,
			want: []expr.Issue{
				{1, 5, "contact.visits (Integer) is no day: there is birthday, created_at, first_ride, renews_at", ""},
				{1, 34, `contact has no attribute "birthdy": did you mean "birthday"?`, "birthday"},
			},
		},
		"ClockAndProperty": {
			why:    "no index finds the events whose property passes the clock",
			source: `events("purchase").where(e, e.delivery <= ago("3d")) || events("purchase").last("paid_at") > now`,
			want: []expr.Issue{
				{1, 31, "a property of an event cannot be compared with the clock: use within and before for when the event happened", ""},
				{1, 76, "a property of an event cannot be compared with the clock: first() and last() are when it happened", ""},
			},
		},
		"IdentifierType": {
			why:    "types of identifiers are few",
			source: `has_identifier("emial") || has_identifier("carrier-pigeon")`,
			want: []expr.Issue{
				{1, 16, `there is no type of identifiers "emial": did you mean "email"?`, "email"},
				{1, 43, `there is no type of identifiers "carrier-pigeon": there is bluesky, email, external:<source>, handle, mastodon, phone`, ""},
			},
		},
		"Messages": {
			why:    "what was received, opened or clicked has a time and nothing else",
			source: `opened("spring").sum("amount") > 1 || clicked("Spring 2027")`,
			want: []expr.Issue{
				{1, 18, "a message has no properties: of opened there are count(), first() and last()", ""},
				{1, 47, `"Spring 2027" is not the name of a campaign: it has lower-case letters, digits, - and dots`, ""},
			},
		},
		"Window": {
			why:    "a window has bounds, and no months",
			source: `events("purchase").within("100y").count() > 0 || events("purchase").within("4000d").count() > 0 || events("purchase").before("0s").count() > 0`,
			want: []expr.Issue{
				{1, 27, `"100y" is not a duration: write weeks, days, hours, minutes or seconds, such as 90d or 36h`, ""},
				{1, 76, "the duration 4000d is too long: at most 3650d are allowed", ""},
				{1, 126, "the duration 0s is too short: at least 1s is needed", ""},
			},
		},
		"Literals": {
			why:    "a literal that PostgreSQL would refuse is refused here",
			source: `contact.first_ride > date("2026-02-30") || contact.renews_at > timestamp("2026-02-01") || contact.city == "\x00" || consented("News letter")`,
			want: []expr.Issue{
				{1, 27, `"2026-02-30" is not a date: write year, month and day, such as 2026-03-21`, ""},
				{1, 74, `"2026-02-01" is not a timestamp: write it as 2026-03-21T09:00:00Z or, with an offset, 2026-03-21T09:00:00+01:00`, ""},
				{1, 107, "a text holds Unicode characters without NUL", ""},
				{1, 127, `"News letter" is not a purpose of consent: it has at most 40 lower-case letters, digits, - and _ and begins with a letter`, ""},
			},
		},
		"Exponent": {
			why:    "an exponent could ask for a number of ten thousand digits",
			source: `contact.lifetime_value > 1e6`,
			want:   []expr.Issue{{1, 26, "write a decimal with at most 30 digits before and after the point and no exponent, such as 1250.50", ""}},
		},
		"RegularExpression": {
			why:    "a regular expression can take for ever",
			source: `contact.city.matches("(a+)+$")`,
			want:   []expr.Issue{{1, 14, "regular expressions are not part of the language: use startsWith, endsWith or contains", ""}},
		},
		"Arithmetic": {
			why:    "a division by zero cannot be written",
			source: `contact.lifetime_value / contact.visits > 3`,
			want:   []expr.Issue{{1, 24, "arithmetic is not part of the language: compute the value beforehand", ""}},
		},
		"Null": {
			why:    "null is asked for, never ordered or listed",
			source: `contact.visits < null || contact.visits in [1, null] || null == null`,
			want: []expr.Issue{
				{1, 18, "null has no order: ask by == null or has", ""},
				{1, 48, "a list cannot hold null: ask by == null or has", ""},
				{1, 57, "compare null with an attribute", ""},
			},
		},
		"Lists": {
			why:    "lists hold literals of one type",
			source: `contact.city in ["León", 3] || contact.city in [contact.plan] || contact.city in contact.plan`,
			want:   []expr.Issue{{1, 79, "in cannot look for contact.city (String) in contact.plan (String)", ""}},
		},
		"MixedList": {
			why:    "an item of another type is named",
			source: `contact.city in ["León", 3] || contact.city in [contact.plan]`,
			want: []expr.Issue{
				{1, 26, "an Integer cannot be in a list for contact.city (String)", ""},
				{1, 57, "a list holds only literals: join conditions by || instead", ""},
			},
		},
		"Syntax": {
			why:    "a syntax error says where reading stopped, without the grammar's whole list of tokens",
			source: "contact.plan == \"club\" &&\n  && contact.visits > 3",
			want:   []expr.Issue{{2, 3, "unexpected '&&'", ""}},
		},
		"OneEqualsSign": {
			why:    "other languages compare by it",
			source: `contact.plan = "club"`,
			want:   []expr.Issue{{1, 14, "unexpected '=': write == to compare", ""}},
		},
		"End": {
			why:    "the end can come too soon",
			source: `contact.plan ==`,
			want:   []expr.Issue{{1, 16, "unexpected end of the expression", ""}},
		},
		"Empty": {
			why:    "nothing is not everybody",
			source: " \n",
			want:   []expr.Issue{{1, 1, "the expression is empty: write a condition, or true for everyone", ""}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := expr.Compile(velo, tc.source)
			var failed *expr.Error
			if !errors.As(err, &failed) {
				t.Fatalf("%s: got %v, want an *expr.Error", tc.why, err)
			}
			if diff := cmp.Diff(tc.want, failed.Issues); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// TestPurposes: where policies know purposes, no other is one.
func TestPurposes(t *testing.T) {
	schema := velo
	schema.Purposes = []string{"newsletter", "offers"}
	if _, err := expr.Compile(schema, `consented("offers")`); err != nil {
		t.Error(err)
	}
	_, err := expr.Compile(schema, `!consented("newletter")`)
	if want := `1:12: no ConsentPolicy has the purpose "newletter": did you mean "newsletter"?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestRefused lists what CEL has and the language has not. The messages are tested above; here it counts that each
// is refused at a position inside the source, and by us: nothing falls through to a failing statement.
func TestRefused(t *testing.T) {
	for _, source := range []string{
		`contact`, `now`, `null`, `1`, `"x"`, `[]`, `[true][0]`, `{"a": true}["a"]`, `contact.tags`, `contact{}`,
		`contact == contact`, `contact.tags == contact.tags`, `contact.tags in contact.tags`, `now in contact.tags`, `has(contact)`, `has(now.x)`,
		`contact.city.x == "a"`, `contact["city"] == "a"`, `contact.?city == "a"`, `contact.city[0] == "a"`, `contact.ambassador ? true : false`,
		`contact.visits + 1 > 2`, `-contact.visits > 2`, `contact.visits % 2 == 0`, `contact.city + "a" == "b"`, `size(contact.tags) > 1`,
		`contact.tags.exists(t, t == "a")`, `[1].all(i, i > 0)`, `[1, 2].where(i, i > 0).count() > 0`, `[1].count() > 0`, `contact.tags.count() > 0`,
		`events("purchase").map(e, e.amount).count() > 0`, `events("purchase").exists(e, true)`, `events("purchase")[0].amount > 1`,
		`events(contact.city).count() > 0`, `events("purchase", "web.visit").count() > 0`, `events("purchase").sum(contact.city) > 1`,
		`events("purchase").count(1) > 0`, `events("purchase").within(90).count() > 0`, `events("purchase").within().count() > 0`,
		`events("purchase").where(e, events("web.visit").count() > 0).count() > 0`, `events("purchase").where(contact, true).count() > 0`,
		`events("purchase").where(e).count() > 0`, `events("purchase").where(e, true, true).count() > 0`, `events("purchase").where(1, true).count() > 0`,
		`events("purchase").where(e, __result__ == []).count() > 0`, `events("purchase").where(e, e.delivery > ago("1d")).count() > 0`,
		`events("purchase").where(e, now != e.paid_at)`, `events("purchase").last("paid_at") < now`, `now in [timestamp("2026-01-01T00:00:00Z")]`,
		`events("purchase") == true`, `opened("spring") > 1`, `opened("spring").where(e, true)`, `opened("spring").sum("x") > 1`, `opened("spring").last("x") == null`,
		`opened("Spring")`, `opened("a", "b")`, `opened(contact.city)`, `opened("spring").x`, `received().where(e, e.x == 1)`, `in_segment("A b")`, `in_segment()`,
		`in_segment(contact.city)`, `has_identifier("fax")`, `has_identifier("external:")`, `age("city") > 1`, `age(contact.first_ride) > 1`, `age("x") > 1`, `age()`,
		`anniversary("tags") == 1`, `contact.tags.hasAny("a")`, `contact.tags.hasAny([contact.city])`, `contact.tags.hasAny([1])`, `contact.tags.hasAll([null])`,
		`["a"].hasAny(["a"])`, `contact.city.equalsIgnoreCase(1)`, `contact.city.containsIgnoreCase()`, `events("purchase").where(e, opened("spring"))`,
		`events("purchase").where(e, e.email == "x")`, `events("purchase").last("email") == "x"`, `events("purchase").distinct() > 1`, `events("purchase").avg("sku") > 1`,
		`events("purchase").first(1) > now`, `events("purchase").last().count() > 1`, `size(events("purchase")) > 1`, `any(events("purchase"))`, `where(e, true)`,
		`events("purchase").where(e, e).count() > 0`, `events("purchase").where(a, true).where(b, a.gift).count() > 0`, `e.amount > 1`,
		`contact.visits > 1u`, `contact.city == b"a"`, `int(contact.city) > 1`, `string(contact.visits) == "1"`, `dyn(contact.visits) == 1`,
		`duration("1h") > duration("2h")`, `type(contact.city) == string`, `contact.city.startsWith(1)`, `contact.visits.startsWith("1")`,
		`ago(contact.city) < now`, `ago("30d") + ago("1d") < now`, `date("x") == contact.first_ride`, `contact.created_at.getFullYear() > 2000`,
		`contact.city.matches("a")`, `contact.id == 1`, `contact.public_id == "x"`, `contact.updated_at > now`, `consented(contact.city)`,
		`optional.of(true)`, `.contact.ambassador`, `contact.ambassador.ambassador`, `true ||`, `(true`, `"`, `'''`, `contact.`, "contact.city == \"a\nb\"", "\x00", "#",
	} {
		_, err := expr.Compile(velo, source)
		var failed *expr.Error
		if !errors.As(err, &failed) {
			t.Errorf("%s: got %v, want it refused with a position", source, err)
			continue
		}
		for _, issue := range failed.Issues {
			lines := strings.Split(source, "\n")
			if issue.Line < 1 || issue.Line > len(lines) || issue.Column < 1 || issue.Column > len(lines[issue.Line-1])+1 {
				t.Errorf("%s: %s is outside of the source", source, issue)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	items := strings.Repeat("1,", 1000)
	cases := map[string]struct {
		source  string
		refused string // "": allowed
	}{
		"ThousandItems":      {source: "contact.visits in [" + items[:len(items)-1] + "]"},
		"ThousandAndOneItem": {source: "contact.visits in [" + items + "1]", refused: "the list has 1001 items"},
		"Bytes":              {source: "true" + strings.Repeat(" ", 8189), refused: "has 8193 bytes"},
		"AllBytes":           {source: "true" + strings.Repeat(" ", 8188)},
		"ManyTerms":          {source: strings.Repeat("true||", 1300) + "true"},
		"Selections":         {source: strings.Repeat(`events("purchase") || `, 20) + "true"},
		"Cost":               {source: strings.Repeat(`events("purchase") || `, 30) + "true", refused: "the expression costs 1200, and at most 1000 is allowed"},
		"Nodes":              {source: strings.Repeat("0<1||", 1500) + "true", refused: "too long"},
		"Brackets":           {source: strings.Repeat("(", 3000) + "true" + strings.Repeat(")", 3000), refused: "nested too deeply"},
		"Depth":              {source: strings.Repeat("!(", 70) + "true" + strings.Repeat(")", 70), refused: "nested too deeply"},
		"Windows":            {source: `events("purchase")` + strings.Repeat(`.within("1d")`, 70) + ".count() > 0", refused: "nested too deeply"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := expr.Compile(velo, tc.source)
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("got %v, want %q", err, tc.refused)
			}
		})
	}
}

// TestIssuesAreFew shows that a source full of mistakes does not fill a status.
func TestIssuesAreFew(t *testing.T) {
	_, err := expr.Compile(velo, strings.Repeat("plan || ", 500)+"plan")
	var failed *expr.Error
	if !errors.As(err, &failed) || len(failed.Issues) != 10 {
		t.Errorf("got %v, want ten issues", err)
	}
}
