package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

var suggestAttributes = []crm.Attribute{
	{Name: "birthday", Type: crm.Date, Personal: true, Role: crm.BirthdayRole},
	{Name: "city", Type: crm.String, Role: crm.PlaceRole},
	{Name: "first_name", Type: crm.String, Personal: true, Role: crm.NameRole},
	{Name: "last_name", Type: crm.String, Personal: true, Role: crm.NameRole},
}

func suggestDB(t testing.TB) *store.DB {
	t.Helper()
	db := storetest.New(t)
	if _, _, err := db.EnsureAttributes(context.Background(), suggestAttributes); err != nil {
		t.Fatal(err)
	}
	return db
}

// human is what a source says of somebody.
type human struct {
	first, last, city, birthday, locale, email, phone, handle string
}

func putHumans(t rapid.TB, db *store.DB, source string, people ...human) []int64 {
	t.Helper()
	columns := store.ContactColumns{Attributes: suggestAttributes, Identifiers: []store.IdentifierColumn{{Type: "handle"}}}
	rows := make([]store.ContactRow, len(people))
	for i, p := range people {
		rows[i] = store.ContactRow{
			ExternalID: fmt.Sprintf("%s-%d-%p", source, i, &people[i]), Email: p.email, Phone: p.phone, Locale: p.locale,
			Identifiers: []string{p.handle}, Attributes: []string{p.birthday, p.city, p.first, p.last},
		}
	}
	result, err := db.PutContacts(context.Background(), source, columns, rows)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Reasons) > 0 {
		t.Fatalf("rows were rejected: %v", result.Reasons)
	}
	return result.Contacts
}

// look compares whoever waits to be compared.
func look(t rapid.TB, db *store.DB) (total store.Looked) {
	t.Helper()
	for more, after := true, int64(0); more; {
		l, err := db.LookForSuggestions(context.Background(), after, 200)
		if err != nil {
			t.Fatal(err)
		}
		total.Contacts, total.Pairs = total.Contacts+l.Contacts, total.Pairs+l.Pairs
		total.Added, total.Removed = total.Added+l.Added, total.Removed+l.Removed
		more, after = l.More, l.Next
	}
	return total
}

