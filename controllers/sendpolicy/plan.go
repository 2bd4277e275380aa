package sendpolicy

import (
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/governing"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// longestWindow is how far back a frequency cap may look: every message of that time is counted at each freeze.
const longestWindow = 366 * 24 * time.Hour

// planPolicy is what a policy puts in force. Everything in it has been checked.
func planPolicy(object *v1alpha1.SendPolicy) (policy.SendPolicy, error) {
	spec := object.Spec
	planned := policy.SendPolicy{
		Name: object.Name, Purposes: texts(spec.Purposes), Exempt: texts(spec.ExemptPurposes),
		MaxAudience: spec.MaxAudience, Suspended: spec.Suspend,
	}
	for _, c := range spec.FrequencyCaps {
		window, err := campaign.ParseDuration(string(c.Window))
		if err != nil {
			return planned, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.frequencyCaps %q: window: %s.", c.Name, err)
		}
		if window <= 0 || window > longestWindow {
			return planned, reconciling.Stall(v1alpha1.InvalidSpecReason,
				"spec.frequencyCaps %q: window: must be longer than nothing and at most 366d.", c.Name)
		}
		planned.Caps = append(planned.Caps, policy.Cap{
			Name: c.Name, Purposes: texts(c.Purposes), Max: int64(c.Max), Seconds: int64(window / time.Second),
		})
	}
	planned.Quiet = governing.Windows(spec.QuietHours)
	if err := campaign.CheckQuiet(planned.Quiet); err != nil {
		return planned, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.quietHours: %s.", err)
	}
	for _, r := range spec.Rules {
		rule := policy.Rule{Name: r.Name, Expression: r.Expression, Message: r.Message}
		if _, err := rule.Compile(); err != nil {
			return planned, reconciling.Stall(v1alpha1.ExpressionInvalidReason, "spec.rules %q: %s.", r.Name, err)
		}
		planned.Rules = append(planned.Rules, rule)
	}
	return planned, nil
}

func texts[T ~string](list []T) []string {
	var plain []string
	for _, text := range list {
		plain = append(plain, string(text))
	}
	return plain
}

// planViolations are the campaigns that break a policy, in the order of the list.
func planViolations(p policy.SendPolicy, campaigns []v1alpha1.Campaign, tenantZone string) (found []v1alpha1.CampaignViolation) {
	judge := p.Judging()
	for i := range campaigns {
		object := &campaigns[i]
		if object.Spec.Publication != nil || governing.Over(object) || !object.DeletionTimestamp.IsZero() {
			continue
		}
		if violations := judge(governing.View(object, tenantZone)); len(violations) > 0 {
			found = append(found, v1alpha1.CampaignViolation{Campaign: object.Name, Message: governing.Tell(violations, false)})
		}
	}
	return found
}
