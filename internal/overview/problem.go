package overview

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// bad tells which answer of a condition is a problem. A condition that is not here is none: Stalled and Reconciling say
// more about what Ready says.
var bad = map[string]metav1.ConditionStatus{
	v1alpha1.ReadyCondition:          metav1.ConditionFalse,
	v1alpha1.HealthyCondition:        metav1.ConditionFalse,
	v1alpha1.WorkloadsReadyCondition: metav1.ConditionFalse,
	v1alpha1.QuarantinedCondition:    metav1.ConditionTrue,
}

// worthKnowing are the answers of conditions that are no problem today.
var worthKnowing = map[string]metav1.ConditionStatus{
	v1alpha1.RuntimeRoleCondition:     metav1.ConditionFalse,
	v1alpha1.FailoverSafeCondition:    metav1.ConditionFalse,
	v1alpha1.ThrottledCondition:       metav1.ConditionTrue,
	v1alpha1.CheckedCondition:         metav1.ConditionFalse,
	v1alpha1.CrisisCondition:          metav1.ConditionTrue,
	v1alpha1.SentimentEngineCondition: metav1.ConditionFalse,
}

// consequences are reasons of objects whose cause is another object's, which tells it itself.
var consequences = []string{
	v1alpha1.TenantNotReadyReason, v1alpha1.DependencyNotReady, v1alpha1.DatabaseDownReason, v1alpha1.DatabaseReadOnlyReason,
	v1alpha1.DatabaseDiskFullReason, v1alpha1.ForeignDatabaseReason, v1alpha1.QuarantinedReason,
}

// passing are reasons that go by themselves soon; planWaiting shows them.
var passing = []string{
	v1alpha1.BuildingReason, v1alpha1.MigratingReason, v1alpha1.ProgressingReason, v1alpha1.RollingOutReason, v1alpha1.CredentialsNotYetInUse,
	v1alpha1.StoppedReason,
}

// planProblems collects what is wrong, the tenant's own first, one for all objects that have the same. waiting counts the
// objects that only wait for others.
func planProblems(objects []v1alpha1.Object) (problems, hints []Problem, waiting int) {
	var waits []Problem
	for _, o := range objects {
		if !o.GetDeletionTimestamp().IsZero() || underWay(o) {
			continue
		}
		_, isTenant := o.(*v1alpha1.CRMTenant)
		told := map[string]bool{} // what one condition has told is not told by another
		for _, c := range o.CommonStatus().Conditions {
			switch {
			case told[c.Reason] || slices.Contains(passing, c.Reason):
			case c.Status == worthKnowing[c.Type]:
				hints = merge(hints, describe(o, c))
			case c.Status != bad[c.Type]:
			case !isTenant && slices.Contains(consequences, c.Reason):
				told[c.Reason] = true
				waits = merge(waits, describe(o, c))
				waiting++
			default:
				told[c.Reason] = true
				problems = merge(problems, describe(o, c))
			}
		}
	}
	if len(problems) == 0 {
		// What they wait for says of itself that it is well, or may not be read.
		problems, waiting = waits, 0
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(urgency(a), urgency(b)) })
	return problems, hints, waiting
}

func describe(o v1alpha1.Object, c metav1.Condition) Problem {
	kind := KindOf(o)
	return Problem{
		Kind: kind, Names: []string{o.GetName()}, Reason: c.Reason, Message: c.Message,
		Do: nextStep(kind, c.Reason, o.GetNamespace(), o.GetName()),
	}
}

// merge adds a problem, to one of the same words where there is one.
func merge(problems []Problem, p Problem) []Problem {
	for i := range problems {
		if problems[i].Kind == p.Kind && problems[i].Reason == p.Reason && problems[i].Message == p.Message {
			problems[i].Names = append(problems[i].Names, p.Names...)
			return problems
		}
	}
	return append(problems, p)
}

// urgency sorts the tenant's own troubles first, because others follow from them, then what is being sent.
func urgency(p Problem) int {
	return cmp.Or(slices.Index([]string{"CRMTenant", "Campaign", "MessageChannel"}, p.Kind)+1, 9)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
