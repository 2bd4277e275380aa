package tenancy

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// Release puts the rows of a deleted object to sleep and lets the object go. Three cases need no SQL: a terminating
// namespace, which must be able to end without its database; a namespace without a CRMTenant, whose deletion has put
// everything to sleep already; and a database that was refused because it is another tenant's.
func (r *Registry) Release(ctx context.Context, pass *reconciling.Pass, namespace string, sleep func(context.Context, Tenant) error) error {
	terminating, err := r.Terminating(ctx, namespace)
	if err != nil {
		return err
	}
	if terminating {
		return pass.Release(ctx)
	}
	tenant, err := r.Tenant(ctx, namespace)
	var trouble *reconciling.Interrupted
	switch {
	case errors.Is(err, errNoTenant):
		return pass.Release(ctx)
	case errors.As(err, &trouble) && trouble.Reason == v1alpha1.ForeignDatabaseReason:
		return pass.Release(ctx)
	case err != nil:
		return err
	}
	if err := sleep(ctx, tenant); err != nil {
		return err
	}
	return pass.Release(ctx)
}

// Terminating tells whether a namespace is being deleted. It asks the API server and not the cache, which may not know yet.
func (r *Registry) Terminating(ctx context.Context, namespace string) (bool, error) {
	n := &corev1.Namespace{}
	err := r.namespace.Get(ctx, types.NamespacedName{Name: namespace}, n)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read namespace %s: %w", namespace, err)
	}
	return !n.DeletionTimestamp.IsZero(), nil
}
