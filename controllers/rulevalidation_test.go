package controllers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

func TestAPIServerRefusesRulesAndSaysHowToMend(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	const trigger, steps = "trigger: {event: purchase}", "steps: [{name: done, exit: {}}]"
	for name, tc := range map[string]struct{ spec, want string }{
		"no trigger":                    {steps, "spec.trigger: Required"},
		"no steps":                      {trigger + "\n  steps: []", "spec.steps"},
		"nothing begins it":             {"trigger: {}\n  " + steps, "one of event, schedule and date"},
		"two things begin it":           {"trigger: {event: purchase, date: {attribute: birthday}}\n  " + steps, "another rule for what else"},
		"an event in capitals":          {"trigger: {event: Purchase}\n  " + steps, "such as segment.entered"},
		"a segment of none":             {"trigger: {event: segment.entered}\n  " + steps, "segmentRef says whose segment"},
		"a segment of a purchase":       {"trigger: {event: purchase, segmentRef: {name: a}}\n  " + steps, "and with nothing else"},
		"edits of no segment":           {"trigger: {event: purchase, onDefinitionChange: Add}\n  " + steps, "onDefinitionChange speaks of a segment"},
		"a monitor of a purchase":       {"trigger: {event: purchase, monitorRef: {name: a}}\n  " + steps, "narrows mention.received"},
		"a topic of no monitor":         {"trigger: {event: mention.received, topic: velo}\n  " + steps, "name the monitor in monitorRef"},
		"a campaign of a purchase":      {"trigger: {event: purchase, campaignRef: {name: a}}\n  " + steps, "begin with message.opened"},
		"quiet for a schedule":          {"trigger: {schedule: {cron: 0 9 * * *}, quietFor: 90d}\n  " + steps, "quietFor speaks of an EventType"},
		"quiet for some time":           {"trigger: {event: purchase, quietFor: long}\n  " + steps, "must be a duration"},
		"a schedule of everybody's own": {"trigger: {schedule: {cron: 0 9 * * *, timeZone: Recipient}}\n  " + steps, "let a step wait"},
		"a date at midnight":            {"trigger: {date: {attribute: birthday, at: '24:00'}}\n  " + steps, "one more in offsetDays"},
		"a date in ages":                {"trigger: {date: {attribute: birthday, offsetDays: 7000}}\n  " + steps, "offsetDays"},
		"again after nothing":           {trigger + "\n  reentry: {mode: After}\n  " + steps, "give it with mode: After"},
		"never after a while":           {trigger + "\n  reentry: {mode: Never, after: 1d}\n  " + steps, "and with no other mode"},
		"a key that is no field":        {trigger + "\n  key: thread\n  " + steps, "such as mention.thread"},
		"none in an hour":               {trigger + "\n  maxPerHour: 0\n  " + steps, "maxPerHour"},
		"an edit that forgets":          {trigger + "\n  onEdit: Forget\n  " + steps, "Unsupported value"},
		"a step without a verb":         {trigger + "\n  steps: [{name: a}]", "a step does one thing"},
		"a step with two verbs":         {trigger + "\n  steps: [{name: a, tag: x, exit: {}}]", "a step of its own for each other"},
		"a step without a name":         {trigger + "\n  steps: [{exit: {}}]", "name: Required"},
		"a step that is there":          {trigger + "\n  steps: [{name: a, tag: x}, {name: a, exit: {}}]", "Duplicate value"},
		"a step's name with a space":    {trigger + "\n  steps: [{name: the end, exit: {}}]", "such as thank-them"},
		"an if that leads nowhere":      {trigger + "\n  steps: [{name: a, if: 'true'}]", "say in then or else"},
		"then without if":               {trigger + "\n  steps: [{name: a, tag: x, then: a}]", "if, then and else belong together"},
		"next of an exit":               {trigger + "\n  steps: [{name: a, exit: {}, next: a}]", "after an exit there is nothing"},
		"a split of one":                {trigger + "\n  steps: [{name: a, split: [{weight: 1, next: a}]}]", "split"},
		"a split that weighs nothing":   {trigger + "\n  steps: [{name: a, split: [{weight: 0, next: a}, {weight: 1, next: a}]}]", "weight"},
		"a wait of nothing":             {trigger + "\n  steps: [{name: a, wait: {}}]", "give for or until"},
		"a wait of both":                {trigger + "\n  steps: [{name: a, wait: {for: 1d, until: {timeOfDay: '09:00'}}}]", "give for or until"},
		"a wait without an end":         {trigger + "\n  steps: [{name: a, wait: {event: purchase}}]", "an event may never come"},
		"a condition on no event":       {trigger + "\n  steps: [{name: a, wait: {for: 1d, when: 'true'}}]", "name it in event"},
		"a time-out of no event":        {trigger + "\n  steps: [{name: a, wait: {for: 1d, onTimeout: a}}]", "or remove onTimeout"},
		"a moment of nothing":           {trigger + "\n  steps: [{name: a, wait: {until: {}}}]", "a moment is at, or a timeOfDay"},
		"a moment of two":               {trigger + "\n  steps: [{name: a, wait: {until: {at: '2027-01-06T10:00:00', timeOfDay: '09:00'}}}]", "write one of them"},
		"a moment with an offset":       {trigger + "\n  steps: [{name: a, wait: {until: {at: '2027-01-06T10:00:00Z'}}}]", "spec.steps[0].wait.until.at"},
		"weekdays of a date":            {trigger + "\n  steps: [{name: a, wait: {until: {at: '2027-01-06T10:00:00', weekdays: [Monday]}}}]", "remove them beside at"},
		"an offset of nothing":          {trigger + "\n  steps: [{name: a, wait: {until: {timeOfDay: '09:00', offsetDays: 3}}}]", "name it in attribute"},
		"a value of two":                {trigger + "\n  steps: [{name: a, set: [{attribute: plan, value: club, expression: now}]}]", "give either value"},
		"a value of none":               {trigger + "\n  steps: [{name: a, set: [{attribute: plan}]}]", "give either value"},
		"an attribute set twice":        {trigger + "\n  steps: [{name: a, set: [{attribute: plan, value: club}, {attribute: plan, value: pro}]}]", "Duplicate value"},
		"a mail for no purpose":         {trigger + "\n  steps: [{name: a, send: {templateRef: {name: a}, channelRef: {name: a}}}]", "purpose: Required"},
		"a mail before all others":      {trigger + "\n  steps: [{name: a, send: {templateRef: {name: a}, channelRef: {name: a}, purpose: news, priority: First}}]", "Unsupported value"},
		"a campaign of what comes in":   {"trigger: {event: message.received, campaignRef: {name: a}}\n  " + steps, "begin with message.opened"},
		"a queue of a purchase":         {"trigger: {event: purchase, queueRef: {name: a}}\n  " + steps, "queueRef narrows ticket events"},
		"an answer of nothing":          {trigger + "\n  steps: [{name: a, reply: {}}]", "templateRef: Required"},
		"a post to nowhere":             {trigger + "\n  steps: [{name: a, publish: {templateRef: {name: a}}}]", "channelRef: Required"},
		"an answer and a post":          {trigger + "\n  steps: [{name: a, reply: {templateRef: {name: a}}, publish: {templateRef: {name: a}, channelRef: {name: a}}}]", "a step does one thing"},
		"a ticket of no queue":          {trigger + "\n  steps: [{name: a, openTicket: {priority: High}}]", "queueRef: Required"},
		"a ticket above all others":     {trigger + "\n  steps: [{name: a, openTicket: {queueRef: {name: a}, priority: First}}]", "Unsupported value"},
		"a ticket for nobody":           {trigger + "\n  steps: [{name: a, assign: {}}]", "to: Required"},
		"a ticket for an address":       {trigger + "\n  steps: [{name: a, assign: {to: ana@velo.example}}]", "such as care-lead"},
		"an expression of nothing":      {trigger + "\n  when: ''\n  " + steps, "spec.when"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &home{world: h.world, t: t, namespace: h.namespace}
			if message := h.take("kind: AutomationRule\nmetadata: {name: x}\nspec:\n  " + tc.spec + "\n"); !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q", message, tc.want)
			}
		})
	}
	for name, spec := range map[string]string{
		"segment":  "{trigger: {event: segment.left, segmentRef: {name: a}, onDefinitionChange: Ignore}, steps: [{name: a, untag: x}]}",
		"incident": "{trigger: {event: incident.opened, monitorRef: {name: velo}, topic: velo}, steps: [{name: a, notify: {channelRef: {name: room}}}]}",
		"return":   "{trigger: {event: site-visit, quietFor: 90d}, reentry: {mode: After, after: 1d12h}, steps: [{name: a, start: {ruleRef: {name: other}}}]}",
		"calendar": "{trigger: {schedule: {cron: 0 9 * * MON, segmentRef: {name: a}}}, steps: [{name: a, wait: {until: {timeOfDay: '09:00', weekdays: [Monday]}}}]}",
		"birthday": "{trigger: {date: {attribute: birthday, offsetDays: -7, at: '09:30', everyYear: true}}, steps: [{name: a, wait: {until: {attribute: birthday, timeOfDay: '10:00'}, onTimeout: a}}]}",
		"complaint": "{trigger: {event: ticket.breached, queueRef: {name: care}}, steps: [{name: a, reply: {templateRef: {name: sorry}}}, {name: b, openTicket: {queueRef: {name: care}, priority: Urgent, subject: Late}}, " +
			"{name: c, assign: {to: care-lead}}, {name: d, publish: {templateRef: {name: sorry}, channelRef: {name: mastodon}}}]}",
		"ways": "{trigger: {event: purchase}, key: event.sku, maxPerHour: 10, onEdit: Move, steps: [{name: a, if: 'true', else: c}, {name: b, wait: {event: purchase, for: 7d, when: 'true', onTimeout: c}, next: d}, " +
			"{name: c, split: [{weight: 1, next: d}, {weight: 3, next: a}]}, {name: d, set: [{attribute: plan, value: club}, {attribute: seen_at, expression: now}]}]}",
	} {
		if message := h.take("kind: AutomationRule\nmetadata: {name: " + name + "}\nspec: " + spec); message != "" {
			t.Errorf("%s: %s", name, message)
		}
	}
}

