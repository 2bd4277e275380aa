package messagechannel

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one channel into force, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.MessageChannel{}, r.enforce, r.sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.MessageChannel, tenant tenancy.Tenant) error {
	row, err := r.plan(ctx, object)
	if reconciling.IsVerdict(err) {
		return reportBefore(ctx, pass, object, tenant.DB, err)
	}
	if err != nil {
		return err
	}
	_, state, err := tenant.DB.SaveChannel(ctx, row)
	if err != nil {
		return err
	}
	report(pass, object, state)
	return nil
}

// plan is what a channel puts in force. Workers get what it logs in with.
func (r *Reconciler) plan(ctx context.Context, object *v1alpha1.MessageChannel) (store.Channel, error) {
	row, err := planChannel(object)
	if err != nil {
		return row, err
	}
	secrets, err := r.fetchSecrets(ctx, object)
	if err != nil {
		return row, err
	}
	login, refused := planCredentials(references(object.Spec), secrets)
	// What may not be used any more is taken away, whatever else is to be said.
	if err := r.Handover.SaveLogin(ctx, object.Namespace, object.Name, login); err != nil {
		return row, fmt.Errorf("hand the channel's credentials to the workers: %w", err)
	}
	return row, refused
}

// reportBefore shows how it goes with the channel as it was declared before, over which is sent although it is refused as it is
// declared now.
func reportBefore(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.MessageChannel, db *store.DB, refused error) error {
	before, err := db.LoadChannelState(ctx, object.Name)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !before.InForce: // it never was, or was deleted meanwhile
		return refused
	case err != nil:
		return err
	}
	reportDelivery(pass, object, before)
	return refused
}

// sleep stops what is sent over a channel and takes its credentials away.
func (r *Reconciler) sleep(ctx context.Context, object *v1alpha1.MessageChannel, tenant tenancy.Tenant) error {
	if err := tenant.DB.DormantChannel(ctx, object.Name); err != nil {
		return err
	}
	if err := r.Handover.SaveLogin(ctx, object.Namespace, object.Name, nil); err != nil {
		return fmt.Errorf("take the channel's credentials away: %w", err)
	}
	return nil
}

// fetchSecrets reads the Secrets that a channel names. One that is not there is absent.
func (r *Reconciler) fetchSecrets(ctx context.Context, object *v1alpha1.MessageChannel) (map[string]*corev1.Secret, error) {
	secrets := map[string]*corev1.Secret{}
	for _, name := range secretNames(object) {
		secret, err := r.Handover.Fetch(ctx, object.Namespace, name)
		if err != nil {
			return nil, err
		}
		if secret != nil {
			secrets[name] = secret
		}
	}
	return secrets, nil
}
