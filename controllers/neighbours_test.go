package controllers_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestIDOfAnotherNamespaceIsRefused has a namespace take another's id with a database of its own, which no claim in the
// other's database could prevent: the server would answer the other's clients from it, and workers would log in to its
// relays with the other's passwords.
func TestIDOfAnotherNamespaceIsRefused(t *testing.T) {
	first := newHome(t)
	before, err := credentials.Read(filepath.Join(first.root, first.id))
	if err != nil {
		t.Fatal(err)
	}
	second := &home{world: first.world, t: t, namespace: controlplanetest.Namespace(t), id: first.id}
	database := "brought_" + strings.ReplaceAll(second.namespace, "-", "_")
	admin, err := store.Open(t.Context(), first.server.URL("postgres"), store.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Pool.Exec(t.Context(), "create database "+database); err != nil {
		t.Fatal(err)
	}
	tenant := second.tenant()
	tenant.Spec.Database = &v1alpha1.TenantDatabase{SecretRef: v1alpha1.LocalReference{Name: "db"}}
	second.create(&corev1.Secret{ObjectMeta: second.named("db"), StringData: map[string]string{"uri": first.server.URL(database)}}, tenant)
	message := second.verdict(&v1alpha1.CRMTenant{}, "default", v1alpha1.IDTakenReason, "Failed")
	if !strings.Contains(message, first.namespace) || !strings.Contains(message, "another id") {
		t.Errorf("the message does not say whose the id is and what to do: %s", message)
	}

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: second.namespace}}
	if err := first.api.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	second.within(namespacePatience, func(g gomega.Gomega) {
		err := first.api.Get(t.Context(), types.NamespacedName{Name: second.namespace}, namespace)
		g.Expect(apierrors.IsNotFound(err)).To(gomega.BeTrue(), "%v", err)
	})
	after, err := credentials.Read(filepath.Join(first.root, first.id))
	if err != nil {
		t.Fatalf("the end of the stranger's namespace took the tenant away: %v", err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the stranger changed what workers and servers know of the tenant: -before +after:\n%s", diff)
	}
}

// TestHostOfAnotherTenantIsRefused has two tenants at one host: the links in one's mails would lead to the other.
func TestHostOfAnotherTenantIsRefused(t *testing.T) {
	first := newHome(t)
	second := &home{world: first.world, t: t, namespace: controlplanetest.Namespace(t)}
	second.id = "t-" + second.namespace
	tenant := second.tenant()
	tenant.Spec.PublicURL = "https://" + strings.ToUpper(strings.TrimPrefix(first.publicURL(), "https://"))
	second.create(tenant)
	message := second.verdict(&v1alpha1.CRMTenant{}, "default", v1alpha1.PublicURLTakenReason, "Failed")
	if !strings.Contains(message, "spec.publicURL") {
		t.Errorf("the message does not name the field: %s", message)
	}
	first.current(&v1alpha1.CRMTenant{}, "default")
	edit(second, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.PublicURL = second.publicURL() })
	second.current(&v1alpha1.CRMTenant{}, "default")
}
