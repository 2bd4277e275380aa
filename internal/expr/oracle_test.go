package expr_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// The size of the oracle's test: each of rapid's checks (100 unless -rapid.checks says otherwise) draws one schema
// with its people and this many expressions about them.
const (
	oraclePeople      = 16
	oracleExpressions = 210
)

// columns are the attributes from which each check takes some.
var columns = func() (all []crm.Attribute) {
	for _, typ := range []crm.ValueType{crm.String, crm.Integer, crm.Decimal, crm.Boolean, crm.Date, crm.Timestamp} {
		for n := range 2 {
			all = append(all, crm.Attribute{Name: fmt.Sprintf("%s_%d", strings.ToLower(string(typ)), n), Type: typ})
		}
	}
	return all
}()

// eventTypes are those of every check.
var eventTypes = []crm.EventType{
	{Name: "purchase", Properties: []crm.Property{
		{Name: "amount", Type: crm.Decimal},
		{Name: "items", Type: crm.Integer},
		{Name: "sku", Type: crm.String},
		{Name: "gift", Type: crm.Boolean},
		{Name: "delivery", Type: crm.Date},
		{Name: "paid_at", Type: crm.Timestamp},
	}},
	{Name: "web.visit", Properties: []crm.Property{{Name: "page", Type: crm.String}, {Name: "seconds", Type: crm.Integer}}},
}

// TestOracle draws people and expressions, and compares who belongs by SQL with who belongs by the oracle. The same
// predicate answers for everyone, and for some contacts that are looked up one after the other.
func TestOracle(t *testing.T) {
	ctx := context.Background()
	conn := oracleDatabase(ctx, t, "expr_oracle")
	used := map[string]int{}
	cases, telling := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		schema := drawSchema(rt)
		people := drawPeople(rt, schema)
		g := &generator{t: rt, schema: schema, used: used}
		var sources []string
		var wants [][]int64
		for range oracleExpressions {
			source := g.condition().source
			want := members(t, people, source)
			if !isTelling(want) { // another try: what tells nobody apart tells little of the compiler either
				source = g.condition().source
				want = members(t, people, source)
			}
			sources, wants = append(sources, source), append(wants, want)
		}
		// The data is never committed: the next check begins with an empty database.
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(ctx) }()
		insertPeople(ctx, rt, tx, people)
		everyone, some := selectMembers(ctx, rt, tx, schema, sources)
		inMemory := holdMembers(rt, schema, people, sources)
		for i, source := range sources {
			want := wants[i]
			wantSome := slices.DeleteFunc(slices.Clone(want), func(id int64) bool { return !slices.Contains(askedFor, id) })
			if !slices.Equal(everyone[i], want) {
				rt.Fatalf("%s\nby SQL:    %v\nby oracle: %v", source, everyone[i], want)
			}
			if !slices.Equal(inMemory[i], want) {
				rt.Fatalf("%s\nin memory: %v\nby oracle: %v", source, inMemory[i], want)
			}
			if asksSome(i) && !slices.Equal(some[i], wantSome) {
				rt.Fatalf("%s, of some\nby SQL:    %v\nby oracle: %v", source, some[i], wantSome)
			}
			cases++
			if isTelling(want) {
				telling++
			}
		}
	})
	if t.Failed() {
		return
	}
	t.Logf("%d cases, %d %% of them with some and not all people; productions: %v", cases, telling*100/max(cases, 1), used)
	if cases < 20_000 && cases > 0 && !testing.Short() && rapidChecks() >= 100 {
		t.Errorf("%d cases, want 20,000 at least", cases)
	}
	if telling*2 < cases {
		t.Errorf("only %d of %d cases tell people apart, want at least half", telling, cases)
	}
	for _, name := range expr.Vocabulary() {
		if used[name] == 0 {
			t.Errorf("%s was never drawn", name)
		}
	}
}

// members are the contacts who belong by the oracle.
func members(t *testing.T, people []row, source string) (ids []int64) {
	belongs := interpret(t, source)
	for _, p := range people {
		if belongs(p.person) {
			ids = append(ids, p.id)
		}
	}
	return ids
}

func isTelling(members []int64) bool { return len(members) > 0 && len(members) < oraclePeople }

func rapidChecks() int {
	n, err := strconv.Atoi(flag.Lookup("rapid.checks").Value.String())
	if err != nil {
		panic(err)
	}
	return n
}

