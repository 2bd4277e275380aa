package automationrule

import (
	"fmt"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// counts: a status is written at most once a minute because entries began or went on. Trouble is written at once.
var counts = reconciling.Counts{Every: time.Minute, Settle: 3 * time.Second, Strip: withoutCounts}

// withoutCounts removes the numbers.
func withoutCounts(o v1alpha1.Object) {
	status := &o.(*v1alpha1.AutomationRule).Status
	status.Active, status.Waiting, status.Stuck, status.Fired = nil, nil, nil, nil
}

// report writes how the entries of a rule stand, also of one whose newest version was refused.
func report(pass *reconciling.Pass, object *v1alpha1.AutomationRule, state store.RuleState) {
	status, version := &object.Status, int64(state.Version)
	status.Version, status.Active, status.Waiting, status.Stuck, status.Fired = &version, &state.Active, &state.Waiting, &state.Stuck, &state.Fired
	switch {
	case state.Trouble != "":
		pass.Healthy(false, v1alpha1.RuleTroubleReason, state.Trouble)
	case state.Stuck > 0:
		pass.Healthy(false, v1alpha1.EntriesStuckReason, planStuck(object.Name, state.StuckReason))
	default:
		pass.Healthy(true, v1alpha1.RunningReason, "Nothing holds entries up.")
	}
	if object.Spec.Suspend {
		pass.InForce("No entry begins, and those under way stay where they are, while spec.suspend is true.")
		return
	}
	pass.InForce("Entries begin, and go their way.")
}

// maxReason bounds what is told of why entries are stuck, in bytes.
const maxReason = 1000

// planStuck tells why most of the stuck entries are, and what a person can do.
func planStuck(rule, reason string) string {
	message := "Some entries cannot go on by themselves"
	if reason != "" {
		message += ", most of them because of this: " + strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "") + "."
	} else {
		message += "."
	}
	return fmt.Sprintf("%s "+
		"`tertulia rule trace %s --status Stuck` shows them. Mend the cause: `tertulia rule retry %s` tries again, and `tertulia rule end %s` ends one.",
		message, rule, rule, rule)
}
