package servicequeue

import (
	"context"
	"errors"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one queue into force, or says why it cannot. What was in force stays so until a new version is sound.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.ServiceQueue{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.ServiceQueue, tenant tenancy.Tenant) error {
	pass.Count(counts)
	refused := r.declare(ctx, object, tenant)
	if refused != nil && !reconciling.IsVerdict(refused) {
		return refused
	}
	if refused != nil && object.Spec.Suspend {
		// Whoever wants it to stop is not to mend it first.
		if err := tenant.DB.SuspendQueue(ctx, object.Name); err != nil {
			return err
		}
	}
	state, err := tenant.DB.LoadQueueState(ctx, object.Name)
	if errors.Is(err, store.ErrNotFound) {
		return refused // nothing of that name has ever been in force
	}
	if err != nil {
		return err
	}
	report(pass, object, state, tenant.Suspended)
	return refused
}

// declare writes down what is to be done. What cannot be accepted is refused, and changes nothing.
func (r *Reconciler) declare(ctx context.Context, object *v1alpha1.ServiceQueue, tenant tenancy.Tenant) error {
	zone, err := crm.ParseZone(tenant.TimeZone)
	if err != nil {
		return fmt.Errorf("read the tenant's time zone: %w", err)
	}
	planned, err := planQueue(object, zone)
	if err != nil {
		return err
	}
	if err := r.checkCondition(ctx, object, tenant.DB); err != nil {
		return err
	}
	var channels v1alpha1.MessageChannelList
	if err := r.Client.List(ctx, &channels, client.InNamespace(object.Namespace)); err != nil {
		return fmt.Errorf("list the channels: %w", err)
	}
	if err := planChannels(&object.Spec, channels.Items); err != nil {
		return err
	}
	if _, _, err = tenant.DB.SaveQueue(ctx, planned); err != nil {
		return err
	}
	agents := int32(len(planned.Agents))
	object.Status.Agents = &agents
	return nil
}

func sleep(ctx context.Context, object *v1alpha1.ServiceQueue, tenant tenancy.Tenant) error {
	return tenant.DB.DropQueue(ctx, object.Name)
}
