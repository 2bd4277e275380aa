package controllers_test

import (
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// elsewhere is a PostgreSQL server of one test's own, which the test may stop.
type elsewhere struct {
	*postgres.Server
	options postgres.Options
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{options: postgres.Options{Dir: filepath.Join(t.TempDir(), "data"), Durable: true}}
	e.start(t)
	e.options.Port = e.Port()
	t.Cleanup(func() {
		if e.Server != nil {
			_ = e.Kill()
		}
	})
	return e
}

func (e *elsewhere) start(t *testing.T) {
	t.Helper()
	server, err := postgres.Start(t.Context(), e.options)
	if err != nil {
		t.Fatal(err)
	}
	e.Server = server
}

func (e *elsewhere) kill(t *testing.T) {
	t.Helper()
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	e.Server = nil
}

// database makes a database and its owner, who may do no more than own it unless attributes say so.
func (e *elsewhere) database(t *testing.T, name, attributes string) (ownerURL string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	owner := pgx.Identifier{name}.Sanitize()
	for _, statement := range []string{
		"create role " + owner + " login password 'secret' " + attributes, "create database " + owner + " owner " + owner,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ownerURL, err = store.URLAs(e.URL(name), name, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return ownerURL
}

// newGuest makes a namespace whose tenant brings the database that a Secret names.
func newGuest(t *testing.T, uri string) *home {
	t.Helper()
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t)}
	h.id = "t-" + h.namespace
	tenant := h.tenant()
	tenant.Spec.Database = &v1alpha1.TenantDatabase{SecretRef: v1alpha1.LocalReference{Name: "db"}}
	if uri != "" {
		h.create(&corev1.Secret{ObjectMeta: h.named("db"), StringData: map[string]string{"uri": uri}})
	}
	h.create(tenant)
	return h
}

func (h *home) open(uri string) {
	h.t.Helper()
	db, err := store.Open(h.t.Context(), uri, store.Options{MaxConns: 2})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(db.Close)
	h.db = db
}

func TestBroughtDatabase(t *testing.T) {
	server := newElsewhere(t)
	uri := server.database(t, "brought", "")
	h := newGuest(t, "")
	object := &v1alpha1.CRMTenant{}
	expectParts(t, h.verdict(object, "default", v1alpha1.NotFoundReason("Secret"), "InProgress"), `"db"`)
	secret := &corev1.Secret{ObjectMeta: h.named("db"), StringData: map[string]string{"user": "x"}}
	h.create(secret)
	expectParts(t, h.verdict(object, "default", v1alpha1.SecretKeyMissing, "InProgress"), `"uri"`)
	put := func(uri string) {
		t.Helper()
		edit(h, secret, "db", func(s *corev1.Secret) { s.StringData = map[string]string{"uri": uri} })
	}
	put("db.example:5432 user=secret-user")
	if message := h.verdict(object, "default", v1alpha1.InvalidDatabaseURLReason, "InProgress"); message == "" {
		t.Error("no message")
	} else {
		expectParts(t, message, "postgresql://")
	}
	wrong, err := store.URLAs(uri, "brought", "wrong-secret")
	if err != nil {
		t.Fatal(err)
	}
	put(wrong)
	h.condition(object, "default", v1alpha1.ReadyCondition, "False", v1alpha1.DatabaseRefusedReason)
	put(uri)
	h.current(object, "default")
	// Its owner may not create roles, and a condition says so.
	expectParts(t, h.condition(object, "default", v1alpha1.RuntimeRoleCondition, "False", v1alpha1.OwnerRunsReason), "runtime-uri")
	if object.Status.Database != "brought" {
		t.Errorf("database: %q", object.Status.Database)
	}
	tenant, err := credentials.Read(filepath.Join(h.root, h.id))
	if err != nil || tenant.DatabaseURL != uri {
		t.Errorf("workers do not get the owner's login: %v", err)
	}
}

func TestBroughtDatabaseWithLogins(t *testing.T) {
	server := newElsewhere(t)
	t.Run("made by an owner who may create roles", func(t *testing.T) {
		h := newGuest(t, server.database(t, "creator", "createrole"))
		h.current(&v1alpha1.CRMTenant{}, "default")
		h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.RuntimeRoleCondition, "True", v1alpha1.SeparateReason)
		if err := store.CheckLogin(t.Context(), h.secret("tertulia-runtime")["database-url"]); err != nil {
			t.Errorf("workers cannot log in: %v", err)
		}
	})
	t.Run("brought beside the owner's", func(t *testing.T) {
		uri := server.database(t, "giver", "")
		runtime := server.database(t, "runner", "")
		runtime, err := store.URLAs(uri, "runner", store.PasswordOf(runtime, "runner"))
		if err != nil {
			t.Fatal(err)
		}
		h := newGuest(t, "")
		h.create(&corev1.Secret{ObjectMeta: h.named("db"), StringData: map[string]string{"uri": uri, "runtime-uri": runtime}})
		h.current(&v1alpha1.CRMTenant{}, "default")
		h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.RuntimeRoleCondition, "True", v1alpha1.SeparateReason)
		tenant, err := credentials.Read(filepath.Join(h.root, h.id))
		if err != nil || tenant.DatabaseURL != runtime {
			t.Errorf("workers do not get the login that was brought: %v", err)
		}
	})
	t.Run("brought, and into another database", func(t *testing.T) {
		uri, elsewhere := server.database(t, "right", ""), server.database(t, "astray", "")
		h := newGuest(t, "")
		secret := &corev1.Secret{ObjectMeta: h.named("db"), StringData: map[string]string{"uri": uri, "runtime-uri": elsewhere}}
		h.create(secret)
		expectParts(t, h.verdict(&v1alpha1.CRMTenant{}, "default", v1alpha1.InvalidDatabaseURLReason, "InProgress"), `"runtime-uri"`, `"db"`)
		if _, err := credentials.Read(filepath.Join(h.root, h.id)); err == nil {
			t.Error("workers and servers were told of the other database")
		}
		edit(h, secret, "db", func(s *corev1.Secret) { s.StringData = map[string]string{"runtime-uri": uri} })
		h.current(&v1alpha1.CRMTenant{}, "default")
		// So does the owner's own login, into the database of another tenant.
		if _, err := store.Migrate(t.Context(), elsewhere, store.Options{}); err != nil {
			t.Fatal(err)
		}
		h.open(elsewhere)
		h.sql("insert into tenant (id, namespace) values ('somebody-else', 'somewhere')")
		h.sql("grant usage on schema tertulia to public")
		h.sql("grant select on tenant to public")
		astray, err := store.URLAs(elsewhere, "right", store.PasswordOf(uri, "right"))
		if err != nil {
			t.Fatal(err)
		}
		edit(h, secret, "db", func(s *corev1.Secret) { s.StringData = map[string]string{"runtime-uri": astray} })
		h.verdict(&v1alpha1.CRMTenant{}, "default", v1alpha1.InvalidDatabaseURLReason, "InProgress")
		edit(h, secret, "db", func(s *corev1.Secret) { s.StringData = map[string]string{"runtime-uri": uri} })
		h.current(&v1alpha1.CRMTenant{}, "default")
	})
}

