package controllers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

func TestAPIServerRefusesQueuesAndSaysHowToMend(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	const targets = "targets: [{priority: Normal, firstResponse: 1h}]"
	for name, tc := range map[string]struct{ spec, want string }{
		"a priority above all":         {"priority: First", "Unsupported value"},
		"a condition of nothing":       {"tickets: ''", "spec.tickets"},
		"a way of routing":             {"routing: {mode: Loudest, agents: [{name: ana}]}", "Unsupported value"},
		"turns of nobody":              {"routing: {mode: RoundRobin}", "name them in agents"},
		"agents who take what they do": {"routing: {mode: Manual, agents: [{name: ana}]}", "each takes what they want"},
		"agents without a way":         {"routing: {agents: [{name: ana}]}", "with mode: RoundRobin or Load"},
		"a capacity of nobody":         {"routing: {capacity: 5}", "capacity and stickyFor speak of agents"},
		"known to nobody":              {"routing: {mode: Manual, stickyFor: 30d}", "capacity and stickyFor speak of agents"},
		"an agent twice":               {"routing: {mode: Load, agents: [{name: ana}, {name: ana}]}", "Duplicate value"},
		"an address":                   {"routing: {mode: Load, agents: [{name: ana@velo.example}]}", "the name of somebody's API token"},
		"hours of everybody's own":     {"hours: {timeZone: Recipient}", "a team works by one clock"},
		"hours that begin at the end":  {"hours: {open: [{from: '24:00', to: '09:00'}]}", "cannot begin at 24:00"},
		"a day off that is none":       {"hours: {holidays: ['01-32']}", "12-25 for every year"},
		"a promise of nothing":         {"targets: [{priority: High}]", "a target promises something"},
		"a promise made twice":         {"targets: [{priority: High, resolution: 1d}, {priority: High, resolution: 2d}]", "Duplicate value"},
		"a promise of some time":       {"targets: [{priority: High, resolution: soon}]", "must be a duration"},
		"a warning when it is late":    {targets + "\n  warnAt: 100", "warnAt"},
		"an escalation of nothing":     {targets + "\n  escalations: [{name: a, target: FirstResponse, after: 100}]", "give raise, assign, route or notify"},
		"an escalation that says no":   {targets + "\n  escalations: [{name: a, target: FirstResponse, after: 100, route: false}]", "give raise, assign, route or notify"},
		"an escalation to two":         {targets + "\n  escalations: [{name: a, target: FirstResponse, after: 100, route: true, assign: lead}]", "give one of them"},
		"an escalation of what":        {targets + "\n  escalations: [{name: a, target: Smile, after: 100, route: true}]", "Unsupported value"},
		"an escalation at once":        {targets + "\n  escalations: [{name: a, target: FirstResponse, after: 0, route: true}]", "after"},
		"an escalation twice":          {targets + "\n  escalations: [{name: a, target: FirstResponse, after: 1, route: true}, {name: a, target: FirstResponse, after: 2, route: true}]", "Duplicate value"},
		"an escalation with a space":   {targets + "\n  escalations: [{name: to the lead, target: FirstResponse, after: 1, route: true}]", "such as to-the-lead"},
		"a notice to nobody":           {targets + "\n  escalations: [{name: a, target: FirstResponse, after: 1, notify: {}}]", "channelRef: Required"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &home{world: h.world, t: t, namespace: h.namespace}
			if message := h.take("kind: ServiceQueue\nmetadata: {name: x}\nspec:\n  " + tc.spec + "\n"); !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q", message, tc.want)
			}
		})
	}
	for name, spec := range map[string]string{
		"least":  "{}",
		"manual": "{routing: {mode: Manual}, hours: {holidays: ['12-25', '2027-03-25']}}",
		"all": `{tickets: 'message.sentiment < -0.3', priority: High, routing: {mode: Load, agents: [{name: ana, capacity: 5}, {name: b.en-2}], capacity: 10, stickyFor: 30d},
			hours: {timeZone: Europe/Madrid, open: [{days: [Monday], from: '09:00', to: '24:00'}]}, targets: [{priority: Low, resolution: 5d}, {priority: Urgent, firstResponse: 30m, nextResponse: 1h}],
			warnAt: 80, escalations: [{name: a, target: Resolution, after: 150, raise: Urgent, assign: care-lead, notify: {channelRef: {name: room}}}], reopenWithin: 7d}`,
	} {
		if message := h.take("kind: ServiceQueue\nmetadata: {name: " + name + "}\nspec: " + spec); message != "" {
			t.Errorf("%s: %s", name, message)
		}
	}
}

// TestAPIServerTakesALargeQueue: what a large team says is within what the API server spends on validation.
func TestAPIServerTakesALargeQueue(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	var agents, holidays, escalations []string
	for n := range 200 {
		agents = append(agents, fmt.Sprintf("{name: agent-%d, capacity: 10}", n))
		holidays = append(holidays, fmt.Sprintf("'%d-12-25'", 2000+n))
	}
	for n := range 20 {
		escalations = append(escalations, fmt.Sprintf("{name: step-%d, target: FirstResponse, after: %d, assign: agent-%d, notify: {channelRef: {name: room}}}", n, 50+n, n))
	}
	manifest := fmt.Sprintf("kind: ServiceQueue\nmetadata: {name: large}\nspec: {tickets: '%s', routing: {mode: Load, agents: [%s]}, hours: {holidays: [%s]}, targets: [{priority: Low, firstResponse: 1h}], escalations: [%s]}",
		strings.Repeat("x", 4096), strings.Join(agents, ", "), strings.Join(holidays, ", "), strings.Join(escalations, ", "))
	if message := h.take(manifest); message != "" {
		t.Errorf("%.300s", message)
	}
}
