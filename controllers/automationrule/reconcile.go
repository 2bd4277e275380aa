package automationrule

import (
	"context"
	"errors"
	"reflect"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one rule into force, or says all that keeps it from that. What was in force stays so until a new version is sound.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.AutomationRule{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.AutomationRule, tenant tenancy.Tenant) error {
	pass.Count(counts)
	object.Status.Begins = planBegins(&object.Spec.Trigger)
	refused := r.declare(ctx, object, tenant)
	if refused != nil && !isAnswer(refused) {
		return refused
	}
	if refused != nil && object.Spec.Suspend {
		// Whoever wants it to stop is not to mend it first.
		if err := tenant.DB.SuspendRule(ctx, object.Name); err != nil {
			return err
		}
	}
	state, err := tenant.DB.LoadRuleState(ctx, object.Name)
	if errors.Is(err, store.ErrNotFound) {
		return refused // nothing of that name has ever been in force
	}
	if err != nil {
		return err
	}
	report(pass, object, state)
	return refused
}

// declare writes down what is to be done. What cannot be accepted is refused, and changes nothing.
func (r *Reconciler) declare(ctx context.Context, object *v1alpha1.AutomationRule, tenant tenancy.Tenant) error {
	rule, err := planRule(object, tenant.TimeZone)
	if err != nil {
		return err
	}
	found, err := r.gather(ctx, object)
	if err != nil {
		return err
	}
	if found.known.Schema, err = tenant.DB.LoadExpressionSchema(ctx); err != nil {
		return err
	}
	if err := planAcceptance(object, rule, found); err != nil {
		return r.explain(ctx, tenant, found, err)
	}
	_, _, err = tenant.DB.SaveRule(ctx, store.RuleDefinition{Name: object.Name, Rule: rule, Suspended: object.Spec.Suspend})
	return err
}

// explain tells what is wrong with a rule, unless the schema has changed since it was read: what came into force meanwhile wakes the
// rule, and to stall on it before would be wrong.
func (r *Reconciler) explain(ctx context.Context, tenant tenancy.Tenant, found facts, wrong error) error {
	var stalled *reconciling.Stalled
	if !errors.As(wrong, &stalled) {
		return wrong
	}
	schema, err := tenant.DB.LoadExpressionSchema(ctx)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(schema, found.known.Schema) {
		return errSchemaUnderWay
	}
	return wrong
}

// isAnswer tells whether a refusal says something about the rule, so that how its entries stand is worth showing beside it.
func isAnswer(err error) bool {
	var interrupted *reconciling.Interrupted
	return reconciling.IsVerdict(err) || errors.As(err, &interrupted)
}

func sleep(ctx context.Context, object *v1alpha1.AutomationRule, tenant tenancy.Tenant) error {
	return tenant.DB.DormantRule(ctx, object.Name)
}
