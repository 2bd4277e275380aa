package eventtype

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconcile brings one event type into force, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.EventType{}, enforce, sleep)
}

func enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.EventType, tenant tenancy.Tenant) error {
	row, err := planEventType(object)
	if err != nil {
		return err
	}
	if _, err := tenant.DB.SaveEventType(ctx, row); err != nil {
		return err
	}
	report(pass, object)
	return nil
}

func sleep(ctx context.Context, object *v1alpha1.EventType, tenant tenancy.Tenant) error {
	return tenant.DB.DormantEventType(ctx, object.Name)
}
