package segment

import (
	"context"
	"reflect"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one segment into force, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	object := &v1alpha1.Segment{}
	if err := r.Client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pass := r.Passes.Begin(object)
	pass.Count(counts)
	defer func() { result, err = pass.End(ctx, err) }()

	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.Tenants.Release(ctx, pass, object.Namespace, func(ctx context.Context, tenant tenancy.Tenant) error {
			return tenant.DB.DormantSegment(ctx, object.Name)
		})
	}
	tenant, err := r.Tenants.Tenant(ctx, object.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := pass.KeepUntilReleased(ctx); err != nil {
		return ctrl.Result{}, err
	}
	schema, err := tenant.DB.LoadSchema(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	definition, err := planDefinition(object, schema)
	if err != nil {
		return ctrl.Result{}, r.explain(ctx, object.Namespace, tenant.DB, schema, err)
	}
	_, state, err := tenant.DB.SaveSegment(ctx, definition)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, report(pass, object, definition, state)
}

// explain tells what is wrong with an expression, unless that may be only that what it speaks of is still on its way:
// manifests arrive in any order.
func (r *Reconciler) explain(ctx context.Context, namespace string, db *store.DB, checked crm.Schema, wrong error) error {
	underWay, err := reconciling.AnyUnderWay(ctx, r.Client, namespace, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{})
	if err != nil {
		return err
	}
	if underWay {
		return errSchemaUnderWay
	}
	// What came into force since the schema was read wakes this object: to stall on it meanwhile would be wrong, and a tool
	// that applies manifests gives up on what stalls.
	schema, err := db.LoadSchema(ctx)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(schema, checked) {
		return errSchemaUnderWay
	}
	return wrong
}

var errSchemaUnderWay error = &reconciling.Waiting{
	Reason: v1alpha1.DependencyNotReady, Progressing: true, Message: "The record and event types of the namespace are not in force yet.",
}
