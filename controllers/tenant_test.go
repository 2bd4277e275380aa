package controllers_test

import (
	"context"
	"crypto/sha256"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func (h *home) secret(name string) map[string]string {
	h.t.Helper()
	secret := &corev1.Secret{}
	if err := h.api.Get(h.t.Context(), h.key(name), secret); err != nil {
		h.t.Fatal(err)
	}
	values := map[string]string{}
	for key, value := range secret.Data {
		values[key] = string(value)
	}
	return values
}

func TestTenantGetsADatabaseAndCredentials(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.CRMTenant{}
	h.current(object, "default")
	if object.Status.Database == "" || object.Status.SchemaVersion < 1 {
		t.Errorf("status lacks the database or its version: %+v", object.Status)
	}
	h.condition(object, "default", v1alpha1.RuntimeRoleCondition, "True", v1alpha1.SeparateReason)

	row, err := h.db.LoadTenant(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := store.Tenant{
		ID: h.id, Namespace: h.namespace, DisplayName: "Velo", TimeZone: "Europe/Madrid", Locales: []string{"es", "en"}, PublicURL: h.publicURL(),
		TrackingRetention: 365 * 24 * time.Hour,
	}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("the claim: -want +got:\n%s", diff)
	}

	admin := h.secret("tertulia-admin")
	if want := "http://127.0.0.1:8080/t/" + h.id; admin["server"] != want {
		t.Errorf("server: got %q, want %q", admin["server"], want)
	}
	hash := sha256.Sum256([]byte(admin["token"]))
	if !ask[bool](h, "select exists(select from api_token where hash = $1 and scopes = '{admin}' and revoked_at is null)", hash[:]) {
		t.Error("the token of the Secret is not valid")
	}
	tenant, err := credentials.Read(filepath.Join(h.root, h.id))
	if err != nil {
		t.Fatal(err)
	}
	if tenant.DatabaseURL != h.secret("tertulia-runtime")["database-url"] {
		t.Error("the directory and the Secret name different logins")
	}
	if err := store.CheckLogin(t.Context(), tenant.DatabaseURL); err != nil {
		t.Errorf("workers cannot log in: %v", err)
	}
}

func TestLostSecretsAreMadeAnew(t *testing.T) {
	h := newHome(t)
	for _, name := range []string{"tertulia-runtime", "tertulia-admin"} {
		lost := &corev1.Secret{}
		if err := h.api.Get(t.Context(), h.key(name), lost); err != nil {
			t.Fatal(err)
		}
		h.delete(&corev1.Secret{}, name)
		h.eventually(func(g gomega.Gomega) {
			made := &corev1.Secret{}
			g.Expect(h.api.Get(t.Context(), h.key(name), made)).To(gomega.Succeed())
			g.Expect(made.UID).NotTo(gomega.Equal(lost.UID))
		})
	}
	h.eventually(func(g gomega.Gomega) {
		tenant, err := credentials.Read(filepath.Join(h.root, h.id))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(tenant.DatabaseURL).To(gomega.Equal(h.secret("tertulia-runtime")["database-url"]))
		g.Expect(store.CheckLogin(context.Background(), tenant.DatabaseURL)).To(gomega.Succeed())
	})
	hash := sha256.Sum256([]byte(h.secret("tertulia-admin")["token"]))
	becomes(h, true, "select array_agg(hash) = array[$1::bytea] from api_token where revoked_at is null", hash[:])
	h.current(&v1alpha1.CRMTenant{}, "default")
}

func TestSecretOfSomebodyElseIsNotOverwritten(t *testing.T) {
	w := inWorld(t)
	h := &home{world: w, t: t, namespace: controlplanetest.Namespace(t)}
	h.id = "t-" + h.namespace
	h.create(&corev1.Secret{ObjectMeta: h.named("tertulia-admin"), StringData: map[string]string{"mine": "yes"}}, h.tenant())
	message := h.verdict(&v1alpha1.CRMTenant{}, "default", v1alpha1.SecretNotOursReason, "InProgress")
	if !strings.Contains(message, "tertulia-admin") {
		t.Errorf("the message does not name the Secret: %s", message)
	}
	if diff := cmp.Diff(map[string]string{"mine": "yes"}, h.secret("tertulia-admin")); diff != "" {
		t.Errorf("the Secret was changed: -want +got:\n%s", diff)
	}
	h.delete(&corev1.Secret{}, "tertulia-admin")
	h.current(&v1alpha1.CRMTenant{}, "default")
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	first := newHome(t)
	database, err := store.DatabaseName(first.cluster.TenantURL(first.id))
	if err != nil {
		t.Fatal(err)
	}
	second := &home{world: first.world, t: t, namespace: controlplanetest.Namespace(t)}
	second.id = "t-" + second.namespace
	tenant := second.tenant()
	tenant.Spec.Database = &v1alpha1.TenantDatabase{SecretRef: v1alpha1.LocalReference{Name: "db"}}
	second.create(&corev1.Secret{ObjectMeta: second.named("db"), StringData: map[string]string{"uri": first.server.URL(database)}})
	second.create(tenant, second.event("purchase"))
	object := &v1alpha1.CRMTenant{}
	message := second.verdict(object, "default", v1alpha1.ForeignDatabaseReason, "Failed")
	if !strings.Contains(message, first.id) || !strings.Contains(message, first.namespace) {
		t.Errorf("the message does not say whose it is: %s", message)
	}
	second.verdict(&v1alpha1.EventType{}, "purchase", v1alpha1.ForeignDatabaseReason, "InProgress")
	second.eventually(func(g gomega.Gomega) {
		g.Expect(second.eventNotes("default", v1alpha1.ForeignDatabaseReason)).To(gomega.HaveLen(1))
	})
	owner, err := first.db.LoadTenant(t.Context())
	if err != nil || owner.Namespace != first.namespace || ask[int64](first, "select count(*) from event_type") != 0 {
		t.Errorf("the stranger left traces: %+v, %v", owner, err)
	}
	if err := store.CheckLogin(t.Context(), first.secret("tertulia-runtime")["database-url"]); err != nil {
		t.Errorf("the stranger locked the first tenant's workers out: %v", err)
	}
	// What was refused can be deleted, though its database is not its own.
	second.delete(&v1alpha1.EventType{}, "purchase")
	second.gone(&v1alpha1.EventType{}, "purchase")
	second.delete(&v1alpha1.CRMTenant{}, "default")
	second.gone(&v1alpha1.CRMTenant{}, "default")
	first.current(&v1alpha1.CRMTenant{}, "default")
	if ask[bool](first, "select suspended from tenant") {
		t.Error("deleting the stranger suspended the first tenant")
	}
}

func TestTenantWithInvalidTimeZoneIsStalled(t *testing.T) {
	h := newHome(t)
	edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.TimeZone = "Europe/Madriz" })
	message := h.verdict(&v1alpha1.CRMTenant{}, "default", v1alpha1.InvalidSpecReason, "Failed")
	if !strings.Contains(message, "Europe/Madriz") {
		t.Errorf("the message does not name the zone: %s", message)
	}
	edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.TimeZone = "Europe/Lisbon" })
	h.current(&v1alpha1.CRMTenant{}, "default")
	becomes(h, "Europe/Lisbon", "select time_zone from tenant")
}

