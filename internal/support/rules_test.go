package support

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// TestNobodyLeavesWithARule: of a rule all is told but what people and events are compared with, and what is written about them.
func TestNobodyLeavesWithARule(t *testing.T) {
	rule := &v1alpha1.AutomationRule{
		Spec: v1alpha1.AutomationRuleSpec{
			Trigger: v1alpha1.RuleTrigger{Event: "purchase"}, When: `contact.city == "ana@velo.example" && events("visit").count() > 3`, Exit: `"luis" in contact.tags`,
			Steps: []v1alpha1.RuleStep{
				{Name: "ask", If: `contact.plan == "eva"`, Then: "fill"},
				{Name: "week", Wait: &v1alpha1.WaitStep{Event: "purchase", For: "7d", When: `event.sku == "rosa"`}},
				{Name: "fill", Set: []v1alpha1.AttributeValue{{Attribute: "city", Value: "marta"}, {Attribute: "plan", Expression: `"pablo"`}}},
				{Name: "done", Exit: &v1alpha1.ExitStep{Reason: "Done."}},
			},
		},
		Status: v1alpha1.AutomationRuleStatus{Status: v1alpha1.Status{Conditions: []metav1.Condition{
			{Type: "Ready", Message: `spec.when: 1:17: "ana@velo.example" must not stand here; the value "marta" is none`},
		}}},
	}
	text, err := yaml.Marshal(describeObject(rule))
	if err != nil {
		t.Fatal(err)
	}
	for _, person := range []string{"ana@", "luis", "eva", "rosa", "marta", "pablo"} {
		if strings.Contains(string(text), person) {
			t.Errorf("%q is told:\n%s", person, text)
		}
	}
	for _, kept := range []string{`events("visit")`, "event: purchase", "reason: Done.", "spec.when: 1:17", "attribute: city"} {
		if !strings.Contains(string(text), kept) {
			t.Errorf("%q is not told:\n%s", kept, text)
		}
	}
	if rule.Spec.Steps[2].Set[0].Value != "marta" {
		t.Error("the object itself was changed")
	}
	b := &bundle{}
	b.mask([]v1alpha1.Object{rule})
	if got := b.masks["/"]; len(got) != 6 {
		t.Errorf("messages about it hide %v", got)
	}
}

// TestNobodyLeavesWithAQueue: of a queue all is told but what messages are compared with, and who answers.
func TestNobodyLeavesWithAQueue(t *testing.T) {
	queue := &v1alpha1.ServiceQueue{
		Spec: v1alpha1.ServiceQueueSpec{
			Tickets: `contact.city == "marta@velo.example" || message.sentiment < -0.3`,
			Routing: &v1alpha1.QueueRouting{Mode: v1alpha1.RouteByLoad, Agents: []v1alpha1.QueueAgent{{Name: "ana-lopez"}, {Name: "ben-smith", Capacity: 3}}},
			Escalations: []v1alpha1.QueueEscalation{
				{Name: "late", Target: v1alpha1.FirstResponseTarget, After: 100, Assign: "luis-lead", Notify: &v1alpha1.QueueNotice{ChannelRef: v1alpha1.LocalReference{Name: "room"}}},
			},
		},
		Status: v1alpha1.ServiceQueueStatus{Status: v1alpha1.Status{Conditions: []metav1.Condition{{Type: "Ready", Message: `"marta@velo.example" and ana-lopez`}}}},
	}
	rule := &v1alpha1.AutomationRule{Spec: v1alpha1.AutomationRuleSpec{Steps: []v1alpha1.RuleStep{{Name: "give", Assign: &v1alpha1.AssignStep{To: "rosa-lead"}}}}}
	var text string
	for _, o := range []v1alpha1.Object{queue, rule} {
		described, err := yaml.Marshal(describeObject(o))
		if err != nil {
			t.Fatal(err)
		}
		text += string(described)
	}
	for _, person := range []string{"ana", "ben", "luis", "marta", "rosa"} {
		if strings.Contains(text, person) {
			t.Errorf("%q is told:\n%s", person, text)
		}
	}
	for _, kept := range []string{"capacity: 3", "name: late", "name: room", "message.sentiment < -0.3", "name: give"} {
		if !strings.Contains(text, kept) {
			t.Errorf("%q is not told:\n%s", kept, text)
		}
	}
	b := &bundle{}
	b.mask([]v1alpha1.Object{queue})
	if got := b.masks["/"]; len(got) != 4 {
		t.Errorf("messages about it hide %v", got)
	}
}
