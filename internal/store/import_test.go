package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

var importAttributes = []crm.Attribute{{Name: "city", Type: crm.String, Indexed: true}, {Name: "points", Type: crm.Decimal}}

// file is what one source says, in batches as an import would cut them.
type file struct {
	source  string
	columns store.ContactColumns
	batches [][]store.ContactRow
}

// drawFile makes a file in which people share addresses and numbers, within the file and with others.
func drawFile(t *rapid.T, sources ...string) file {
	maybe := func(format string, n int) *rapid.Generator[string] {
		values := []string{""}
		for i := range n {
			values = append(values, fmt.Sprintf(format, i))
		}
		return rapid.SampledFrom(values)
	}
	row := rapid.Custom(func(t *rapid.T) store.ContactRow {
		return store.ContactRow{
			ExternalID: fmt.Sprintf("X%d", rapid.IntRange(0, 11).Draw(t, "id")),
			Email:      maybe("p%d@example.com", 6).Draw(t, "email"), Phone: maybe("+3460000000%d", 4).Draw(t, "phone"),
			Attributes: []string{maybe("city %d", 3).Draw(t, "city"), maybe("%d.50", 3).Draw(t, "points")},
			Consents:   rapid.SliceOfN(rapid.SampledFrom([]store.Decision{store.Unsaid, store.Granted, store.Refused}), 2, 2).Draw(t, "consents"),
			Tags:       rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 2).Draw(t, "tags"),
		}
	})
	return file{
		source: rapid.SampledFrom(sources).Draw(t, "source"),
		columns: store.ContactColumns{
			Attributes: importAttributes, Purposes: []string{"news", "offers"},
			EmailVerified: rapid.Bool().Draw(t, "emails are verified"), PhoneVerified: rapid.Bool().Draw(t, "numbers are verified"),
		},
		batches: rapid.SliceOfN(rapid.SliceOfN(row, 1, 6), 1, 4).Draw(t, "batches"),
	}
}

func apply(t rapid.TB, db *store.DB, f file) (total [4]int) {
	t.Helper()
	im := db.NewContactImport(f.source, f.columns, store.ImportOptions{Patience: time.Second})
	defer func() {
		im.Close(context.Background())
	}()
	for _, batch := range f.batches {
		result, err := im.Apply(context.Background(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, outcome := range result.Outcomes {
			total[outcome]++
		}
	}
	return total
}

func query(t rapid.TB, db *store.DB, sql string) []string {
	t.Helper()
	rows, err := db.Pool.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// physical are the versions of all rows about people.
func physical(t rapid.TB, db *store.DB) (all []string) {
	t.Helper()
	for _, table := range []string{"contact", "identifier", "identifier_link", "identifier_link_log", "contact_record", "consent"} {
		all = append(all, query(t, db, "select concat_ws(' ', '"+table+"', ctid, xmin, xmax) from "+table+" order by ctid")...)
	}
	return all
}

// TestImportProperties imports files that nobody would want, in any order, and checks what must hold all the same.
func TestImportProperties(t *testing.T) {
	db := storetest.New(t)
	if _, _, err := db.EnsureAttributes(context.Background(), importAttributes); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		forgetPeople(t, db)
		for range rapid.IntRange(1, 3).Draw(t, "files") {
			f := drawFile(t, "shop", "web")
			first := apply(t, db, f)
			before := physical(t, db)
			again := apply(t, db, f)
			if again[store.Created]+again[store.Updated] > 0 || again[store.Rejected] != first[store.Rejected] {
				t.Fatalf("the second time: %v, the first time: %v", again, first)
			}
			if diff := cmp.Diff(before, physical(t, db)); diff != "" {
				t.Fatalf("the second time wrote rows: -before +after:\n%s", diff)
			}
			for what, broken := range brokenRules {
				if found := query(t, db, broken); len(found) > 0 {
					t.Fatalf("%s: %v", what, found)
				}
			}
		}
	})
}

// brokenRules find what must never be.
var brokenRules = map[string]string{
	"identifiers without a link": "select i.value from identifier i where not exists (select from identifier_link l where l.identifier_id = i.id)",
	"external ids that are not verified": `select i.value from identifier i join identifier_link l on l.identifier_id = i.id
		where i.type like 'external:%' and not l.verified`,
	"external ids of two people": `select min(i.value) from identifier i join identifier_link l on l.identifier_id = i.id
		where i.type like 'external:%' group by i.id having count(*) > 1`,
	"contacts without an external id": `select c.id::text from contact c where not exists (
		select from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = c.id and i.type like 'external:%')`,
	"hashes that are not their addresses'": `select i.value from identifier i cross join secret_key k where k.purpose = 'address'
		and i.hash is distinct from case when i.type = 'email' then keyed_hash(k.key, i.value) end`,
	"a tag twice": "select c.id::text from contact c where cardinality(tags) <> (select count(distinct t) from unnest(tags) t)",
}

func forgetPeople(t rapid.TB, db *store.DB) {
	t.Helper()
	if _, err := db.Pool.Exec(context.Background(), `delete from contact_record; delete from contact_record_event; delete from contact_decision; delete from contact_change;
		delete from consent; delete from identifier_link; delete from identifier_link_log; delete from identifier; delete from contact`); err != nil {
		t.Fatal(err)
	}
}

// TestImportCutsDoNotMatter imports a file in one batch and in many: people come out the same.
func TestImportCutsDoNotMatter(t *testing.T) {
	whole, cut := storetest.New(t), storetest.New(t)
	for _, db := range []*store.DB{whole, cut} {
		if _, _, err := db.EnsureAttributes(context.Background(), importAttributes); err != nil {
			t.Fatal(err)
		}
	}
	const everything = `select concat_ws(' ', (select string_agg(i.type || '=' || i.value || '=' || l.verified, ' ' order by i.type, i.value)
			from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = c.id),
		attr_city, attr_points, (select string_agg(t, ',' order by t) from unnest(tags) t),
		(select string_agg(purpose || granted, ',' order by purpose) from consent o where o.contact_id = c.id)) from contact c order by 1`
	rapid.Check(t, func(t *rapid.T) {
		f := drawFile(t, "shop")
		forgetPeople(t, whole)
		forgetPeople(t, cut)
		apply(t, whole, file{source: f.source, columns: f.columns, batches: [][]store.ContactRow{slices.Concat(f.batches...)}})
		apply(t, cut, f)
		if diff := cmp.Diff(query(t, whole, everything), query(t, cut, everything)); diff != "" {
			t.Fatalf("-in one batch +in several:\n%s", diff)
		}
	})
}

func TestAValueThatTheDatabaseRefusesStopsNobodyElse(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	if _, _, err := db.EnsureAttributes(ctx, importAttributes); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 9000) // an entry of an index holds 2,704 bytes, and noise cannot be compressed
	r := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte('!' + r.IntN(90))
	}
	rows := make([]store.ContactRow, 9)
	for i := range rows {
		rows[i] = store.ContactRow{ExternalID: fmt.Sprintf("C%d", i), Attributes: []string{"Madrid", ""}}
	}
	rows[5].Attributes[0] = string(noise)
	result, err := db.PutContacts(ctx, "shop", store.ContactColumns{Attributes: importAttributes}, rows)
	if err != nil {
		t.Fatal(err)
	}
	if result.Count(store.Created) != 8 || result.Outcomes[5] != store.Rejected || !strings.Contains(result.Reasons[5], "the database refuses a value of this row") {
		t.Errorf("%+v", result)
	}
}

