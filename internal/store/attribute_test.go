package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func ensure(t *testing.T, db *store.DB, attributes ...crm.Attribute) {
	t.Helper()
	if _, _, err := db.EnsureAttributes(t.Context(), attributes); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, db *store.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestAttributesBecomeColumns(t *testing.T) {
	db := storetest.New(t)
	wanted := []crm.Attribute{
		{Name: "born", Type: crm.Date, Personal: true},
		{Name: "joined", Type: crm.Timestamp},
		{Name: "member", Type: crm.Boolean},
		{Name: "orders", Type: crm.Integer, Indexed: true},
		{Name: "plan", Type: crm.String, Enum: []string{"free", "club's", `a"b\c, {d}`}},
		{Name: "spent", Type: crm.Decimal},
	}
	for i, want := range []bool{true, false} {
		columns, changed, err := db.EnsureAttributes(t.Context(), wanted)
		if err != nil || columns != 6 || changed != want {
			t.Fatalf("time %d: got %d columns, changed = %v, %v", i, columns, changed, err)
		}
	}
	schema, err := db.LoadSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, schema.Attributes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	run(t, db, `insert into contact (attr_born, attr_joined, attr_member, attr_orders, attr_plan, attr_spent)
		values ('1990-01-02', now(), true, 3, 'club''s', 12.345678901234567890), (null, null, null, null, 'a"b\c, {d}', null)`)
	if _, err := db.Pool.Exec(t.Context(), "insert into contact (attr_plan) values ('gold')"); err == nil {
		t.Error("a value that enum does not list was taken")
	}
	var plan string
	if err := db.Pool.QueryRow(t.Context(), "select indexdef from pg_indexes where indexname = 'contact_attr_orders'").Scan(&plan); err != nil {
		t.Errorf("the index is missing: %v", err)
	}
}

func TestAttributeChanges(t *testing.T) {
	text := crm.Attribute{Name: "plan", Type: crm.String}
	enum := func(values ...string) crm.Attribute {
		return crm.Attribute{Name: "plan", Type: crm.String, Enum: values}
	}
	number := crm.Attribute{Name: "plan", Type: crm.Integer}
	tests := map[string]struct {
		reason   string
		before   []crm.Attribute
		rows     string // of attr_plan
		after    []crm.Attribute
		lossy    string // part of the refusal; "" is accepted
		accepts  string // a value that may be written afterwards
		declines string // one that may not
	}{
		"type with values":           {"they would be lost", []crm.Attribute{text}, "'club'", []crm.Attribute{number}, "values of type String", "'x'", ""},
		"type of an empty column":    {"nothing is lost", []crm.Attribute{text}, "null", []crm.Attribute{number}, "", "7", "'x'"},
		"type and index, empty":      {"the old index goes with the old column", []crm.Attribute{{Name: "plan", Type: crm.String, Indexed: true}}, "null", []crm.Attribute{{Name: "plan", Type: crm.Integer, Indexed: true}}, "", "7", "'x'"},
		"enum value added":           {"more is allowed", []crm.Attribute{enum("free")}, "'free'", []crm.Attribute{enum("free", "club")}, "", "'club'", "'gold'"},
		"enum value in use removed":  {"a contact would have a value that nobody lists", []crm.Attribute{enum("free", "club")}, "'club'", []crm.Attribute{enum("free")}, "enum does not list", "'club'", "'gold'"},
		"enum value unused removed":  {"nobody has it", []crm.Attribute{enum("free", "club")}, "'free'", []crm.Attribute{enum("free")}, "", "'free'", "'club'"},
		"enum on used free text":     {"a contact has another value", []crm.Attribute{text}, "'gold'", []crm.Attribute{enum("free")}, "enum does not list", "'anything'", ""},
		"enum on fitting free text":  {"all contacts fit", []crm.Attribute{text}, "'free'", []crm.Attribute{enum("free")}, "", "'free'", "'gold'"},
		"enum removed":               {"everything is allowed", []crm.Attribute{enum("free")}, "'free'", []crm.Attribute{text}, "", "'gold'", ""},
		"attribute removed":          {"the column stays", []crm.Attribute{text}, "'club'", nil, "", "'x'", ""},
		"another attribute is lossy": {"nothing is changed when anything is refused", []crm.Attribute{text}, "'club'", []crm.Attribute{number, {Name: "extra", Type: crm.String}}, "String", "'x'", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			ensure(t, db, tc.before...)
			run(t, db, "insert into contact (attr_plan) values ("+tc.rows+")")
			_, _, err := db.EnsureAttributes(t.Context(), tc.after)
			var lossy *store.ErrLossyChange
			switch {
			case tc.lossy == "" && err != nil:
				t.Fatalf("got %v, want no error (%s)", err, tc.reason)
			case tc.lossy != "" && (!errors.As(err, &lossy) || !strings.Contains(err.Error(), tc.lossy)):
				t.Fatalf("got %v, want ErrLossyChange with %q (%s)", err, tc.lossy, tc.reason)
			}
			run(t, db, "insert into contact (attr_plan) values ("+tc.accepts+")")
			if tc.declines != "" {
				if _, err := db.Pool.Exec(t.Context(), "insert into contact (attr_plan) values ("+tc.declines+")"); err == nil {
					t.Errorf("%s was taken", tc.declines)
				}
			}
			if tc.lossy == "" {
				if _, changed, err := db.EnsureAttributes(t.Context(), tc.after); err != nil || changed {
					t.Errorf("again: changed = %v, %v", changed, err)
				}
			}
		})
	}
}

