package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// provision makes a tenant's database as the operator does and returns the URLs of its owner's and its runtime's login.
func provision(t *testing.T, cluster *store.Cluster, id string) (owner *store.DB, runtimeURL string) {
	t.Helper()
	ctx := t.Context()
	if err := cluster.EnsureDatabase(ctx, id); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dropTenant(t, id) })
	options := store.Options{Role: store.OwnerRole(id)}
	if _, err := store.Migrate(ctx, cluster.TenantURL(id), options); err != nil {
		t.Fatal(err)
	}
	owner, err := store.Open(ctx, cluster.TenantURL(id), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(owner.Close)
	if err := cluster.EnsureLogin(ctx, store.RuntimeRole(id), "secret"); err != nil {
		t.Fatal(err)
	}
	if err := owner.EnsureGrants(ctx, store.RuntimeRole(id)); err != nil {
		t.Fatal(err)
	}
	runtimeURL, err = store.URLAs(cluster.TenantURL(id), store.RuntimeRole(id), "secret")
	if err != nil {
		t.Fatal(err)
	}
	return owner, runtimeURL
}

func dropTenant(t *testing.T, id string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, storetest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	database := "tertulia_" + strings.ReplaceAll(id, "-", "_")
	for _, statement := range []string{
		"drop database if exists " + database + " with (force)",
		"drop role if exists " + store.RuntimeRole(id), "drop role if exists " + store.OwnerRole(id),
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// administrators are the logins with which an operator may be given a cluster.
func administrators(t *testing.T) map[string]string {
	t.Helper()
	admin := storetest.AdminURL(t)
	conn, err := pgx.Connect(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "create role modest login createdb createrole password 'modest'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), admin)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if _, err := conn.Exec(context.Background(), "drop role modest"); err != nil {
			t.Error(err)
		}
	})
	modest, err := store.URLAs(admin, "modest", "modest")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"superuser": admin, "createdb and createrole": modest}
}

