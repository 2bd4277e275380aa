package servicequeue

import (
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// counts: a status is written at most once a minute because tickets came or were answered.
var counts = reconciling.Counts{Every: time.Minute, Settle: 3 * time.Second, Strip: withoutCounts}

// withoutCounts removes the numbers.
func withoutCounts(o v1alpha1.Object) {
	status := &o.(*v1alpha1.ServiceQueue).Status
	status.Backlog, status.Unassigned, status.Breached = nil, nil, nil
}

// report writes how many tickets wait, also of a queue whose newest version was refused.
func report(pass *reconciling.Pass, object *v1alpha1.ServiceQueue, state store.QueueState, asleep bool) {
	status := &object.Status
	status.Backlog, status.Unassigned, status.Breached = &state.Backlog, &state.Unassigned, &state.Breached
	if state.Trouble != "" {
		pass.Healthy(false, v1alpha1.QueueTroubleReason, state.Trouble)
	} else {
		pass.Healthy(true, v1alpha1.RunningReason, "Nothing holds its tickets up.")
	}
	switch {
	case object.Spec.Suspend:
		pass.InForce("No conversation becomes a ticket, none is given to an agent and none is escalated, while spec.suspend is true.")
	case asleep:
		pass.InForce("No conversation becomes a ticket while the CRMTenant is suspended.")
	case object.Spec.Tickets == "":
		pass.InForce("Rules and agents open its tickets: spec.tickets names no condition under which conversations become some.")
	default:
		pass.InForce("Conversations for which spec.tickets holds become its tickets.")
	}
}
