package messagechannel

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconcile brings one channel into force, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	object := &v1alpha1.MessageChannel{}
	if err := r.Client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pass := r.Passes.Begin(object)
	defer func() { result, err = pass.End(ctx, err) }()

	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.Tenants.Release(ctx, pass, object.Namespace, func(ctx context.Context, tenant tenancy.Tenant) error {
			return r.sleep(ctx, object, tenant)
		})
	}
	tenant, err := r.Tenants.Tenant(ctx, object.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := pass.KeepUntilReleased(ctx); err != nil {
		return ctrl.Result{}, err
	}
	row, err := planChannel(object)
	if err != nil {
		return ctrl.Result{}, err
	}
	secret, err := r.fetchSecret(ctx, object)
	if err != nil {
		return ctrl.Result{}, err
	}
	login, refused := planLogin(object.Spec, secret)
	// What may not be used any more is taken away, whatever else is to be said.
	if err := r.Handover.SaveLogin(ctx, object.Namespace, object.Name, login); err != nil {
		return ctrl.Result{}, fmt.Errorf("hand the channel's credentials to the workers: %w", err)
	}
	if refused != nil {
		return ctrl.Result{}, refused
	}
	_, state, err := tenant.DB.SaveChannel(ctx, row)
	if err != nil {
		return ctrl.Result{}, err
	}
	report(pass, object, state)
	return ctrl.Result{}, nil
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

// fetchSecret reads the Secret that a channel names, and returns nil where there is none.
func (r *Reconciler) fetchSecret(ctx context.Context, object *v1alpha1.MessageChannel) (*corev1.Secret, error) {
	names := secretName(object)
	if len(names) == 0 {
		return nil, nil
	}
	return r.Handover.Fetch(ctx, object.Namespace, names[0])
}