// TestAPIServerTakesALargeRule: what a large journey says is within what the API server spends on validation.
func TestAPIServerTakesALargeRule(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	var steps strings.Builder
	for n := range 100 {
		fmt.Fprintf(&steps, "  - {name: step-%d, wait: {event: purchase, for: 1d, when: '%s', onTimeout: step-%d}, next: step-%d}\n", n, strings.Repeat("x", 4096), n, n)
	}
	if message := h.take("kind: AutomationRule\nmetadata: {name: large}\nspec:\n  trigger: {event: purchase}\n  steps:\n" + steps.String()); message != "" {
		t.Errorf("100 steps with 4 KiB each: %.300s", message)
	}
}

// TestStepsKeepTheirOrder: the order of steps is what a rule says, also where it is applied again with some of them moved.
func TestStepsKeepTheirOrder(t *testing.T) {
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), id: "velo"}
	for _, order := range [][]string{{"a", "b", "c", "d"}, {"d", "c", "b", "a"}, {"e", "b", "f", "a", "g"}, {"b"}, {"c", "b"}, {"a", "c", "b"}} {
		manifest := "apiVersion: crm.tertulia.dev/v1alpha1\nkind: AutomationRule\nmetadata: {name: ordered}\nspec:\n  trigger: {event: purchase}\n  steps:\n"
		for _, name := range order {
			manifest += "  - {name: " + name + ", tag: t-" + name + "}\n"
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
			t.Fatal(err)
		}
		object.SetNamespace(h.namespace)
		if err := h.api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("team"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
		var stored v1alpha1.AutomationRule
		if err := h.api.Get(t.Context(), h.key("ordered"), &stored); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range stored.Spec.Steps {
			got = append(got, string(s.Name))
		}
		if diff := cmp.Diff(order, got); diff != "" {
			t.Errorf("steps: -want +got:\n%s", diff)
		}
	}
}