// oracleDatabase has the columns of every check, and a clock that stands still: a function that hides the server's own.
// It sorts and folds texts as ICU does and lives in a far time zone, because an answer must not depend on either.
func oracleDatabase(ctx context.Context, t *testing.T, name string) *pgx.Conn {
	admin := connect(ctx, t, storetest.AdminURL(t))
	execute(ctx, t, admin, "create database "+name+" template template0 encoding 'UTF8' locale_provider icu icu_locale 'und'")
	t.Cleanup(func() { execute(ctx, t, admin, "drop database "+name+" with (force)") })
	address, err := url.Parse(storetest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	address.Path = "/" + name
	if _, err := store.Migrate(ctx, address.String(), store.Options{}); err != nil {
		t.Fatal(err)
	}
	conn := connect(ctx, t, address.String())
	execute(ctx, t, conn, "create schema stopped")
	execute(ctx, t, conn, "create function stopped.statement_timestamp() returns timestamptz stable language sql as $$ select timestamptz '"+
		clock.Format(time.RFC3339)+"' $$")
	execute(ctx, t, conn, "set search_path = stopped, tertulia, pg_catalog")
	execute(ctx, t, conn, "set time zone 'Pacific/Kiritimati'")
	execute(ctx, t, conn, "set jit = off") // the tables are small, and their sizes are not known
	execute(ctx, t, conn, "insert into tenant (id, namespace, time_zone) values ('test', 'test', '"+tenantZone+"')")
	for _, a := range columns {
		execute(ctx, t, conn, fmt.Sprintf("alter table contact add column %s %s", a.Column(), a.Type.SQLType()))
	}
	return conn
}

func connect(ctx context.Context, t *testing.T, address string) *pgx.Conn {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	return conn
}

func execute(ctx context.Context, t *testing.T, conn *pgx.Conn, sql string) {
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// drawSchema takes some of the columns, and makes some of those personal.
func drawSchema(t *rapid.T) crm.Schema {
	schema := crm.Schema{Events: eventTypes}
	for _, a := range columns {
		if use := rapid.IntRange(1, 8).Draw(t, a.Name); use > 1 {
			a.Personal = use == 2
			schema.Attributes = append(schema.Attributes, a)
		}
	}
	return schema
}

// row is a person with what the database is told of them.
type row struct {
	*person
	columns []string
	texts   []*string
}

func drawPeople(t *rapid.T, schema crm.Schema) []row {
	var rows []row
	for id := range int64(oraclePeople) {
		p := &person{
			id: id + 1, attributes: map[string]ref.Val{}, consents: map[string]bool{}, identifiers: map[string]bool{}, segments: map[string]bool{},
			locale: unknown{}, timeZone: unknown{},
		}
		r := row{person: p}
		for _, a := range schema.Attributes {
			value, text := drawValue(t, a.Type)
			if value != nil {
				p.attributes[a.Name] = value
			}
			r.columns, r.texts = append(r.columns, a.Column()+"::"+a.Type.SQLType()), append(r.texts, text)
		}
		if rapid.IntRange(1, 3).Draw(t, "locale") > 1 {
			p.locale, p.timeZone = types.String(pick(t, texts)), types.String(pick(t, zones))
		}
		p.created, p.merged = instant{pick(t, moments)}, rapid.Bool().Draw(t, "merged")
		p.tags = rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Concat(names, texts[:4])), 0, 3, rapid.ID[string]).Draw(t, "tags")
		some(t, names, func(purpose string) { p.consents[purpose] = rapid.Bool().Draw(t, "granted") })
		some(t, segments, func(segment string) { p.segments[segment] = true })
		some(t, identifierTypes, func(typ string) { p.identifiers[typ] = true })
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			p.events = append(p.events, drawEvent(t))
		}
		some(t, sends, func(campaign string) { p.messages = append(p.messages, drawMessages(t, campaign)...) })
		rows = append(rows, r)
	}
	return rows
}

// some does something with about half of a list.
func some(t *rapid.T, list []string, do func(string)) {
	for _, item := range list {
		if rapid.Bool().Draw(t, "some") {
			do(item)
		}
	}
}

func drawEvent(t *rapid.T) *occurrence {
	event := pick(t, eventTypes)
	o := &occurrence{name: event.Name, at: pick(t, moments), properties: map[string]json.RawMessage{}, types: map[string]crm.ValueType{}}
	for _, p := range event.Properties {
		o.types[p.Name] = p.Type
		if text, present := drawJSON(t, p.Type); present {
			o.properties[p.Name] = json.RawMessage(text)
		}
	}
	return o
}

// sends are the campaigns of the sends that there are, by the id of each, from 1: one campaign was sent twice, and one is a rule's.
var sends = []string{"spring", "welcome", "spring", "other", "rule/buy/mail"}

// drawMessages draws that somebody received a message, and perhaps opened it and followed a link.
func drawMessages(t *rapid.T, campaign string) []*occurrence {
	list := []*occurrence{{what: "received", name: campaign, at: pick(t, moments)}}
	some(t, []string{"opened", "clicked"}, func(what string) {
		list = append(list, &occurrence{what: what, name: campaign, at: pick(t, moments)})
	})
	return list
}