func suggestions(t rapid.TB, db *store.DB) []store.Suggestion {
	t.Helper()
	list, err := db.LoadSuggestions(context.Background(), store.SuggestionPage{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// tell writes suggestions as who, how likely and why.
func tell(list []store.Suggestion) []string {
	lines := []string{}
	for _, s := range list {
		line := fmt.Sprintf("%s %s + %s %s:", s.A.Attributes["first_name"], s.A.Attributes["last_name"], s.B.Attributes["first_name"], s.B.Attributes["last_name"])
		for _, r := range s.Reasons {
			line += fmt.Sprintf(" %s %s,", r.Signal, r.Level)
		}
		lines = append(lines, strings.TrimSuffix(line, ","))
	}
	slices.Sort(lines)
	return lines
}

func TestSuggestions(t *testing.T) {
	for name, c := range map[string]struct {
		why    string
		people []human
		want   []string
	}{
		"an accent":       {"it is one name", []human{{first: "José", last: "Pérez", city: "Ávila"}, {first: "jose", last: "PEREZ", city: "avila"}}, []string{"José Pérez + jose PEREZ: name same, place same"}},
		"swapped":         {"sources mix up the columns", []human{{first: "Ana", last: "Ruiz", city: "Vigo"}, {first: "Ruiz", last: "Ana", city: "Vigo"}}, []string{"Ana Ruiz + Ruiz Ana: name same, place same"}},
		"a familiar form": {"Paco is Francisco", []human{{first: "Francisco", last: "Vega", city: "Vigo"}, {first: "Paco", last: "Vega", city: "Vigo"}}, []string{"Francisco Vega + Paco Vega: name same, place same"}},
		"misspelt":        {"a letter is wrong", []human{{first: "Catalina", last: "Gutierrez", city: "Vigo"}, {first: "Catalina", last: "Gutierez", city: "Vigo"}}, []string{"Catalina Gutierrez + Catalina Gutierez: name alike, place same"}},
		"an initial":      {"with the same place and day", []human{{first: "J", last: "Ortega", birthday: "1980-02-03"}, {first: "Julia", last: "Ortega", birthday: "1980-02-03"}}, []string{"J Ortega + Julia Ortega: birthday same, name initial"}},
		"a family":        {"one address, two people", []human{{first: "Ana", last: "Soto", email: "soto@example.com"}, {first: "Luis", last: "Soto", email: "soto@example.com"}}, []string{}},
		"born otherwise":  {"namesakes", []human{{first: "Ana", last: "Soto", city: "Vigo", birthday: "1980-02-03"}, {first: "Ana", last: "Soto", city: "Vigo", birthday: "1999-09-09"}}, []string{}},
		"one number":      {"nobody verified it", []human{{first: "Ana", last: "Soto", phone: "+34600111222"}, {first: "A", last: "Soto", phone: "+34600111222"}}, []string{"Ana Soto + A Soto: phone shared, name initial"}},
		"another domain":  {"people keep what is before the @", []human{{last: "Soto", email: "kiwi.lover84@example.com"}, {first: "Ana", last: "Soto", email: "kiwilover84+news@example.org"}}, []string{" Soto + Ana Soto: called addresses, name one word"}},
		"a handle":        {"as in the address", []human{{first: "Ana", last: "Soto", email: "kiwilover84@example.com"}, {first: "A", last: "Soto", handle: "@kiwi_lover84@social.example"}}, []string{"Ana Soto + A Soto: called both, name initial"}},
		"one domain":      {"an office's mailboxes", []human{{first: "Ana", email: "info@one.example"}, {first: "Luis", email: "info@two.example"}}, []string{}},
		"one first name":  {"tells nothing", []human{{first: "Ana", city: "Vigo"}, {first: "Ana", city: "Vigo"}}, []string{}},
		"nothing":         {"who has no name is like nobody", []human{{city: "Vigo"}, {city: "Vigo"}}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			db := suggestDB(t)
			putHumans(t, db, "shop", c.people[0])
			putHumans(t, db, "web", c.people[1:]...)
			look(t, db)
			if diff := cmp.Diff(c.want, tell(suggestions(t, db))); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.why, diff)
			}
		})
	}
}

// decided is what a decision came to: how often something changed, or why not.
func decided(t rapid.TB, m store.Merged, err error) string {
	t.Helper()
	var d *store.DecidedError
	switch {
	case errors.As(err, &d):
		return d.Error() + "/" + d.By
	case errors.Is(err, store.ErrNotFound):
		return "not found"
	case err != nil:
		t.Fatal(err)
	}
	return fmt.Sprintf("%d contacts, changed: %v", len(m.Contacts), m.Changed)
}

