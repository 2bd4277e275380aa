package expr_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/expr"
)

// words are all that a statement may hold beside placeholders, columns of the schema and punctuation. None comes from
// a source.
var words = strings.Fields(`
	and or not is true false null exists select from where group by having order desc join on count distinct coalesce sum min max round any array array_agg
	in collate cardinality right length lower starts_with strpos statement_timestamp at time zone fold_case completed_years days_to_anniversary local_day
	as union all contact_record r
	event consent segment segment_member identifier identifier_link engaged ledger send tenant e k c q m g l i d
	id name contact_id segment_id identifier_id send_id type what step state campaign settled_at
	occurred_at properties purpose granted tags locale time_zone created_at
	jsonb_decimal jsonb_boolean jsonb_string jsonb_date jsonb_timestamp text bigint numeric boolean date timestamptz interval`)

// constants are all that a statement may hold of these: sums and searches compare with 0, an average is rounded, an array has a first.
var constants = []string{"0", "1", "6", "100"}

var (
	quoted      = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	placeholder = regexp.MustCompile(`\$[0-9]+::`)
	word        = regexp.MustCompile(`[^\s()\[\].,:=<>@*&/+-]+`)
)

// foreign finds what stands in a predicate and is neither ours nor the schema's: "" when there is nothing.
func foreign(predicate string) string {
	for _, q := range quoted.FindAllString(predicate, -1) {
		column := strings.TrimPrefix(strings.Trim(q, `"`), "attr_")
		if _, found := velo.Attribute(column); !found && q != `"C"` && q != `'UTC'` && q != `''` {
			return q
		}
	}
	rest := placeholder.ReplaceAllString(quoted.ReplaceAllString(predicate, " "), " ")
	for _, w := range word.FindAllString(rest, -1) {
		if !slices.Contains(constants, w) && !slices.Contains(words, w) {
			return w
		}
	}
	return ""
}

// FuzzCompile throws sources at the compiler: it never panics, and what it compiles is made of our words alone, with
// as many placeholders as arguments.
func FuzzCompile(f *testing.F) {
	for _, source := range []string{
		`contact.plan == "club" && events("purchase").within("90d").where(e, e.sku != "x").sum("amount") > 50.0`,
		`contact.city in ["a", "b"] || !("vip" in contact.tags) && consented("news") && has(contact.first_name)`,
		`contact.first_ride < ago("30d") && contact.renews_at >= timestamp("2026-01-01T00:00:00Z") && contact.visits in [1, 2.5]`,
		`events("web.visit").before("7d").count() == 0 || contact.city.lowerAscii().startsWith('\u0061') || contact.lifetime_value < -.5`,
		`opened("spring").within("7d") && received().count() > 3 && in_segment("vips") || has_identifier("external:shop") && age("birthday") > 18 && anniversary("first_ride") == 0`,
		`events("purchase").last("sku").containsIgnoreCase("x") || events("purchase").avg("amount") > 5 && events("purchase").distinct("sku") > 2 && contact.tags.hasAny(["a"])`,
		`events("purchase").first("delivery") < events("purchase").where(e, e.delivery > date("2026-01-01") && e.paid_at != null).last() || contact.tags.hasAll([])`,
		`contact.tags.hasOnly(['a']) || contact.city == "'; drop table contact; --"`, `contact.city == "$1"`, "contact.city == '''a\nb'''", `((((((`, "\xff", `contact.city == r"\"`,
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		compiled, err := expr.Compile(velo, source)
		if err != nil {
			var failed *expr.Error
			if !errors.As(err, &failed) {
				t.Errorf("%v has no position", err)
			}
			return
		}
		if w := foreign(compiled.Predicate); w != "" {
			t.Errorf("the statement holds %q: %s", w, compiled.Predicate)
		}
		checkPlaceholders(t, compiled)
	})
}

func checkPlaceholders(t *testing.T, compiled *expr.Compiled) {
	for i := range compiled.Arguments {
		if n := strings.Count(compiled.Predicate, fmt.Sprintf("$%d::", i+1)); n != 1 {
			t.Errorf("argument %d is used %d times: %s", i+1, n, compiled.Predicate)
		}
	}
}

// FuzzCompileAbout throws sources and events at the compiler: the statement is made of our words alone, there are as many arguments as
// placeholders, and what is about the event alone has an answer.
func FuzzCompileAbout(f *testing.F) {
	for _, source := range []string{
		`event.amount >= contact.lifetime_value && event.sku.equalsIgnoreCase("x") || event.paid_at < ahead("2d") && event.items in [1, 2.5]`,
		`!has(event.email) && (event.gift || event.delivery != date("2027-01-01")) && event.sku.lowerAscii() > 'b' && event.items != null`,
		`event.sku in contact.tags && events("purchase").where(e, e.amount > event.amount).count() > event.items`, `event`, `event.`, `event.sku == "$1"`,
	} {
		for _, properties := range []string{`{"amount": 1e3, "sku": "x", "gift": true}`, `{"items": "2", "delivery": "2027-02-29", "paid_at": "2027-03-21T09:00:00Z"}`, `[`} {
			f.Add(source, properties)
		}
	}
	f.Fuzz(func(t *testing.T, source, properties string) {
		condition, err := expr.CompileAbout(velo, expr.EventSubject(purchase), source)
		if err != nil {
			var failed *expr.Error
			if !errors.As(err, &failed) {
				t.Errorf("%v has no position", err)
			}
			return
		}
		if w := foreign(condition.Predicate); w != "" {
			t.Errorf("the statement holds %q: %s", w, condition.Predicate)
		}
		checkPlaceholders(t, &condition.Compiled)
		facts := expr.ReadEvent(purchase, []byte(properties))
		if got := condition.Bind(facts); len(got) != len(condition.Arguments) {
			t.Errorf("%d arguments, want %d", len(got), len(condition.Arguments))
		}
		if _, err := condition.Holds(facts); (err == nil) != condition.Alone() {
			t.Errorf("alone %v, %v", condition.Alone(), err)
		}
	})
}

