package tenancy

import (
	"context"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// Controller is what the controllers of all kinds share whose objects are rows in their tenant's database.
type Controller struct {
	Client  client.Client
	Passes  *reconciling.Recorder
	Tenants *Registry
}

// Watch begins to register a kind's controller. It looks at an object when its author edits it, when the tenant's database comes
// or goes, and when workers report of the object; the caller adds what else it is about, and completes it.
func (c Controller) Watch(mgr ctrl.Manager, kind string, object client.Object, list func() client.ObjectList) *builder.Builder {
	return ctrl.NewControllerManagedBy(mgr).
		Named(strings.ToLower(kind)).
		For(object, builder.WithPredicates(reconciling.Edited())).
		WatchesRawSource(c.Tenants.Source(kind, reconciling.All(mgr.GetCache(), list))).
		WithOptions(reconciling.Options(kind))
}

// Reconcile makes one pass over an object, which is read into object: enforce brings it into force in its tenant's database, or
// says why it cannot. sleep puts the rows of one that is deleted to sleep.
func Reconcile[T v1alpha1.Object](
	ctx context.Context, c Controller, request ctrl.Request, object T,
	enforce func(context.Context, *reconciling.Pass, T, Tenant) error, sleep func(context.Context, T, Tenant) error,
) (result ctrl.Result, err error) {
	if err := c.Client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pass := c.Passes.Begin(object)
	defer func() { result, err = pass.End(ctx, err) }()

	if !object.GetDeletionTimestamp().IsZero() {
		return ctrl.Result{}, c.Tenants.Release(ctx, pass, object.GetNamespace(), func(ctx context.Context, tenant Tenant) error {
			return sleep(ctx, object, tenant)
		})
	}
	tenant, err := c.Tenants.Tenant(ctx, object.GetNamespace())
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := pass.KeepUntilReleased(ctx); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, enforce(ctx, pass, object, tenant)
}
