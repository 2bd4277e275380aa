package eventtype

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconcile brings one event type into force, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	object := &v1alpha1.EventType{}
	if err := r.Client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pass := r.Passes.Begin(object)
	defer func() { result, err = pass.End(ctx, err) }()

	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.Tenants.Release(ctx, pass, object.Namespace, func(ctx context.Context, tenant tenancy.Tenant) error {
			return tenant.DB.DormantEventType(ctx, object.Name)
		})
	}
	tenant, err := r.Tenants.Tenant(ctx, object.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := pass.KeepUntilReleased(ctx); err != nil {
		return ctrl.Result{}, err
	}
	row, err := planEventType(object)
	if err != nil {
		return ctrl.Result{}, err
	}
	if _, err := tenant.DB.SaveEventType(ctx, row); err != nil {
		return ctrl.Result{}, err
	}
	report(pass, object)
	return ctrl.Result{}, nil
}
