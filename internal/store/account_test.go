package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

var accountAttributes = []crm.Attribute{{Name: "seats", Type: crm.Integer, Indexed: true}, {Name: "tier", Type: crm.String, Enum: []string{"gold", "tin"}}}

func accountDB(t testing.TB) *store.DB {
	t.Helper()
	db := storetest.New(t)
	if _, _, err := db.EnsureAttributesOf(context.Background(), store.AccountType, accountAttributes); err != nil {
		t.Fatal(err)
	}
	return db
}

func putAccounts(t rapid.TB, db *store.DB, source string, rows ...store.AccountRow) store.ContactsResult {
	t.Helper()
	im := db.NewAccountImport(source, accountAttributes, store.ImportOptions{})
	for i := range rows {
		if rows[i].Attributes == nil {
			rows[i].Attributes = []string{"", ""}
		}
	}
	result, err := im.Apply(context.Background(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// accounts are all that is known of all accounts.
const accounts = `select concat_ws(' | ', a.name, a.attr_seats, a.attr_tier,
	(select string_agg(i.type || '=' || i.value, ' ' order by i.type, i.value) from account_identifier i where i.account_id = a.id)) from account a order by a.id`

func TestAccountsComeFromSources(t *testing.T) {
	db := accountDB(t)
	type row = store.AccountRow
	for _, c := range []struct {
		why    string
		source string
		rows   []row
		counts [4]int // unchanged, created, updated, rejected
		want   []string
	}{
		{
			"new ones", "crm",
			[]row{{ExternalID: "A1", Name: "Acme", Domain: "acme.example", Attributes: []string{"5", "gold"}}, {ExternalID: "A2", Name: "Bolt"}},
			[4]int{0, 2, 0, 0},
			[]string{"Acme | 5 | gold | domain=acme.example external:crm=A1", "Bolt | external:crm=A2"},
		},
		{
			"the same again", "crm",
			[]row{{ExternalID: "A1", Name: "Acme", Domain: "acme.example", Attributes: []string{"5", "gold"}}, {ExternalID: "A2"}},
			[4]int{2, 0, 0, 0},
			[]string{"Acme | 5 | gold | domain=acme.example external:crm=A1", "Bolt | external:crm=A2"},
		},
		{
			"what changed", "crm",
			[]row{{ExternalID: "A1", Attributes: []string{"6", ""}}, {ExternalID: "A2", Domain: "bolt.example"}},
			[4]int{0, 0, 2, 0},
			[]string{"Acme | 6 | gold | domain=acme.example external:crm=A1", "Bolt | domain=bolt.example external:crm=A2"},
		},
		{
			"another source knows the domain", "shop",
			[]row{{ExternalID: "9", Domain: "acme.example", Attributes: []string{"", "tin"}}},
			[4]int{0, 0, 1, 0},
			[]string{"Acme | 6 | tin | domain=acme.example external:crm=A1 external:shop=9", "Bolt | domain=bolt.example external:crm=A2"},
		},
		{
			"two of one source are two", "shop",
			[]row{{ExternalID: "10", Domain: "acme.example"}, {ExternalID: "9", Domain: "bolt.example"}},
			[4]int{0, 0, 0, 2},
			[]string{"Acme | 6 | tin | domain=acme.example external:crm=A1 external:shop=9", "Bolt | domain=bolt.example external:crm=A2"},
		},
		{
			"a number twice", "shop",
			[]row{{ExternalID: "11", Name: "Cog"}, {ExternalID: "11", Name: "Gear"}},
			[4]int{0, 1, 0, 1},
			[]string{"Acme | 6 | tin | domain=acme.example external:crm=A1 external:shop=9", "Bolt | domain=bolt.example external:crm=A2", "Cog | external:shop=11"},
		},
		{
			"a value that the database refuses", "shop",
			[]row{{ExternalID: "12", Attributes: []string{"", "lead"}}, {ExternalID: "11", Attributes: []string{"1", ""}}},
			[4]int{0, 0, 1, 1},
			[]string{"Acme | 6 | tin | domain=acme.example external:crm=A1 external:shop=9", "Bolt | domain=bolt.example external:crm=A2", "Cog | 1 | external:shop=11"},
		},
	} {
		result := putAccounts(t, db, c.source, c.rows...)
		got := [4]int{result.Count(store.Unchanged), result.Count(store.Created), result.Count(store.Updated), result.Count(store.Rejected)}
		if got != c.counts {
			t.Errorf("%s: %v, want %v: %v", c.why, got, c.counts, result.Reasons)
		}
		if diff := cmp.Diff(c.want, query(t, db, accounts)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.why, diff)
		}
	}
	im := db.NewAccountImport("shop", accountAttributes, store.ImportOptions{})
	for i, want := range []store.RowOutcome{store.Unchanged, store.Rejected} {
		if result, err := im.Apply(context.Background(), []store.AccountRow{{ExternalID: "11", Attributes: []string{"", ""}}}); err != nil || result.Outcomes[0] != want {
			t.Errorf("batch %d of one file: %v, %v", i, result, err)
		}
	}
	list, err := db.ListAccounts(context.Background(), store.AccountPage{Name: "AC", Limit: 5}, accountAttributes)
	if err != nil || len(list) != 1 || list[0].Name != "Acme" || string(list[0].Attributes["seats"]) != "6" {
		t.Errorf("by name: %+v, %v", list, err)
	}
	if list, err := db.ListAccounts(context.Background(), store.AccountPage{Domain: "bolt.example", Limit: 5}, accountAttributes); err != nil || len(list) != 1 || list[0].Name != "Bolt" {
		t.Errorf("by domain: %+v, %v", list, err)
	}
}

func putMembers(t rapid.TB, db *store.DB, source string, verified bool, rows ...store.ContactRow) store.ContactsResult {
	t.Helper()
	result, err := db.PutContacts(context.Background(), source, store.ContactColumns{Accounts: true, EmailVerified: verified}, rows)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// belongs tells what a contact, by its public id, belongs to.
func belongs(t rapid.TB, db *store.DB, contact string) []string {
	t.Helper()
	c, err := db.LoadContact(context.Background(), contact, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := db.LoadMemberships(context.Background(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, m := range list {
		lines = append(lines, fmt.Sprintf("%s %s %v primary: %v by hand: %v", m.AccountName, m.Role, m.Sources, m.Primary, m.ByHand))
	}
	return lines
}

func TestMembershipsFollowRecords(t *testing.T) {
	db := accountDB(t)
	ctx := context.Background()
	putAccounts(t, db, "crm", store.AccountRow{ExternalID: "A1", Name: "Acme", Domain: "acme.example"}, store.AccountRow{ExternalID: "A2", Name: "Bolt"})
	putAccounts(t, db, "shop", store.AccountRow{ExternalID: "1", Domain: "acme.example"}, store.AccountRow{ExternalID: "2", Name: "Cog"})
	crm := putMembers(t, db, "crm", true, store.ContactRow{ExternalID: "P1", Email: "ana@example.com", Accounts: []string{"A1", "A2"}, AccountRole: "buyer"},
		store.ContactRow{ExternalID: "P2"}, store.ContactRow{ExternalID: "P3", Accounts: []string{"A1", "A9"}})
	if crm.Outcomes[2] != store.Rejected || crm.Reasons[2] == "" || len(query(t, db, "select id::text from contact")) != 2 {
		t.Fatalf("an account that is not there: %v %v", crm.Outcomes, crm.Reasons)
	}
	ids := publicIDs(t, db, crm.Contacts[:2])
	ana, other := ids[0], ids[1]
	expect := func(why, contact string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{}, want...), belongs(t, db, contact)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", why, diff)
		}
	}
	expect("as the source says", ana, "Acme buyer [crm] primary: true by hand: false", "Bolt  [crm] primary: false by hand: false")
	if again := putMembers(t, db, "crm", true, store.ContactRow{ExternalID: "P1", Accounts: []string{"A1", "A2"}}, store.ContactRow{ExternalID: "P2"}); again.Count(store.Unchanged) != 2 {
		t.Errorf("the same again: %v", again.Outcomes)
	}
	// Another source knows her too, and of another account.
	if shop := putMembers(t, db, "shop", true, store.ContactRow{ExternalID: "S1", Email: "ana@example.com", Accounts: []string{"2", "1"}}); shop.Contacts[0] != crm.Contacts[0] {
		t.Fatalf("another contact: %v", shop)
	}
	both := []string{"Cog  [shop] primary: true by hand: false", "Acme buyer [crm shop] primary: false by hand: false", "Bolt  [crm] primary: false by hand: false"}
	got := belongs(t, db, ana)
	slices.Sort(got)
	if len(got) != 3 || got[0] == both[2] {
		t.Errorf("two records of one contact: %v", got)
	}
	history, err := db.LoadHistory(ctx, ana)
	if err != nil {
		t.Fatal(err)
	}
	record := history.Records[1].PublicID
	if _, err := db.Unmerge(ctx, []string{record}, someone); err != nil {
		t.Fatal(err)
	}
	expect("apart again", ana, "Acme buyer [crm] primary: true by hand: false", "Bolt  [crm] primary: false by hand: false")
	expect("and the other", record, "Cog  [shop] primary: true by hand: false", "Acme  [shop] primary: false by hand: false")

	if moved := putMembers(t, db, "crm", true, store.ContactRow{ExternalID: "P1", Accounts: []string{"A2"}}); moved.Outcomes[0] != store.Updated {
		t.Errorf("moved: %v", moved.Outcomes)
	}
	expect("she has moved", ana, "Bolt  [crm] primary: true by hand: false")

	acme := query(t, db, "select public_id::text from account where name = 'Acme'")[0]
	decide := func(contact string, member, primary bool, role string) {
		t.Helper()
		if err := db.DecideMembership(ctx, store.MembershipDecision{Account: acme, Contact: contact, Member: member, Primary: primary, Role: role, By: "eva"}); err != nil {
			t.Fatal(err)
		}
	}
	decide(ana, true, true, "owner")
	expect("decided", ana, "Acme owner [] primary: true by hand: true", "Bolt  [crm] primary: false by hand: false")
	decide(record, false, false, "")
	expect("decided against a source", record, "Cog  [shop] primary: true by hand: false")
	if _, err := db.Merge(ctx, ana, other, someone); err != nil {
		t.Fatal(err)
	}
	expect("merged with somebody who belongs to nothing", other, "Acme owner [] primary: true by hand: true", "Bolt  [crm] primary: false by hand: false")
	members, err := db.LoadMembers(ctx, acme, 0, 10)
	if err != nil || len(members) != 1 || members[0].Contact != ana || !members[0].Primary {
		t.Errorf("who belongs to it: %+v, %v", members, err)
	}
	account, err := db.LoadAccount(ctx, acme, accountAttributes)
	if err != nil || account.Contacts != 1 {
		t.Errorf("how many: %+v, %v", account, err)
	}
	nobody := "b0000000-0000-4000-8000-000000000000"
	for what, err := range map[string]error{
		"an unknown account": db.DecideMembership(ctx, store.MembershipDecision{Account: nobody, Contact: ana, By: "eva"}),
		"an unknown contact": db.DecideMembership(ctx, store.MembershipDecision{Account: acme, Contact: nobody, By: "eva"}),
		"nothing to erase":   db.DeleteAccount(ctx, nobody),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := db.DeleteAccount(ctx, acme); err != nil {
		t.Fatal(err)
	}
	expect("an account is erased", ana, "Bolt  [crm] primary: true by hand: false")
	// Who is erased leaves nothing behind; a record that was merged goes with its contact.
	for _, sql := range []string{
		"delete from contact_record", "delete from identifier_link", "delete from suggestion_due",
		"delete from contact where public_id = '" + ana + "'",
	} {
		if _, err := db.Pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if got := query(t, db, "select distinct record_id::text from account_membership m where not exists (select from contact c where c.id = m.record_id)"); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
}

// TestUnmergeUndoesMemberships: what contacts belong to is the same after a merge and its undoing as before, whatever was said before.
func TestUnmergeUndoesMemberships(t *testing.T) {
	db := accountDB(t)
	ctx := context.Background()
	for _, source := range []string{"crm", "shop"} {
		putAccounts(t, db, source, store.AccountRow{ExternalID: "1", Name: "Acme", Domain: "acme.example"}, store.AccountRow{ExternalID: "2", Name: "Bolt " + source},
			store.AccountRow{ExternalID: "3", Name: "Cog", Domain: "cog.example"})
	}
	public := query(t, db, "select public_id::text from account order by id")
	n, several := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		said := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "2", "3"}), 0, 3, rapid.ID)
		var contacts []string
		for i, source := range []string{"crm", "shop", "crm"} {
			result := putMembers(t, db, source, false, store.ContactRow{ExternalID: fmt.Sprintf("%d-%d", n, i), Accounts: said.Draw(t, "accounts"), AccountRole: rapid.SampledFrom([]string{"", "buyer"}).Draw(t, "role")})
			contacts = append(contacts, publicIDs(t, db, result.Contacts)...)
		}
		for range rapid.IntRange(0, 3).Draw(t, "decisions") {
			d := store.MembershipDecision{
				Account: rapid.SampledFrom(public).Draw(t, "account"), Contact: rapid.SampledFrom(contacts).Draw(t, "contact"),
				Member: rapid.Bool().Draw(t, "member"), Primary: rapid.Bool().Draw(t, "primary"), By: "eva",
			}
			if err := db.DecideMembership(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		before := [][]string{}
		for _, c := range contacts {
			before = append(before, belongs(t, db, c))
		}
		for _, c := range contacts[1:] {
			if _, err := db.Merge(ctx, contacts[0], c, someone); err != nil {
				t.Fatal(err)
			}
		}
		if len(belongs(t, db, contacts[2])) > 1 {
			several++
		}
		for _, c := range contacts[1:] {
			if _, err := db.Unmerge(ctx, []string{c}, someone); err != nil {
				t.Fatal(err)
			}
		}
		after := [][]string{}
		for _, c := range contacts {
			after = append(after, belongs(t, db, c))
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("-before +after:\n%s", diff)
		}
	})
	if several == 0 {
		t.Error("nobody ever belonged to several")
	}
}
