package messagechannel

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planRate is how fast messages may leave, and nil where nothing bounds it.
func planRate(declared *v1alpha1.ChannelRate) (*pace.Limits, error) {
	if declared == nil {
		return nil, nil
	}
	limits := &pace.Limits{
		PerSecond: int(declared.PerSecond), PerDomainPerSecond: int(declared.PerDomainPerSecond), PerDay: declared.PerDay,
	}
	if w := declared.WarmUp; w != nil {
		limits.WarmUp = &pace.WarmUp{StartsOn: w.StartsOn}
		for _, s := range w.Steps {
			limits.WarmUp.Steps = append(limits.WarmUp.Steps, pace.Step{Day: int(s.Day), PerDay: s.PerDay})
		}
		// The order of a list that is a map means nothing.
		slices.SortFunc(limits.WarmUp.Steps, func(a, b pace.Step) int { return cmp.Compare(a.Day, b.Day) })
	}
	if !limits.Limited() {
		return nil, nil
	}
	if err := limits.Check(); err != nil {
		return nil, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.rate: %s.", err)
	}
	return limits, nil
}

// reportThrottling writes who asks for patience, and whether the bound of the day is reached.
func reportThrottling(pass *reconciling.Pass, object *v1alpha1.MessageChannel, t store.Throttling) {
	object.Status.Throttled, object.Status.CappedUntil = nil, nil
	for _, r := range t.Receivers {
		object.Status.Throttled = append(object.Status.Throttled, v1alpha1.ThrottledReceiver{
			Receiver: r.Name, Until: metav1.NewTime(r.Until).Rfc3339Copy(),
		})
	}
	if t.CappedUntil != nil {
		until := metav1.NewTime(*t.CappedUntil).Rfc3339Copy()
		object.Status.CappedUntil = &until
	}
	switch {
	case t.CappedUntil != nil:
		pass.Condition(v1alpha1.ThrottledCondition, metav1.ConditionTrue, v1alpha1.DailyCapReachedReason,
			"As many messages have left today as spec.rate allows: the others wait until status.cappedUntil. To send more today, raise perDay "+
				"or the warm-up's step.")
	case len(t.Receivers) > 0:
		pass.Condition(v1alpha1.ThrottledCondition, metav1.ConditionTrue, v1alpha1.ReceiversDeferReason,
			"The receivers in status.throttled have deferred mail: they are written to more slowly, and faster again as they take it.")
	default:
		pass.WithoutCondition(v1alpha1.ThrottledCondition)
	}
}
