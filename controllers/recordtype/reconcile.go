package recordtype

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings the columns of one record to where its object says, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	object := &v1alpha1.RecordType{}
	if err := r.Client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pass := r.Passes.Begin(object)
	defer func() { result, err = pass.End(ctx, err) }()

	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.Tenants.Release(ctx, pass, object.Namespace, undeclare)
	}
	tenant, err := r.Tenants.Tenant(ctx, object.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := pass.KeepUntilReleased(ctx); err != nil {
		return ctrl.Result{}, err
	}
	if object.Spec.Suspend {
		pass.InForce("The columns stay as they are while spec.suspend is true.")
		return ctrl.Result{}, nil
	}
	attributes, err := planAttributes(object.Spec)
	if err != nil {
		return ctrl.Result{}, err
	}
	patient, cancel := reconciling.Patiently(ctx)
	defer cancel()
	columns, _, err := tenant.DB.EnsureAttributes(patient, attributes)
	if err != nil {
		return ctrl.Result{}, explain(err)
	}
	report(pass, object, columns)
	return ctrl.Result{}, nil
}

// undeclare takes the attributes out of the schema of expressions and imports. Their columns stay.
func undeclare(ctx context.Context, tenant tenancy.Tenant) error {
	patient, cancel := reconciling.Patiently(ctx)
	defer cancel()
	_, _, err := tenant.DB.EnsureAttributes(patient, nil)
	return err
}

// explain turns a refusal into words for the author: only another edit mends it.
func explain(err error) error {
	var lossy *store.ErrLossyChange
	if errors.As(err, &lossy) {
		return reconciling.Stall(v1alpha1.LossyChangeReason, "Nothing was changed, because data could be lost: %s.", lossy)
	}
	return err
}