func TestRemovedAttributeComesBackWithItsValues(t *testing.T) {
	db := storetest.New(t)
	plan := crm.Attribute{Name: "plan", Type: crm.String}
	ensure(t, db, plan)
	run(t, db, "insert into contact (attr_plan) values ('club')")
	ensure(t, db)
	schema, err := db.LoadSchema(t.Context())
	if err != nil || len(schema.Attributes) != 0 {
		t.Fatalf("a removed attribute is in the schema: %v, %v", schema.Attributes, err)
	}
	var lossy *store.ErrLossyChange
	if _, _, err := db.EnsureAttributes(t.Context(), []crm.Attribute{{Name: "plan", Type: crm.Integer}}); !errors.As(err, &lossy) {
		t.Errorf("declared again with another type: got %v, want ErrLossyChange", err)
	}
	ensure(t, db, plan)
	var value string
	if err := db.Pool.QueryRow(t.Context(), "select attr_plan from contact").Scan(&value); err != nil || value != "club" {
		t.Errorf("got %q, %v", value, err)
	}
}

func TestInvalidIndexIsBuiltAnew(t *testing.T) {
	db := storetest.New(t)
	indexed := crm.Attribute{Name: "plan", Type: crm.String, Indexed: true}
	ensure(t, db, crm.Attribute{Name: "plan", Type: crm.String})
	run(t, db, "insert into contact (attr_plan) values ('a'), ('a')")
	// A unique build over equal values fails and leaves an invalid index of the name behind, as an interrupted one does.
	if _, err := db.Pool.Exec(t.Context(), "create unique index concurrently contact_attr_plan on contact (attr_plan)"); err == nil {
		t.Fatal("the unique index was built")
	}
	ensure(t, db, indexed)
	var valid, unique bool
	err := db.Pool.QueryRow(t.Context(), "select indisvalid, indisunique from pg_index where indexrelid = 'contact_attr_plan'::regclass").Scan(&valid, &unique)
	if err != nil || !valid || unique {
		t.Errorf("got valid = %v, unique = %v, %v", valid, unique, err)
	}
	ensure(t, db, crm.Attribute{Name: "plan", Type: crm.String})
	var left bool
	if err := db.Pool.QueryRow(t.Context(), "select to_regclass('contact_attr_plan') is not null").Scan(&left); err != nil || left {
		t.Errorf("an index that nobody wants is there: %v, %v", left, err)
	}
}

func TestAddingAColumnWaitsWithoutBlocking(t *testing.T) {
	db := storetest.New(t)
	reader, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), "select from contact"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := db.EnsureAttributes(t.Context(), []crm.Attribute{{Name: "plan", Type: crm.String}})
		done <- err
	}()
	waitForLock(t, db)
	// Whoever comes behind the waiting change gets through before the reader in front of it ends.
	if _, err := db.Pool.Exec(t.Context(), "insert into contact default values"); err != nil {
		t.Fatal(err)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the column was not added after the lock came free: %v", err)
	}
}

// waitForLock returns when somebody waits for a lock on contact.
func waitForLock(t *testing.T, db *store.DB) {
	t.Helper()
	for t.Context().Err() == nil {
		var waiting bool
		err := db.Pool.QueryRow(t.Context(), "select exists(select from pg_locks where relation = 'contact'::regclass and not granted)").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
	}
}

