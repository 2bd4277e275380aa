package socialsource

import (
	"context"
	"errors"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one source into force, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.SocialSource{}, r.enforce, r.sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.SocialSource, tenant tenancy.Tenant) error {
	pass.Count(counts)
	state, err := r.save(ctx, object, tenant)
	if reconciling.IsVerdict(err) {
		return reportBefore(ctx, pass, object, tenant.DB, err)
	}
	if err != nil {
		return err
	}
	report(pass, object, state, planAddress(object, tenant.PublicURL))
	return nil
}

// save puts a source in force as it is declared, with what it logs in with.
func (r *Reconciler) save(ctx context.Context, object *v1alpha1.SocialSource, tenant tenancy.Tenant) (state store.SourceState, err error) {
	row, err := planSource(object)
	if err != nil {
		return state, err
	}
	login, refused, err := r.login(ctx, object)
	if err != nil {
		return state, err
	}
	// What may not be used any more is taken away, whatever else is to be said.
	if err := r.Handover.SaveSource(ctx, object.Namespace, object.Name, login); err != nil {
		return state, fmt.Errorf("hand the source's credentials to the workers: %w", err)
	}
	if refused != nil {
		return state, refused
	}
	if err := r.checkReplyChannel(ctx, object); err != nil {
		return state, err
	}
	_, state, err = tenant.DB.SaveSource(ctx, row)
	return state, err
}

// reportBefore shows how it goes with the source as it was declared before, which is listened to although it is refused as it is
// declared now.
func reportBefore(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.SocialSource, db *store.DB, refused error) error {
	before, err := db.LoadSource(ctx, object.Name)
	switch {
	case errors.Is(err, store.ErrNotFound): // it never was in force, or was deleted meanwhile
		return refused
	case err != nil:
		return err
	}
	reportListening(pass, object, before.SourceState)
	return refused
}

// login is what the source may log in with, and what is amiss with it.
func (r *Reconciler) login(ctx context.Context, object *v1alpha1.SocialSource) (login credentials.Source, refused, err error) {
	wanted := reference(&object.Spec)
	if wanted == nil {
		return nil, nil, nil
	}
	secret, err := r.Handover.Fetch(ctx, object.Namespace, wanted.secret)
	if err != nil {
		return nil, nil, err
	}
	login, refused = planLogin(wanted, secret)
	return login, refused, nil
}

// sleep ends listening and takes the source's credentials away. What is stored stays.
func (r *Reconciler) sleep(ctx context.Context, object *v1alpha1.SocialSource, tenant tenancy.Tenant) error {
	if err := tenant.DB.DormantSource(ctx, object.Name); err != nil {
		return err
	}
	if err := r.Handover.SaveSource(ctx, object.Namespace, object.Name, nil); err != nil {
		return fmt.Errorf("take the source's credentials away: %w", err)
	}
	return nil
}