func TestDatabaseGoesAwayAndComesBack(t *testing.T) {
	server := newElsewhere(t)
	uri := server.database(t, "away", "createrole")
	h := newGuest(t, uri)
	tenant, old, fresh := &v1alpha1.CRMTenant{}, &v1alpha1.EventType{}, &v1alpha1.EventType{}
	h.current(tenant, "default")
	h.create(h.event("old"))
	h.current(old, "old")
	version := old.ResourceVersion

	server.kill(t)
	h.condition(tenant, "default", v1alpha1.ReadyCondition, "False", v1alpha1.DatabaseDownReason)
	h.create(h.event("fresh"))
	h.condition(fresh, "fresh", v1alpha1.ReadyCondition, "False", v1alpha1.DatabaseDownReason)
	h.current(old, "old")
	if old.ResourceVersion != version {
		t.Error("an object whose row is in force was written because the database is away")
	}

	server.start(t)
	h.current(tenant, "default")
	h.current(fresh, "fresh")
	h.open(uri)
	becomes(h, int64(2), "select count(*) from event_type where dormant_since is null")
}

func TestDatabaseThatTakesNoWritesIsToldApart(t *testing.T) {
	server := newElsewhere(t)
	h := newGuest(t, server.database(t, "locked", "createrole"))
	tenant, fresh := &v1alpha1.CRMTenant{}, &v1alpha1.EventType{}
	h.current(tenant, "default")
	server.readOnly(t, "locked", "on")
	h.condition(tenant, "default", v1alpha1.ReadyCondition, "False", v1alpha1.DatabaseReadOnlyReason)
	h.create(h.event("fresh"))
	h.condition(fresh, "fresh", v1alpha1.ReadyCondition, "False", v1alpha1.DatabaseReadOnlyReason)
	server.readOnly(t, "locked", "off")
	h.current(tenant, "default")
	h.current(fresh, "fresh")
}