func TestProvisionedDatabasesAreClosedToEachOther(t *testing.T) {
	for name, adminURL := range administrators(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			cluster, err := store.OpenCluster(ctx, adminURL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			_, velo := provision(t, cluster, "velo-one")
			_, other := provision(t, cluster, "other-two")
			for _, own := range []string{velo, other} {
				if err := store.CheckLogin(ctx, own); err != nil {
					t.Errorf("a runtime role cannot enter its own database: %v", err)
				}
			}
			intruder := strings.Replace(velo, "/tertulia_velo_one", "/tertulia_other_two", 1)
			if err := store.CheckLogin(ctx, intruder); !errors.Is(err, store.ErrLoginRefused) {
				t.Errorf("velo's runtime role in other's database: got %v, want ErrLoginRefused", err)
			}
			wrong, err := store.URLAs(velo, store.RuntimeRole("velo-one"), "wrong")
			if err != nil {
				t.Fatal(err)
			}
			if err := store.CheckLogin(ctx, wrong); !errors.Is(err, store.ErrLoginRefused) {
				t.Errorf("a wrong password: got %v, want ErrLoginRefused", err)
			}
			missing := strings.Replace(adminURL, "/postgres?", "/nowhere?", 1)
			if err := store.CheckLogin(ctx, missing); !errors.Is(err, store.ErrNoDatabase) {
				t.Errorf("a database that is not there: got %v, want ErrNoDatabase", err)
			}
			// Doing it again changes nothing and fails nowhere.
			if err := cluster.EnsureDatabase(ctx, "velo-one"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRuntimeRoleMayWhatWorkersDoAndNoMore(t *testing.T) {
	ctx := t.Context()
	cluster, err := store.OpenCluster(ctx, storetest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	owner, runtimeURL := provision(t, cluster, "velo-grants")
	if err := owner.EnsureEventPartitions(ctx, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	runtime, err := store.Open(ctx, runtimeURL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runtime.Close)
	tests := map[string]struct {
		reason  string
		sql     string
		allowed bool
	}{
		"reads its tenant":         {"servers show who they serve", "select from tenant", true},
		"takes an event":           {"into the partitioned table", "insert into event (name, occurred_at, identifier_id, source) values ('e', '2026-11-21', 1, 's')", true},
		"stages an import":         {"rows travel through temporary tables", "create temporary table stage (a text)", true},
		"numbers contacts":         {"imports draw ids in blocks", "select nextval('contact_id_seq')", true},
		"reports a membership":     {"the columns in which it reports", "update segment set members = 1, built_digest = 'x'", true},
		"notes a status change":    {"twice is once", "insert into status_change values ('Segment', 'x') on conflict (kind, name) do update set name = excluded.name", true},
		"defines a segment":        {"what runs is what the operator compiled", "update segment set predicate = 'true'", false},
		"deletes from the ledger":  {"its keys outlive everything", "delete from ledger", false},
		"writes a partition":       {"only through its parent", "insert into event_2026_11 (id, name, occurred_at, identifier_id, source) values (1, 'e', '2026-11-21', 1, 's')", false},
		"raises a token's scopes":  {"tokens are made and revoked, never changed", "update api_token set scopes = '{admin}'", false},
		"adds a table":             {"it owns nothing", "create table mine (a text)", false},
		"changes its tenant":       {"only the operator claims", "update tenant set id = 'x'", false},
		"changes a column's type":  {"it owns nothing", "alter table contact add column x text", false},
		"empties the status queue": {"the operator takes, tests do too", "delete from status_change", true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := runtime.Pool.Exec(t.Context(), tc.sql)
			if (err == nil) != tc.allowed {
				t.Errorf("%s: got %v, want allowed = %v (%s)", tc.sql, err, tc.allowed, tc.reason)
			}
		})
	}
}

func TestEveryTableHasADecisionAboutItsAccess(t *testing.T) {
	db := storetest.New(t)
	rows, err := db.Pool.Query(t.Context(), `select relname from pg_class
		where relnamespace = 'tertulia'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition order by relname`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if !store.HasRuntimeAccess(table) {
			t.Errorf("table %s: say in runtimeAccess what workers and servers may do with it", table)
		}
	}
}

func TestGrantsMendThemselvesAndThenRest(t *testing.T) {
	ctx := t.Context()
	cluster, err := store.OpenCluster(ctx, storetest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	owner, _ := provision(t, cluster, "velo-mend")
	role := store.RuntimeRole("velo-mend")
	for _, statement := range []string{
		"grant delete on ledger to " + role, "grant update (predicate) on segment to " + role, "revoke insert on contact from " + role,
	} {
		if _, err := owner.Pool.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := owner.EnsureGrants(ctx, role); err != nil {
		t.Fatal(err)
	}
	var tooMuch, enough bool
	err = owner.Pool.QueryRow(ctx, `select has_table_privilege($1, 'ledger', 'delete') or has_column_privilege($1, 'segment', 'predicate', 'update'),
		has_table_privilege($1, 'contact', 'insert')`, role).Scan(&tooMuch, &enough)
	if err != nil {
		t.Fatal(err)
	}
	if tooMuch || !enough {
		t.Errorf("rights were not mended: too much = %v, enough = %v", tooMuch, enough)
	}
	version := func() (xmin string) {
		t.Helper()
		if err := owner.Pool.QueryRow(ctx, "select string_agg(xmin::text, ',' order by oid) from pg_class where relnamespace = 'tertulia'::regnamespace").Scan(&xmin); err != nil {
			t.Fatal(err)
		}
		return xmin
	}
	before := version()
	if err := owner.EnsureGrants(ctx, role); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, version()); diff != "" {
		t.Errorf("granting what is granted wrote:\n%s", diff)
	}
}

func TestEventPartitions(t *testing.T) {
	ctx := t.Context()
	db := storetest.New(t)
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	// An event of this month came before its partition did, and one of long ago never gets one.
	if _, err := db.Pool.Exec(ctx, `insert into event (name, occurred_at, identifier_id, properties, source)
		values ('purchase', '2026-11-20', 7, '{"amount": 5}', 'shop'), ('purchase', '2019-01-01', 7, '{}', 'shop')`); err != nil {
		t.Fatal(err)
	}
	partitions := func() map[string]int64 {
		t.Helper()
		rows, err := db.Pool.Query(ctx, `select i.inhrelid::regclass::text, (select count(*) from event e where e.tableoid = i.inhrelid)
			from pg_inherits i where i.inhparent = 'event'::regclass`)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]int64{}
		var name string
		var n int64
		if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { found[name] = n; return nil }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if err := db.EnsureEventPartitions(ctx, now); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{
		"event_default": 1, "event_2026_10": 0, "event_2026_11": 1, "event_2026_12": 0, "event_2027_01": 0, "event_2027_02": 0,
	}
	if diff := cmp.Diff(want, partitions()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := db.EnsureEventPartitions(ctx, now.AddDate(0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	want["event_2027_03"] = 0
	if diff := cmp.Diff(want, partitions()); diff != "" {
		t.Errorf("a month later: -want +got:\n%s", diff)
	}
	if _, err := db.Pool.Exec(ctx, "insert into event (name, occurred_at, identifier_id, source) values ('visit', '2027-01-31 23:59:59.999999+00', 7, 'site')"); err != nil {
		t.Errorf("an event into a partition: %v", err)
	}
}

func TestTenantsClaim(t *testing.T) {
	ctx := t.Context()
	db := storetest.New(t)
	velo := store.Tenant{
		ID: "velo", Namespace: "velo", DisplayName: "Velo", TimeZone: "Europe/Madrid", Locales: []string{"es"}, PublicURL: "https://velo.example",
		TrackingRetention: 90 * 24 * time.Hour,
	}
	if claimed, err := db.CheckClaim(ctx, velo.ID, velo.Namespace); err != nil || claimed {
		t.Fatalf("before the claim: got %v, %v", claimed, err)
	}
	for _, want := range []bool{true, false} {
		changed, err := db.SaveTenant(ctx, velo)
		if err != nil || changed != want {
			t.Fatalf("save: got %v, %v, want changed = %v", changed, err, want)
		}
	}
	tests := map[string]struct{ reason, id, namespace string }{
		"another id":        {"the wrong Secret was named", "other", "velo"},
		"another namespace": {"a name was recycled", "velo", "other"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			stranger := velo
			stranger.ID, stranger.Namespace = tc.id, tc.namespace
			_, saved := db.SaveTenant(ctx, stranger)
			_, checked := db.CheckClaim(ctx, tc.id, tc.namespace)
			for _, err := range []error{saved, checked} {
				var foreign *store.ErrForeignDatabase
				if !errors.As(err, &foreign) {
					t.Fatalf("got %v, want ErrForeignDatabase (%s)", err, tc.reason)
				}
				want := &store.ErrForeignDatabase{WantID: tc.id, WantNamespace: tc.namespace, ID: "velo", Namespace: "velo"}
				if diff := cmp.Diff(want, foreign); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
	got, err := db.LoadTenant(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(velo, got); diff != "" {
		t.Errorf("a stranger changed the tenant: -want +got:\n%s", diff)
	}
}

func TestAdminToken(t *testing.T) {
	ctx := t.Context()
	db := storetest.New(t)
	first, second := make([]byte, 32), append(make([]byte, 31), 1)
	for i, step := range []struct {
		hash []byte
		want bool
	}{{first, true}, {first, false}, {second, true}, {first, true}} {
		changed, err := db.EnsureAdminToken(ctx, step.hash)
		if err != nil || changed != step.want {
			t.Fatalf("step %d: got %v, %v, want changed = %v", i, changed, err, step.want)
		}
		var valid [][]byte
		rows, err := db.Pool.Query(ctx, "select hash from api_token where revoked_at is null")
		if err != nil {
			t.Fatal(err)
		}
		if valid, err = pgx.CollectRows(rows, pgx.RowTo[[]byte]); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]byte{step.hash}, valid); diff != "" {
			t.Errorf("step %d: -want +got:\n%s", i, diff)
		}
	}
}
