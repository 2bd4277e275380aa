package handover

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// Fetch reads a Secret past the cache, which holds only metadata, and returns nil where there is none.
func (k *Keeper) Fetch(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := k.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %q: %w", name, err)
	}
	return secret, nil
}

// Save makes a Secret of the operator's own hold exactly this, writes it only when it does not, and returns it. present is
// what was fetched of it. A Secret of the same name that somebody else made is not ours to overwrite.
func (k *Keeper) Save(ctx context.Context, owner *v1alpha1.CRMTenant, present *corev1.Secret, name string, values map[string]string) (*corev1.Secret, error) {
	data := make(map[string][]byte, len(values))
	for key, value := range values {
		data[key] = []byte(value)
	}
	if present == nil {
		return k.create(ctx, owner, name, data)
	}
	if !metav1.IsControlledBy(present, owner) {
		return nil, reconciling.Wait(v1alpha1.SecretNotOursReason,
			"Secret %q belongs to somebody else: delete or rename it, so that the operator can make its own.", name)
	}
	return k.update(ctx, present, data)
}

// update writes a Secret that was read, where it differs. It is refused when somebody else has written it since.
func (k *Keeper) update(ctx context.Context, present *corev1.Secret, data map[string][]byte) (*corev1.Secret, error) {
	if maps.EqualFunc(present.Data, data, func(a, b []byte) bool { return string(a) == string(b) }) {
		return present, nil
	}
	updated := present.DeepCopy()
	updated.Data = data
	if err := k.Client.Update(ctx, updated, client.DisableReadYourWritesConsistency); err != nil {
		return nil, overtaken(fmt.Errorf("write Secret %q: %w", present.Name, err))
	}
	return updated, nil
}

func (k *Keeper) create(ctx context.Context, owner *v1alpha1.CRMTenant, name string, data map[string][]byte) (*corev1.Secret, error) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: name, Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.OperatorName}},
		Data:       data,
	}
	if err := controllerutil.SetControllerReference(owner, secret, k.Client.Scheme()); err != nil {
		return nil, fmt.Errorf("make Secret %q the tenant's: %w", name, err)
	}
	if err := k.Client.Create(ctx, secret, client.DisableReadYourWritesConsistency); err != nil {
		return nil, overtaken(fmt.Errorf("create Secret %q: %w", name, err))
	}
	return secret, nil
}

// overtaken marks an error that says no more than that somebody deleted, made or wrote the Secret first.
func overtaken(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return &reconciling.Interrupted{Reason: v1alpha1.ProgressingReason, Message: "The operator tries again.", Err: err, Silent: true}
	}
	return err
}