func TestSuggestionsAreDecided(t *testing.T) {
	db := suggestDB(t)
	ctx := context.Background()
	ids := publicIDs(t, db, append(putHumans(t, db, "shop", human{first: "Nuria", last: "Vidal", city: "Vigo"}, human{first: "Hugo", last: "Sanz", city: "Vigo"}, human{first: "Olga", last: "Pino"}),
		putHumans(t, db, "web", human{first: "Nuria", last: "Vidal", city: "Vigo"}, human{first: "Hugo", last: "Sanz", city: "Vigo"})...))
	nuria, nuria2, hugo, hugo2, olga := ids[0], ids[3], ids[1], ids[4], ids[2]
	look(t, db)
	if list := suggestions(t, db); len(list) != 2 || list[0].A.PublicID == list[0].B.PublicID || list[0].A.Sources[0] != "shop" {
		t.Fatalf("suggested: %+v", list)
	}
	expect := func(what, want string, m store.Merged, err error) {
		t.Helper()
		if got := decided(t, m, err); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	call := func(f func(context.Context, string, string, store.Decider) (store.Merged, error), a, b string) (store.Merged, error) {
		return f(ctx, a, b, someone)
	}
	m, err := call(db.AcceptSuggestion, nuria, olga)
	expect("accept what is not suggested", "the two are not suggested any more: what is known of them has changed/", m, err)
	m, err = call(db.AcceptSuggestion, nuria, "b0000000-0000-4000-8000-000000000000")
	expect("accept nobody", "not found", m, err)
	m, err = call(db.AcceptSuggestion, nuria2, nuria)
	expect("accept", "1 contacts, changed: true", m, err)
	for what, f := range map[string]func(context.Context, string, string, store.Decider) (store.Merged, error){
		"accept": db.AcceptSuggestion, "reject": db.RejectSuggestion, "distinguish": db.Distinguish,
	} {
		m, err = call(f, nuria, nuria2)
		expect(what+" who is one", "the two are one contact already/eva", m, err)
	}
	m, err = call(db.RejectSuggestion, hugo, hugo2)
	expect("reject", "2 contacts, changed: true", m, err)
	m, err = call(db.AcceptSuggestion, hugo, hugo2)
	expect("accept who is two", "somebody has decided that the two are two people/eva", m, err)
	m, err = call(db.Distinguish, hugo2, hugo)
	expect("distinguish again", "2 contacts, changed: false", m, err)
	m, err = call(db.Distinguish, olga, hugo)
	expect("distinguish who was never suggested", "2 contacts, changed: true", m, err)
	if got := query(t, db, "select count(*)::text from suggestion"); got[0] != "0" {
		t.Errorf("%s suggestions are left", got[0])
	}
	// What was decided is not suggested again, whatever is told of them.
	if _, err := db.Unmerge(ctx, []string{nuria2}, someone); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(ctx, "update contact set attr_last_name = 'Vidal Sanz', attr_birthday = '1980-01-01' where attr_first_name = 'Nuria'"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(ctx, "update suggestion_state set scan_after = 0"); err != nil {
		t.Fatal(err)
	}
	look(t, db)
	if got := tell(suggestions(t, db)); len(got) > 0 {
		t.Errorf("suggested again: %v", got)
	}
	// The decision holds for those who come to be one with them.
	if m, err := db.Merge(ctx, hugo, hugo2, someone); err != nil || !m.Changed {
		t.Errorf("a merge changes the decision: %+v, %v", m, err)
	}
}

func TestSuggestionsFollowWhatChanges(t *testing.T) {
	db := suggestDB(t)
	ctx := context.Background()
	do := func(sql string, arguments ...any) {
		t.Helper()
		if _, err := db.Pool.Exec(ctx, sql, arguments...); err != nil {
			t.Fatal(err)
		}
		look(t, db)
	}
	ids := append(putHumans(t, db, "shop", human{first: "Nuria", last: "Vidal", city: "Vigo", email: "nv@one.example"}), putHumans(t, db, "web", human{first: "Nuria", last: "Vidal", city: "Vigo"})...)
	expect := func(what string, want int) {
		t.Helper()
		if got := suggestions(t, db); len(got) != want {
			t.Errorf("%s: %v", what, tell(got))
		}
	}
	look(t, db)
	if l := look(t, db); l.Contacts != 0 {
		t.Errorf("nothing has changed, and %d were looked at", l.Contacts)
	}
	expect("who came in", 1)
	do("update contact set updated_at = now(), tags = '{a}'")
	if got := query(t, db, "select count(*)::text from suggestion_due"); got[0] != "0" {
		t.Errorf("tags are nobody's name, and %s wait", got[0])
	}
	do("update contact set attr_first_name = 'Olga' where id = $1", ids[1])
	expect("another name", 0)
	do("update contact set attr_first_name = 'nuria' where id = $1", ids[1])
	expect("the name again", 1)
	do("update attribute set role = '' where name = 'last_name'")
	expect("a last name is no name any more", 0)
	do("update attribute set role = 'Name' where name = 'last_name'")
	expect("it is again", 1)
	do("delete from identifier_link where contact_id = $1", ids[1])
	do("delete from consent where contact_id = $1", ids[1])
	do("delete from contact where id = $1", ids[1])
	expect("who is erased", 0)
	if got := query(t, db, "select count(*)::text from suggestion_key where contact_id <> "+fmt.Sprint(ids[0])); got[0] != "0" {
		t.Errorf("%s keys of them are left", got[0])
	}
}

func TestCommonNamesDoNotFlood(t *testing.T) {
	db := suggestDB(t)
	const many = 400
	people := make([]human, many)
	for i := range people {
		people[i] = human{first: "Maria", last: "Garcia", city: "Madrid", email: "maria.garcia@example.com"}
	}
	putHumans(t, db, "shop", people...)
	looked := look(t, db)
	if most := many * 60; looked.Pairs > most || looked.Contacts < many {
		t.Errorf("%d contacts took %d comparisons; %d are enough", looked.Contacts, looked.Pairs, most)
	}
	if again := look(t, db); again.Contacts != 0 {
		t.Errorf("%d wait", again.Contacts)
	}
	putHumans(t, db, "web", people[0])
	if l := look(t, db); l.Contacts != 1 || l.Pairs != 0 {
		t.Errorf("one more took %d comparisons", l.Pairs)
	}
}

// TestSuggestionsAreWhatAScanFinds: whatever happens in whatever order, who is suggested is who a comparison of everybody finds.
func TestSuggestionsAreWhatAScanFinds(t *testing.T) {
	db := suggestDB(t)
	ctx := context.Background()
	const all = "select concat_ws(' ', p.public_id, q.public_id, s.score, s.reasons) from suggestion s join contact p on p.id = s.a join contact q on q.id = s.b order by 1"
	scan := func(t rapid.TB) []string {
		if _, err := db.Pool.Exec(ctx, "update suggestion_state set scan_after = 0"); err != nil {
			t.Fatal(err)
		}
		look(t, db)
		return query(t, db, all)
	}
	suggestedAtAll := 0
	rapid.Check(t, func(t *rapid.T) {
		if _, err := db.Pool.Exec(ctx, "truncate contact, contact_record, identifier, identifier_link, identifier_link_log, contact_decision, contact_change, consent, segment_member, "+
			"suggestion, suggestion_due, suggestion_profile, suggestion_key cascade"); err != nil {
			t.Fatal(err)
		}
		var known []string // public ids
		person := rapid.Custom(func(t *rapid.T) human {
			draw := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, "value") }
			return human{
				first: draw("Ana", "Anna", "Paco", "Francisco", "A", "Garcia", ""), last: draw("Garcia", "Garzia", "Vidal", "Vidal Ruiz", "Ana", ""), city: draw("", "Vigo", "Leon"),
				birthday: draw("", "1980-01-02", "1990-03-04"), email: draw("", "ana@one.example", "kiwilover@one.example", "kiwi.lover@two.example"),
				phone: draw("", "+34600111222"), handle: draw("", "kiwilover@social.example"), locale: draw("", "es", "en"),
			}
		})
		two := func() (a, b string) {
			if len(known) < 2 {
				t.Skip("too few")
			}
			return rapid.SampledFrom(known).Draw(t, "a"), rapid.SampledFrom(known).Draw(t, "b")
		}
		tolerate := func(err error) {
			var parted *store.PartedError
			var decided *store.DecidedError
			if err != nil && !errors.As(err, &parted) && !errors.As(err, &decided) && !errors.Is(err, store.ErrNothingLeft) {
				t.Fatal(err)
			}
		}
		var after int64
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				known = append(known, publicIDs(t, db, putHumans(t, db, rapid.SampledFrom([]string{"shop", "web"}).Draw(t, "source"), rapid.SliceOfN(person, 1, 3).Draw(t, "people")...))...)
			},
			"change": func(t *rapid.T) {
				a, _ := two()
				p := person.Draw(t, "becomes")
				_, err := db.Pool.Exec(ctx, "update contact set attr_first_name = nullif($2, ''), attr_city = nullif($3, '') where public_id = $1::uuid", a, p.first, p.city)
				tolerate(err)
			},
			"merge":  func(*rapid.T) { a, b := two(); _, err := db.Merge(ctx, a, b, someone); tolerate(err) },
			"part":   func(*rapid.T) { a, _ := two(); _, err := db.Unmerge(ctx, []string{a}, someone); tolerate(err) },
			"tell":   func(*rapid.T) { a, b := two(); _, err := db.Distinguish(ctx, a, b, someone); tolerate(err) },
			"accept": func(*rapid.T) { a, b := two(); _, err := db.AcceptSuggestion(ctx, a, b, someone); tolerate(err) },
			"look": func(t *rapid.T) {
				l, err := db.LookForSuggestions(ctx, after, rapid.IntRange(1, 4).Draw(t, "most"))
				tolerate(err)
				after = l.Next
			},
		})
		look(t, db)
		got := scan(t)
		suggestedAtAll += len(got)
		if _, err := db.Pool.Exec(ctx, "truncate suggestion, suggestion_profile, suggestion_key"); err != nil {
			t.Fatal(err)
		}
		scan(t)
		if diff := cmp.Diff(scan(t), got); diff != "" {
			t.Fatalf("-everybody compared +what was followed:\n%s", diff)
		}
	})
	if suggestedAtAll == 0 {
		t.Error("nobody was ever suggested")
	}
}

