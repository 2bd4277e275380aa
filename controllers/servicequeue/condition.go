package servicequeue

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// checkCondition tells what keeps the condition under which conversations become tickets from being asked.
func (r *Reconciler) checkCondition(ctx context.Context, object *v1alpha1.ServiceQueue, db *store.DB) error {
	if object.Spec.Tickets == "" {
		return nil
	}
	schema, err := db.LoadExpressionSchema(ctx)
	if err != nil {
		return err
	}
	if err := planCondition(object, schema); err != nil {
		return r.explain(ctx, object.Namespace, db, schema, err)
	}
	var segments v1alpha1.SegmentList
	if err := r.Client.List(ctx, &segments, client.InNamespace(object.Namespace)); err != nil {
		return fmt.Errorf("list the segments: %w", err)
	}
	return planSegments(&object.Spec, segments.Items)
}

// planCondition checks the condition against the tenant's schema.
func planCondition(object *v1alpha1.ServiceQueue, schema crm.Schema) error {
	_, err := automate.CompileTickets(schema, string(object.Spec.Tickets))
	var wrong *expr.Error
	if errors.As(err, &wrong) {
		return reconciling.Stall(v1alpha1.ExpressionInvalidReason, "spec.tickets: %s", wrong)
	}
	if err != nil {
		return fmt.Errorf("compile the condition of queue %q: %w", object.Name, err)
	}
	return nil
}

// explain tells what is wrong with a condition, unless that may be only that what it speaks of is still on its way: manifests arrive in any
// order.
func (r *Reconciler) explain(ctx context.Context, namespace string, db *store.DB, checked crm.Schema, wrong error) error {
	underWay, err := reconciling.AnyUnderWay(ctx, r.Client, namespace, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{},
		&v1alpha1.ConsentPolicyList{})
	if err != nil {
		return err
	}
	schema, err := db.LoadExpressionSchema(ctx)
	if err != nil {
		return err
	}
	if underWay || !reflect.DeepEqual(schema, checked) {
		return errSchemaUnderWay
	}
	return wrong
}

var errSchemaUnderWay error = &reconciling.Waiting{
	Reason: v1alpha1.DependencyNotReady, Progressing: true,
	Message: "The record and event types and the consent policies of the namespace are not in force yet.",
}

// segmentsOf are the segments for whose membership the condition asks.
func segmentsOf(spec *v1alpha1.ServiceQueueSpec) (names []string) {
	for _, reference := range expr.References(string(spec.Tickets)) {
		names = append(names, reference.Segment)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// planSegments waits for segments for whose membership the condition asks and that are not there.
func planSegments(spec *v1alpha1.ServiceQueueSpec, segments []v1alpha1.Segment) error {
	var names []string
	for i := range segments {
		if segments[i].DeletionTimestamp.IsZero() {
			names = append(names, segments[i].Name)
		}
	}
	for _, reference := range expr.References(string(spec.Tickets)) {
		if !slices.Contains(names, reference.Segment) {
			return reconciling.Wait(v1alpha1.NotFoundReason("Segment"), "spec.tickets: %d:%d: there is no Segment %q in this namespace%s.",
				reference.Line, reference.Column, reference.Segment, crm.DidYouMean(reference.Segment, names))
		}
	}
	return nil
}