// readOnly sets whether a database takes writes, and ends the sessions that still think otherwise.
func (e *elsewhere) readOnly(t *testing.T, database, setting string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, statement := range []string{
		"alter database " + pgx.Identifier{database}.Sanitize() + " set default_transaction_read_only = " + setting,
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + database + "'",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeletionWaitsForTheDatabase(t *testing.T) {
	server := newElsewhere(t)
	uri := server.database(t, "asleep", "createrole")
	h := newGuest(t, uri)
	h.current(&v1alpha1.CRMTenant{}, "default")
	object := &v1alpha1.EventType{}
	h.create(h.event("purchase"))
	h.current(object, "purchase")
	server.kill(t)
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, "False", v1alpha1.DatabaseDownReason)
	h.delete(&v1alpha1.EventType{}, "purchase")
	// What must be suspended is not let go before it is.
	h.condition(object, "purchase", v1alpha1.ReadyCondition, "False", v1alpha1.DatabaseDownReason)
	server.start(t)
	h.gone(object, "purchase")
	h.open(uri)
	becomes(h, true, "select dormant_since is not null from event_type")
}

// TestDeletionWithoutTheDatabasesSecret lets a tenant go that never had a database, and keeps one that had.
func TestDeletionWithoutTheDatabasesSecret(t *testing.T) {
	tenant := &v1alpha1.CRMTenant{}
	mistyped := newGuest(t, "")
	mistyped.condition(tenant, "default", v1alpha1.ReadyCondition, "False", v1alpha1.NotFoundReason("Secret"))
	mistyped.delete(&v1alpha1.CRMTenant{}, "default")
	mistyped.gone(tenant, "default")

	server := newElsewhere(t)
	uri := server.database(t, "lost", "createrole")
	opened := newGuest(t, uri)
	opened.current(&v1alpha1.CRMTenant{}, "default")
	opened.delete(&corev1.Secret{}, "db")
	opened.condition(tenant, "default", v1alpha1.ReadyCondition, "False", v1alpha1.NotFoundReason("Secret"))
	if err := opened.restartOperator(); err != nil { // so that nobody remembers where the database is
		t.Fatal(err)
	}
	opened.delete(&v1alpha1.CRMTenant{}, "default")
	opened.eventually(func(g gomega.Gomega) {
		message := opened.condition(tenant, "default", v1alpha1.ReadyCondition, "False", v1alpha1.NotFoundReason("Secret"))
		g.Expect(message).To(gomega.ContainSubstring(v1alpha1.Finalizer))
	})
	opened.create(&corev1.Secret{ObjectMeta: opened.named("db"), StringData: map[string]string{"uri": uri}})
	opened.gone(tenant, "default")
	opened.open(uri)
	becomes(opened, true, "select suspended from tenant")
}

func TestNamespaceEndsWithItsDatabaseAway(t *testing.T) {
	server := newElsewhere(t)
	h := newGuest(t, server.database(t, "gone", "createrole"))
	h.current(&v1alpha1.CRMTenant{}, "default")
	h.create(h.event("purchase"), h.channel("news", ""), h.contact(plan), h.segment("all", "true"), h.template("spring", "hola"), h.campaign("spring"))
	h.current(&v1alpha1.EventType{}, "purchase")
	h.current(&v1alpha1.MessageChannel{}, "news")
	h.verdict(&v1alpha1.Campaign{}, "spring", v1alpha1.DependencyNotReady, "InProgress")
	server.kill(t)
	namespace := &corev1.Namespace{}
	if err := h.api.Get(t.Context(), types.NamespacedName{Name: h.namespace}, namespace); err != nil {
		t.Fatal(err)
	}
	if err := h.api.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	h.within(namespacePatience, func(g gomega.Gomega) {
		err := h.api.Get(t.Context(), types.NamespacedName{Name: h.namespace}, namespace)
		g.Expect(apierrors.IsNotFound(err)).To(gomega.BeTrue(), "%v", err)
	})
	if _, err := credentials.Read(filepath.Join(h.root, h.id)); err == nil {
		t.Error("workers and servers still have the tenant")
	}
}
