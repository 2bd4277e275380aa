package expr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
	oracleExpressions = 40
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
	}},
	{Name: "web.visit", Properties: []crm.Property{{Name: "page", Type: crm.String}, {Name: "seconds", Type: crm.Integer}}},
}

// TestOracle draws people and expressions, and compares who belongs by SQL with who belongs by the oracle.
func TestOracle(t *testing.T) {
	ctx := context.Background()
	conn := oracleDatabase(ctx, t)
	used := map[string]int{}
	cases, telling := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		schema := drawSchema(rt)
		people := drawPeople(rt, schema)
		g := &generator{t: rt, schema: schema, used: used}
		var nodes []node
		for range oracleExpressions {
			nodes = append(nodes, g.condition())
		}
		// The data is never committed: the next check begins with an empty database.
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(ctx) }()
		insertPeople(ctx, rt, tx, people)
		members := selectMembers(ctx, rt, tx, schema, nodes)
		for i, n := range nodes {
			var want []int64
			for _, p := range people {
				if n.holds(subject{person: p.person}) {
					want = append(want, p.id)
				}
			}
			if !slices.Equal(members[i], want) {
				rt.Fatalf("%s\nby SQL:    %v\nby oracle: %v", n.source, members[i], want)
			}
			cases++
			if len(want) > 0 && len(want) < len(people) {
				telling++
			}
		}
	})
	t.Logf("%d cases, %d %% of them with some and not all people; productions: %v", cases, telling*100/max(cases, 1), used)
	if cases >= 1000 && telling*2 < cases {
		t.Errorf("only %d of %d cases tell people apart, want at least half", telling, cases)
	}
}

// oracleDatabase has the columns of every check, and a clock that stands still: a function that hides the server's own.
// It sorts and folds texts as ICU does and lives in a far time zone, because an answer must not depend on either.
func oracleDatabase(ctx context.Context, t *testing.T) *pgx.Conn {
	const name = "expr_oracle"
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
		p := &person{id: id + 1, attributes: map[string]any{}, consents: map[string]bool{}}
		r := row{person: p}
		for _, a := range schema.Attributes {
			value, text := drawValue(t, a.Type)
			if value != nil {
				p.attributes[a.Name] = value
			}
			r.columns, r.texts = append(r.columns, a.Column()+"::"+a.Type.SQLType()), append(r.texts, text)
		}
		if rapid.IntRange(1, 3).Draw(t, "locale") > 1 {
			p.locale, p.timeZone = pick(t, texts), pick(t, texts)
		}
		p.created = instant{pick(t, moments())}
		p.tags = rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Concat(names, texts[:4])), 0, 3, rapid.ID[string]).Draw(t, "tags")
		for _, purpose := range names {
			if rapid.Bool().Draw(t, "asked") {
				p.consents[purpose] = rapid.Bool().Draw(t, "granted")
			}
		}
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			p.events = append(p.events, drawEvent(t))
		}
		rows = append(rows, r)
	}
	return rows
}

func drawEvent(t *rapid.T) occurrence {
	event := pick(t, eventTypes)
	o := occurrence{name: event.Name, at: pick(t, moments()), properties: map[string]json.RawMessage{}}
	for _, p := range event.Properties {
		if text, present := drawJSON(t, p.Type); present {
			o.properties[p.Name] = json.RawMessage(text)
		}
	}
	return o
}

func insertPeople(ctx context.Context, t *rapid.T, tx pgx.Tx, rows []row) {
	var batch pgx.Batch
	batch.Queue("insert into identifier (id, type, value) overriding system value values (1, 'email', 'x')")
	for _, r := range rows {
		names := []string{"id", "locale", "time_zone", "tags", "created_at"}
		values := []string{"$1", "$2", "$3", "$4", "$5"}
		arguments := []any{r.id, r.locale, r.timeZone, r.tags, r.created.Time}
		for i, c := range r.columns {
			column, typ, _ := strings.Cut(c, "::")
			arguments = append(arguments, r.texts[i])
			names, values = append(names, column), append(values, "$"+strconv.Itoa(len(arguments))+"::text::"+typ)
		}
		batch.Queue(fmt.Sprintf("insert into contact (%s) overriding system value values (%s)", strings.Join(names, ", "), strings.Join(values, ", ")), arguments...)
		for purpose, granted := range r.consents {
			batch.Queue("insert into consent (contact_id, purpose, granted, source) values ($1, $2, $3, 'test')", r.id, purpose, granted)
		}
		for _, o := range r.events {
			properties, err := json.Marshal(o.properties)
			if err != nil {
				t.Fatal(err)
			}
			// The same event once more, not bound to anybody: it counts for nobody.
			batch.Queue("insert into event (name, occurred_at, identifier_id, contact_id, properties, source) select $1, $2, 1, c, $4, 'test' from unnest(array[$3, null]::bigint[]) c",
				o.name, o.at, r.id, string(properties))
		}
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		t.Fatalf("insert people: %v", err)
	}
}

// selectMembers compiles the expressions and asks PostgreSQL who belongs.
func selectMembers(ctx context.Context, t *rapid.T, tx pgx.Tx, schema crm.Schema, nodes []node) [][]int64 {
	var batch pgx.Batch
	for _, n := range nodes {
		compiled, err := expr.Compile(schema, n.source)
		if err != nil {
			t.Fatalf("compile %s: %v", n.source, err)
		}
		var arguments []any
		for _, a := range compiled.Arguments {
			arguments = append(arguments, a)
		}
		batch.Queue("select coalesce(array_agg(c.id order by c.id), '{}') from contact c where "+compiled.Predicate, arguments...)
	}
	results := tx.SendBatch(ctx, &batch)
	defer func() { _ = results.Close() }()
	members := make([][]int64, len(nodes))
	for i, n := range nodes {
		if err := results.QueryRow().Scan(&members[i]); err != nil {
			t.Fatalf("%s: %v", n.source, err)
		}
	}
	return members
}