// TestSuggestionsSideBySide has people decide, files come in and two workers look, all at once: nobody waits in a circle, and what is decided is
// not suggested.
func TestSuggestionsSideBySide(t *testing.T) {
	db := suggestDB(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	people := make([]human, 40)
	for i := range people {
		people[i] = human{first: givenNames[i/2], last: surnameHeads[i/2] + "rena", city: "Vigo"}
	}
	ids := publicIDs(t, db, putHumans(t, db, "shop", people...))
	var done sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		done.Go(func() {
			for after := int64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				l, err := db.LookForSuggestions(ctx, after, 7)
				if err != nil {
					t.Error(err)
					return
				}
				after = l.Next
			}
		})
	}
	var deciders sync.WaitGroup
	deciders.Go(func() {
		for range 10 {
			putHumans(t, db, "web", people...)
		}
	})
	for range 2 {
		deciders.Go(func() {
			for i := 0; i < len(ids); i += 2 {
				_, err := db.Distinguish(ctx, ids[i], ids[i+1], someone)
				var d *store.DecidedError
				if err != nil && !errors.As(err, &d) {
					t.Error(err)
				}
			}
		})
		deciders.Go(func() {
			for i := len(ids) - 2; i >= 0; i -= 4 {
				_, err := db.Merge(ctx, ids[i+1], ids[i], someone)
				var parted *store.PartedError
				if err != nil && !errors.As(err, &parted) {
					t.Error(err)
				}
			}
		})
	}
	deciders.Wait()
	close(stop)
	done.Wait()
	look(t, db)
	const wrong = `select s.a || ' ' || s.b from suggestion s where exists (select from contact_decision d where d.a = s.a and d.b = s.b and not d.same
		and not exists (select from contact_decision l where l.a = d.a and l.b = d.b and l.id > d.id))`
	if got := query(t, db, wrong); len(got) > 0 {
		t.Errorf("decided and suggested: %v", got)
	}
	if got := query(t, db, "select count(*)::text from suggestion"); got[0] == "0" {
		t.Error("nobody is suggested")
	}
}
