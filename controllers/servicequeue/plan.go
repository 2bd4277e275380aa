package servicequeue

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/governing"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planQueue is what a queue puts in force. zone is the tenant's. Its condition is not looked at.
func planQueue(object *v1alpha1.ServiceQueue, zone *time.Location) (store.QueueDefinition, error) {
	spec := &object.Spec
	planned := store.QueueDefinition{Name: object.Name, Queue: Read(spec), Suspended: spec.Suspend}
	if err := planVersion(&planned.Queue); err != nil {
		return planned, err
	}
	if _, err := planned.Queue.Compile(zone); err != nil {
		return planned, reconciling.Stall(v1alpha1.InvalidSpecReason, "%s.", tell(err))
	}
	if spec.Routing != nil {
		for _, a := range spec.Routing.Agents {
			planned.Agents = append(planned.Agents, store.QueueAgent{Name: string(a.Name), Capacity: int(a.Capacity)})
		}
		slices.SortFunc(planned.Agents, func(a, b store.QueueAgent) int { return cmp.Compare(a.Name, b.Name) })
	}
	return planned, nil
}

// Read is what a manifest says, as it is stored. Whether it can be promised, service.Queue.Compile tells.
func Read(spec *v1alpha1.ServiceQueueSpec) service.Queue {
	queue := service.Queue{
		Tickets: string(spec.Tickets), Priority: service.Priority(spec.Priority), WarnAt: int(spec.WarnAt), ReopenWithin: string(spec.ReopenWithin),
	}
	if r := spec.Routing; r != nil {
		queue.Routing = service.Routing{Mode: service.RoutingMode(r.Mode), Capacity: int(r.Capacity), StickyFor: string(r.StickyFor)}
	}
	if h := spec.Hours; h != nil {
		queue.Hours = service.Hours{TimeZone: h.TimeZone, Open: governing.Windows(h.Open)}
		for _, day := range h.Holidays {
			queue.Hours.Holidays = append(queue.Hours.Holidays, string(day))
		}
	}
	for _, t := range spec.Targets {
		if queue.Targets == nil {
			queue.Targets = map[service.Priority]service.Target{}
		}
		queue.Targets[service.Priority(t.Priority)] = service.Target{
			FirstResponse: string(t.FirstResponse), NextResponse: string(t.NextResponse), Resolution: string(t.Resolution),
		}
	}
	for _, e := range spec.Escalations {
		escalation := service.Escalation{
			Name: e.Name, Target: service.TargetKind(e.Target), After: int(e.After), Raise: service.Priority(e.Raise), Assign: string(e.Assign), Route: e.Route,
		}
		if e.Notify != nil {
			escalation.Notify = e.Notify.ChannelRef.Name
		}
		queue.Escalations = append(queue.Escalations, escalation)
	}
	return queue
}

// planVersion waits for an operator that knows what the queue says, where this one is older than the kind.
func planVersion(queue *service.Queue) error {
	modes := []service.RoutingMode{"", service.RouteByHand, service.RouteRoundRobin, service.RouteByLoad}
	if !slices.Contains(modes, queue.Routing.Mode) {
		return reconciling.UnknownToOperator("spec.routing.mode", string(queue.Routing.Mode))
	}
	unknown := func(p service.Priority) bool { return p != "" && p.Rank() < 0 }
	if unknown(queue.Priority) {
		return reconciling.UnknownToOperator("spec.priority", string(queue.Priority))
	}
	for p := range queue.Targets {
		if unknown(p) {
			return reconciling.UnknownToOperator("spec.targets: priority", string(p))
		}
	}
	for _, e := range queue.Escalations {
		field := "spec.escalations[" + e.Name + "]."
		if unknown(e.Raise) {
			return reconciling.UnknownToOperator(field+"raise", string(e.Raise))
		}
		if !slices.Contains([]service.TargetKind{service.FirstResponse, service.NextResponse, service.Resolution}, e.Target) {
			return reconciling.UnknownToOperator(field+"target", string(e.Target))
		}
	}
	return nil
}

// tell lists all that is wrong with a queue, each with the path of its field.
func tell(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = "spec." + line
	}
	return strings.Join(lines, "; ")
}

// channelsOf are the channels that a queue names.
func channelsOf(spec *v1alpha1.ServiceQueueSpec) (names []string) {
	for _, e := range spec.Escalations {
		if e.Notify != nil {
			names = append(names, e.Notify.ChannelRef.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// planChannels tells what keeps a queue from telling of its escalations: a channel that is not there, or is none for programs.
func planChannels(spec *v1alpha1.ServiceQueueSpec, channels []v1alpha1.MessageChannel) error {
	for _, e := range spec.Escalations {
		if e.Notify == nil {
			continue
		}
		name, field := e.Notify.ChannelRef.Name, "spec.escalations["+e.Name+"].notify.channelRef"
		at := slices.IndexFunc(channels, func(c v1alpha1.MessageChannel) bool { return c.Name == name && c.DeletionTimestamp.IsZero() })
		if at < 0 {
			return reconciling.Wait(v1alpha1.NotFoundReason("MessageChannel"),
				"MessageChannel %q, which %s names, is not there: apply it, or correct the name.", name, field)
		}
		if channels[at].Spec.Type != v1alpha1.WebhookChannel {
			return reconciling.Stall(v1alpha1.InvalidSpecReason,
				"%s: MessageChannel %q is of type %s, and programs are told over one of type Webhook: name such a one.",
				field, name, channels[at].Spec.Type)
		}
	}
	return nil
}