func TestConfigurationRowsAreWrittenOnlyWhenTheyDiffer(t *testing.T) {
	db := storetest.New(t)
	ctx := t.Context()
	saves := map[string]struct {
		save  func() (bool, error)
		sleep func() error
	}{
		"event_type": {func() (bool, error) {
			return db.SaveEventType(ctx, store.EventType{EventType: crm.EventType{Name: "purchase", Properties: []crm.Property{{Name: "amount", Type: crm.Decimal}}}})
		}, func() error { return db.DormantEventType(ctx, "purchase") }},
		"channel": {func() (bool, error) {
			changed, _, err := db.SaveChannel(ctx, store.Channel{Name: "news", Type: "Email", Email: store.EmailSettings{From: "a@velo.example", Host: "127.0.0.1", Port: 25, TLS: "None", Connections: 4, DKIM: "None"}})
			return changed, err
		}, func() error { return db.DormantChannel(ctx, "news") }},
		"template": {func() (bool, error) {
			return db.SaveTemplate(ctx, store.Template{Name: "t", DefaultLocale: "es", Content: []store.TemplateContent{{Locale: "es", Subject: "s", HTML: "h"}}, Digest: "d"})
		}, func() error { return db.DormantTemplate(ctx, "t") }},
		"segment": {func() (bool, error) {
			changed, _, err := db.SaveSegment(ctx, store.SegmentDefinition{Name: "s", Match: "true", Digest: "d", Predicate: "true"})
			return changed, err
		}, func() error { return db.DormantSegment(ctx, "s") }},
	}
	for table, tc := range saves {
		t.Run(table, func(t *testing.T) {
			expect := func(step string, want bool) {
				t.Helper()
				if changed, err := tc.save(); err != nil || changed != want {
					t.Fatalf("%s: got changed = %v, %v, want %v", step, changed, err, want)
				}
			}
			version := func() (xmin string, asleep bool) {
				t.Helper()
				err := db.Pool.QueryRow(ctx, "select xmin::text, dormant_since is not null from "+pgx.Identifier{table}.Sanitize()).Scan(&xmin, &asleep)
				if err != nil {
					t.Fatal(err)
				}
				return xmin, asleep
			}
			expect("the first time", true)
			before, _ := version()
			expect("again", false)
			if after, _ := version(); after != before {
				t.Error("the row was written though nothing differs")
			}
			if err := tc.sleep(); err != nil {
				t.Fatal(err)
			}
			if _, asleep := version(); !asleep {
				t.Error("the row is not dormant after its object was deleted")
			}
			expect("coming back", true)
			if _, asleep := version(); asleep {
				t.Error("the row is dormant though its object is back")
			}
		})
	}
}

func TestSegmentAsksForEvaluation(t *testing.T) {
	db := storetest.New(t)
	ctx := t.Context()
	definition := store.SegmentDefinition{Name: "s", Match: "a", Digest: "1", Predicate: "true", Arguments: []string{"x"}}
	tests := []struct {
		reason string
		change func(*store.SegmentDefinition)
		want   bool
	}{
		{"a new segment", func(*store.SegmentDefinition) {}, true},
		{"nothing", func(*store.SegmentDefinition) {}, false},
		{"another spelling of the same meaning", func(d *store.SegmentDefinition) { d.Match = " a" }, false},
		{"another meaning", func(d *store.SegmentDefinition) { d.Digest, d.Predicate = "2", "false" }, true},
		{"suspension", func(d *store.SegmentDefinition) { d.Suspended = true }, false},
		{"its end", func(d *store.SegmentDefinition) { d.Suspended = false }, true},
	}
	for _, tc := range tests {
		tc.change(&definition)
		if _, _, err := db.SaveSegment(ctx, definition); err != nil {
			t.Fatalf("%s: %v", tc.reason, err)
		}
		var asked bool
		if err := db.Pool.QueryRow(ctx, "select refresh_asked_at is not null from segment").Scan(&asked); err != nil {
			t.Fatal(err)
		}
		if asked != tc.want {
			t.Errorf("%s: asked = %v, want %v", tc.reason, asked, tc.want)
		}
		run(t, db, "update segment set refresh_asked_at = null")
	}
}
