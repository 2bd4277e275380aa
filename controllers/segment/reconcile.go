package segment

import (
	"context"
	"reflect"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one segment into force, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.Segment{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.Segment, tenant tenancy.Tenant) error {
	pass.Count(counts)
	schema, err := tenant.DB.LoadExpressionSchema(ctx)
	if err != nil {
		return err
	}
	definition, err := planDefinition(object, schema)
	if err != nil {
		return r.explain(ctx, object.Namespace, tenant.DB, schema, err)
	}
	if err := r.checkReferences(ctx, object, tenant.DB); err != nil {
		return err
	}
	_, state, err := tenant.DB.SaveSegment(ctx, definition)
	if err != nil {
		return err
	}
	return report(pass, object, definition, state)
}

func sleep(ctx context.Context, object *v1alpha1.Segment, tenant tenancy.Tenant) error {
	return tenant.DB.DormantSegment(ctx, object.Name)
}

// explain tells what is wrong with an expression, unless that may be only that what it speaks of is still on its way:
// manifests arrive in any order.
func (r *Reconciler) explain(ctx context.Context, namespace string, db *store.DB, checked crm.Schema, wrong error) error {
	underWay, err := reconciling.AnyUnderWay(ctx, r.Client, namespace, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{},
		&v1alpha1.ConsentPolicyList{})
	if err != nil {
		return err
	}
	if underWay {
		return errSchemaUnderWay
	}
	// What came into force since the schema was read wakes this object: to stall on it meanwhile would be wrong, and a tool
	// that applies manifests gives up on what stalls.
	schema, err := db.LoadExpressionSchema(ctx)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(schema, checked) {
		return errSchemaUnderWay
	}
	return wrong
}

var errSchemaUnderWay error = &reconciling.Waiting{
	Reason: v1alpha1.DependencyNotReady, Progressing: true,
	Message: "The record and event types and the consent policies of the namespace are not in force yet.",
}
