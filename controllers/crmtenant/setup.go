// Package crmtenant gives a namespace its tenant: a database of its own, migrated and claimed, the credentials of its
// workers and servers, and the token of its administrator.
package crmtenant

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconciler reconciles CRMTenants.
type Reconciler struct {
	Client  client.Client
	Passes  *reconciling.Recorder
	Tenants *tenancy.Registry
	// Cluster is where tenants that bring no database get one; nil where there is none.
	Cluster *store.Cluster
	// Stored reads past the cache: CRMTenants, and objects that the cache leaves out.
	Stored client.Reader
	// MarkInterval is how often ledgers' marks are looked at; 0 means ten seconds.
	MarkInterval time.Duration
	// Handover takes to workers and servers what they need.
	Handover *handover.Keeper
	// ServerURL is where clients of this cluster reach the server, without a slash at its end; "" means each tenant's
	// public URL.
	ServerURL string
	// Workloads say how tenants' workers and servers run; nil where somebody else runs them.
	Workloads *Workloads
	Clock     func() time.Time

	claims claims
}

const databaseSecretIndex = "spec.database.secretRef.name"

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=crmtenants,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=crmtenants/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=crmtenants/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;update
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller. It looks at a CRMTenant when its author edits it, when a Secret that it
// names or that we made for it changes, and when its database goes away or comes back.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.CRMTenant{}, databaseSecretIndex, databaseSecret); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.CRMTenant{}, sentimentSecretIndex, sentimentSecret); err != nil {
		return err
	}
	if err := r.setupMarks(mgr); err != nil {
		return err
	}
	list := func() client.ObjectList { return &v1alpha1.CRMTenantList{} }
	ofOurs := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request { return tenantOf(o) })
	b := ctrl.NewControllerManagedBy(mgr).
		Named("crmtenant").
		For(&v1alpha1.CRMTenant{}, builder.WithPredicates(reconciling.Edited())).
		WatchesMetadata(&corev1.Secret{}, ofOurs).
		WatchesMetadata(&corev1.Secret{}, reconciling.Referrers(mgr.GetCache(), list, databaseSecretIndex)).
		WatchesMetadata(&corev1.Secret{}, reconciling.Referrers(mgr.GetCache(), list, sentimentSecretIndex)).
		WatchesRawSource(r.Tenants.Source("CRMTenant", nil)).
		WithOptions(reconciling.Options("CRMTenant"))
	if r.Workloads != nil {
		watchWorkloads(b)
	}
	return b.Complete(reconciling.Observed("CRMTenant", r))
}

// tenantOf finds the tenant for whom a Secret is made, by its name: one that somebody else made in its place matters too.
func tenantOf(secret client.Object) []reconcile.Request {
	if secret.GetName() != adminSecret && secret.GetName() != handover.SecretName {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: secret.GetNamespace(), Name: v1alpha1.TenantName}}}
}

func databaseSecret(o client.Object) []string {
	if database := o.(*v1alpha1.CRMTenant).Spec.Database; database != nil {
		return []string{database.SecretRef.Name}
	}
	return nil
}
