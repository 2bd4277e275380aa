package crmtenant

import (
	"context"
	"errors"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// release lets a deleted tenant go. Its work is suspended, and nothing of its people is touched: servers still honour
// who unsubscribes. When the whole namespace ends, workers and servers lose the tenant without a statement, because
// a namespace must be able to end without its database. So does a tenant that never had one and names none that could be asked.
func (r *Reconciler) release(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant) error {
	terminating, err := r.Tenants.Terminating(ctx, object.Namespace)
	if err != nil {
		return err
	}
	// From here on no other controller can wake what goes to sleep.
	place, known := r.Tenants.Close(ctx, object.Namespace)
	if !terminating && !known {
		place, err = r.findPlace(ctx, object)
	}
	switch {
	case terminating, reconciling.IsVerdict(err) && neverOpened(object):
		err = r.Handover.Withdraw(object.Spec.ID, object.Namespace)
	case err == nil:
		err = sleep(ctx, object, place)
	}
	if err != nil {
		return cannotSuspend(err)
	}
	r.forget(object.Namespace)
	return pass.Release(ctx)
}

// neverOpened tells that no pass has come as far as migrating a database of this tenant's.
func neverOpened(object *v1alpha1.CRMTenant) bool {
	return object.Status.Database == "" && object.Status.SchemaVersion == 0
}

// forget ends what is remembered of a tenant that goes.
func (r *Reconciler) forget(namespace string) {
	r.Handover.Forget(namespace)
	r.claims.forget(namespace)
}

func (r *Reconciler) findPlace(ctx context.Context, object *v1alpha1.CRMTenant) (tenancy.Place, error) {
	found, err := r.gather(ctx, object)
	if err != nil {
		return tenancy.Place{}, err
	}
	return planPlace(object.Spec, found)
}

// cannotSuspend adds to what keeps us from the database how to delete the tenant all the same.
func cannotSuspend(err error) error {
	var waiting *reconciling.Waiting
	var stalled *reconciling.Stalled
	reason, message := "", ""
	switch {
	case errors.As(err, &waiting):
		reason, message = waiting.Reason, waiting.Message
	case errors.As(err, &stalled):
		reason, message = stalled.Reason, stalled.Message
	default:
		return err
	}
	return reconciling.Wait(reason, "%s The tenant's work cannot be suspended without its database; "+
		"to delete the tenant all the same, remove its finalizer %s.", message, v1alpha1.Finalizer)
}

// sleep puts everything of the tenant to sleep, if the database is there and this tenant's.
func sleep(ctx context.Context, object *v1alpha1.CRMTenant, place tenancy.Place) error {
	db, err := store.Open(ctx, place.URL, store.Options{
		Role: place.Role, MaxConns: 1, ApplicationName: "tertulia-operator", MaxAnswer: tenancy.MaxAnswer,
	})
	if err != nil {
		return err
	}
	defer db.Close()
	claimed, err := db.CheckClaim(ctx, object.Spec.ID, object.Namespace)
	var foreign *store.ErrForeignDatabase
	if errors.As(err, &foreign) || errors.Is(err, store.ErrNoDatabase) || err == nil && !claimed {
		return nil // it was never ours
	}
	if err != nil {
		return err
	}
	return db.DormantTenant(ctx)
}