// FuzzCompileAmong throws sources at the compiler that speak of several subjects: what it compiles is made of our words alone, and in memory
// it has an answer, which its parts explain. The same source is tried as a value.
func FuzzCompileAmong(f *testing.F) {
	for _, source := range []string{
		`mention.author.followers > event.items && "x" in mention.topics && !mention.author.bot || mention.text.containsIgnoreCase("a")`,
		`mention.author == null`, `has(mention.author.handle) && mention.author.handle != null`, `mention.author.author.x`, `event.amount`, `null`, `contact.tags`,
		`events("purchase").where(e, e.amount > event.amount && mention.sentiment < -.5).last("sku") == event.sku`, `mention . author . followers == 1`,
		`!(now > ago("2d")) && age("birthday") > event.items`, `mention.topics.hasAny(["a"]) == (mention.sentiment in [1, 2.5])`,
	} {
		f.Add(source)
	}
	subjects := []expr.Subject{mention, expr.EventSubject(purchase)}
	world := expr.World{Subjects: map[string]expr.Facts{"mention": {"author.followers": expr.Integer(3)}}, Contact: &expr.Person{}}
	f.Fuzz(func(t *testing.T, source string) {
		for _, attribute := range []string{"visits", "plan", "lifetime_value"} {
			if v, err := expr.CompileValue(velo, subjects, attribute, source); err == nil {
				checkPlaceholders(t, &expr.Compiled{Predicate: v.SQL, Arguments: v.Arguments})
				if _, _, err := v.In(world); err != nil {
					t.Errorf("%v", err)
				}
			}
		}
		condition, err := expr.CompileAmong(velo, subjects, source)
		if err != nil {
			var failed *expr.Error
			if !errors.As(err, &failed) {
				t.Errorf("%v has no position", err)
			}
			return
		}
		if w := foreign(condition.Predicate); w != "" {
			t.Errorf("the statement holds %q: %s", w, condition.Predicate)
		}
		checkPlaceholders(t, &condition.Compiled)
		holds, err := condition.HoldsIn(world)
		why, parts, errWhy := condition.Why(world)
		if err != nil || errWhy != nil || holds != why || len(parts) == 0 {
			t.Errorf("%v, %v and %v, %v, because of %v", holds, err, why, errWhy, parts)
		}
	})
}

// FuzzLiteral throws texts at every place that takes a literal. They come back as arguments, and never in the statement.
func FuzzLiteral(f *testing.F) {
	for _, text := range []string{"club", `'; drop table contact; --`, `"`, `\`, `{"a"}`, "$1", "\x00", "é\u0301", "90d", "purchase"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := strconv.Quote(text)
		for _, source := range []string{
			"contact.city == " + quoted, "contact.city in [" + quoted + ", 'a']", "contact.city.contains(" + quoted + ")", quoted + " in contact.tags",
			"consented(" + quoted + ")", "events(" + quoted + ").count() > 0", "events('purchase').within(" + quoted + ").count() > 0",
			"events('purchase').sum(" + quoted + ") > 0", "events('purchase').where(e, e.sku < " + quoted + ").count() > 0",
			"in_segment(" + quoted + ")", "has_identifier(" + quoted + ")", "opened(" + quoted + ")", "age(" + quoted + ") > 1", "contact.tags.hasAny([" + quoted + "])",
			"contact.city.equalsIgnoreCase(" + quoted + ")", "events('purchase').last(" + quoted + ") == null", "events('purchase').distinct(" + quoted + ") > 1",
			"events('purchase').last('sku') in [" + quoted + "]", "received(" + quoted + ").before(" + quoted + ").count() > 2",
			"contact.first_ride < date(" + quoted + ")", "contact.renews_at < timestamp(" + quoted + ")", "contact.renews_at < ago(" + quoted + ")",
		} {
			compiled, err := expr.Compile(velo, source)
			if err != nil {
				continue
			}
			if w := foreign(compiled.Predicate); w != "" {
				t.Errorf("%s: the statement holds %q: %s", source, w, compiled.Predicate)
			}
		}
		if !utf8.ValidString(text) {
			return // quoting has changed it
		}
		if compiled, err := expr.Compile(velo, "contact.city == "+quoted); err == nil && !slices.Equal(compiled.Arguments, []string{text}) {
			t.Errorf("%s became %q", quoted, compiled.Arguments)
		}
	})
}
