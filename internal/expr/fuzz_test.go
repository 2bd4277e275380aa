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
	and or not is true false null exists select from where limit count coalesce sum min max any array in collate cardinality
	right length lower starts_with strpos statement_timestamp at time zone
	event consent e k c q id name contact_id occurred_at properties purpose granted tags locale time_zone created_at
	jsonb_decimal jsonb_boolean jsonb_string text bigint numeric boolean date timestamptz interval`)

var (
	quoted      = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	placeholder = regexp.MustCompile(`\$[0-9]+::`)
	word        = regexp.MustCompile(`[^\s()\[\].,:=<>@*+-]+`)
)

// foreign finds what stands in a predicate and is neither ours nor the schema's: "" when there is nothing.
func foreign(predicate string) string {
	for _, q := range quoted.FindAllString(predicate, -1) {
		column := strings.TrimPrefix(strings.Trim(q, `"`), "attr_")
		if _, found := velo.Attribute(column); !found && q != `"C"` && q != `'UTC'` {
			return q
		}
	}
	rest := placeholder.ReplaceAllString(quoted.ReplaceAllString(predicate, " "), " ")
	for _, w := range word.FindAllString(rest, -1) {
		if w != "0" && !slices.Contains(words, w) { // sums and searches compare with 0
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
		`contact.city == "'; drop table contact; --"`, `contact.city == "$1"`, "contact.city == '''a\nb'''", `((((((`, "\xff", `contact.city == r"\"`,
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
		for i := range compiled.Arguments {
			if n := strings.Count(compiled.Predicate, fmt.Sprintf("$%d::", i+1)); n != 1 {
				t.Errorf("argument %d is used %d times: %s", i+1, n, compiled.Predicate)
			}
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
