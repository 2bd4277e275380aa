package recordtype

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings the columns of one record to where its object says, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.RecordType{}, enforce, undeclare)
}

func enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.RecordType, tenant tenancy.Tenant) error {
	if object.Spec.Suspend {
		pass.InForce("The columns stay as they are while spec.suspend is true.")
		return nil
	}
	attributes, err := planAttributes(object.Spec)
	if err != nil {
		return err
	}
	patient, cancel := reconciling.Patiently(ctx)
	defer cancel()
	columns, _, err := tenant.DB.EnsureAttributesOf(patient, store.RecordType(object.Name), attributes)
	if err != nil {
		return explain(err)
	}
	if _, err := tenant.DB.SaveSources(patient, object.Name, object.Spec.Sources); err != nil {
		return err
	}
	report(pass, object, columns)
	return nil
}

// undeclare takes the attributes out of the schema of expressions and imports. Their columns stay.
func undeclare(ctx context.Context, object *v1alpha1.RecordType, tenant tenancy.Tenant) error {
	patient, cancel := reconciling.Patiently(ctx)
	defer cancel()
	if _, err := tenant.DB.SaveSources(patient, object.Name, nil); err != nil {
		return err
	}
	_, _, err := tenant.DB.EnsureAttributesOf(patient, store.RecordType(object.Name), nil)
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
