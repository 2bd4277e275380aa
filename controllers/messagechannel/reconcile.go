package messagechannel

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
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
	login, err := planLogin(object.Spec, secret)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.Credentials.SaveLogin(tenant.ID, object.Name, login); err != nil {
		return ctrl.Result{}, fmt.Errorf("hand the channel's credentials to the workers: %w", err)
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
	if err := r.Credentials.SaveLogin(tenant.ID, object.Name, nil); err != nil {
		return fmt.Errorf("take the channel's credentials away: %w", err)
	}
	return nil
}

// fetchSecret reads the Secret that a channel names past the cache, and returns nil where there is none.
func (r *Reconciler) fetchSecret(ctx context.Context, object *v1alpha1.MessageChannel) (*corev1.Secret, error) {
	names := secretName(object)
	if len(names) == 0 {
		return nil, nil
	}
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: object.Namespace, Name: names[0]}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %q: %w", names[0], err)
	}
	return secret, nil
}