func TestSuspendedTenantIsInForce(t *testing.T) {
	h := newHome(t)
	edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.Suspend = true })
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	h.current(&v1alpha1.CRMTenant{}, "default")
	becomes(h, true, "select suspended from tenant")
}

func TestDeletedTenantSleepsAndWakes(t *testing.T) {
	h := newHome(t)
	h.create(h.event("purchase"))
	h.current(&v1alpha1.EventType{}, "purchase")
	h.delete(&v1alpha1.CRMTenant{}, "default")
	h.gone(&v1alpha1.CRMTenant{}, "default")
	h.verdict(&v1alpha1.EventType{}, "purchase", v1alpha1.NotFoundReason("CRMTenant"), "InProgress")
	if !ask[bool](h, "select suspended from tenant") || !ask[bool](h, "select dormant_since is not null from event_type") {
		t.Error("the tenant's work goes on after its deletion")
	}
	if _, err := credentials.Read(filepath.Join(h.root, h.id)); err != nil {
		t.Errorf("who unsubscribes is no longer heard: %v", err)
	}
	h.create(h.tenant())
	h.current(&v1alpha1.CRMTenant{}, "default")
	h.current(&v1alpha1.EventType{}, "purchase")
	if ask[bool](h, "select suspended from tenant") || ask[bool](h, "select dormant_since is not null from event_type") {
		t.Error("the tenant sleeps though it is back")
	}
}