// TestWritersOfTheSamePeople lets imports, single writes and events speak of the same people at the same time.
func TestWritersOfTheSamePeople(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	if _, _, err := db.EnsureAttributes(ctx, importAttributes); err != nil {
		t.Fatal(err)
	}
	columns := store.ContactColumns{EmailVerified: true, Purposes: []string{"news"}}
	row := func(source string, i int) store.ContactRow {
		return store.ContactRow{ExternalID: fmt.Sprintf("%s%d", source, i), Email: fmt.Sprintf("p%d@example.com", i), Consents: []store.Decision{store.Granted}}
	}
	const people, rounds = 200, 10
	var wait sync.WaitGroup
	for _, source := range []string{"shop", "shop", "web"} {
		wait.Go(func() {
			im := db.NewContactImport(source, columns, store.ImportOptions{})
			for round := range rounds {
				var rows []store.ContactRow
				for i := round * people / rounds; i < (round+1)*people/rounds; i++ {
					rows = append(rows, row(source, i))
				}
				if _, err := im.Apply(ctx, rows); err != nil {
					t.Error(err)
				}
			}
			im.Close(ctx)
		})
	}
	for worker := range 3 {
		wait.Go(func() {
			for i := range people {
				i = (i*7 + worker) % people
				if _, err := db.PutContacts(ctx, "crm", columns, []store.ContactRow{row("crm", i)}); err != nil {
					t.Error(err)
				}
				events := []store.Event{
					{Source: "s", ClientID: fmt.Sprintf("%d-%d", worker, i), Name: "visit", OccurredAt: time.Now(), IdentifierType: "email", IdentifierValue: fmt.Sprintf("p%d@example.com", i), Properties: []byte("{}")},
					{Source: "s", ClientID: fmt.Sprintf("same-%d", i), Name: "visit", OccurredAt: time.Now(), IdentifierType: "external:shop", IdentifierValue: fmt.Sprintf("shop%d", (i+1)%people), Properties: []byte("{}")},
				}
				if _, err := db.PutEvents(ctx, events); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	got := query(t, db, `select concat_ws(' ', (select count(*) from contact), (select count(*) from identifier), (select count(*) from identifier_link where verified),
		(select count(*) from consent), (select count(*) from event), (select count(*) from event where contact_id is null))`)
	if diff := cmp.Diff([]string{"200 800 800 200 800 0"}, got); diff != "" {
		t.Errorf("people, identifiers, links, consents, events, events of nobody: -want +got:\n%s", diff)
	}
}
