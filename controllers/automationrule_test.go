package controllers_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// rule is a rule that begins with a purchase, with these steps.
func (h *home) rule(name string, steps ...v1alpha1.RuleStep) *v1alpha1.AutomationRule {
	if len(steps) == 0 {
		steps = []v1alpha1.RuleStep{{Name: "mark", Tag: "customer"}}
	}
	return &v1alpha1.AutomationRule{ObjectMeta: h.named(name), Spec: v1alpha1.AutomationRuleSpec{
		Trigger: v1alpha1.RuleTrigger{Event: "purchase"}, Steps: steps,
	}}
}

// mail is a step that writes to the contact.
func mail(name v1alpha1.StepName, template string) v1alpha1.RuleStep {
	return v1alpha1.RuleStep{Name: name, Send: &v1alpha1.SendStep{
		TemplateRef: v1alpha1.LocalReference{Name: template}, ChannelRef: v1alpha1.LocalReference{Name: "news"}, Purpose: "newsletter",
	}}
}

// ruleVersion is the version of a rule that is in force.
func (h *home) ruleVersion(name string) int {
	h.t.Helper()
	state, err := h.db.LoadRuleState(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return state.Version
}

func (h *home) expectVersion(name string, want int) {
	h.t.Helper()
	if got := h.ruleVersion(name); got != want {
		h.t.Errorf("version %d of rule %s is in force, want %d", got, name, want)
	}
}

func TestRuleWaitsForWhatItNames(t *testing.T) {
	h := newHome(t)
	object, rule := &v1alpha1.AutomationRule{}, h.rule("win-back", mail("write", "spring"))
	rule.Spec.Trigger = v1alpha1.RuleTrigger{Event: "segment.entered", SegmentRef: &v1alpha1.LocalReference{Name: "lapsed"}}
	rule.Spec.When = `in_segment("readers")`
	h.create(rule)
	// All that is missing is told at once.
	expectParts(t, h.verdict(object, "win-back", v1alpha1.NotFoundReason("Segment"), "InProgress"), `"lapsed"`, `"readers"`, `"spring"`, `"news"`, "spec.trigger.segmentRef", "spec.steps[write].send.templateRef")
	h.create(h.segment("lapsed", `contact.locale == "es"`), h.segment("readers", `contact.locale == "es"`), h.channel("news", ""))
	expectParts(t, h.verdict(object, "win-back", v1alpha1.NotFoundReason("MessageTemplate"), "InProgress"), `"spring"`)
	h.create(h.template("spring", "<p>Hola {{ unsubscribe_url }}</p>"))
	h.eventually(func(g gomega.Gomega) { // the template is looked at first
		g.Expect(h.verdict(object, "win-back", v1alpha1.DependencyNotReady, "InProgress")).To(gomega.ContainSubstring("Segment"))
	})
	for _, segment := range []string{"lapsed", "readers"} {
		h.verdict(&v1alpha1.Segment{}, segment, v1alpha1.BuildingReason, "InProgress")
		h.built(segment, 1)
	}
	h.current(object, "win-back")
	if object.Status.Begins != "segment.entered lapsed" || *object.Status.Version != 1 {
		t.Errorf("status: %+v", object.Status)
	}

	// What it names is edited, breaks and goes: the rule in force stays, and says so when something is gone.
	h.delete(&v1alpha1.MessageTemplate{}, "spring")
	h.verdict(object, "win-back", v1alpha1.NotFoundReason("MessageTemplate"), "InProgress")
	if *object.Status.Version != 1 || object.Status.Active == nil {
		t.Errorf("how entries stand is not shown of a rule that waits: %+v", object.Status)
	}
	edit(h, object, "win-back", func(o *v1alpha1.AutomationRule) { o.Spec.Suspend = true })
	becomes(h, true, "select suspended from automation_rule")
	edit(h, object, "win-back", func(o *v1alpha1.AutomationRule) { o.Spec.Suspend = false })
	h.gone(&v1alpha1.MessageTemplate{}, "spring") // its name is taken until then, though the rule has missed it already
	h.create(h.template("spring", "<p>Hola {{ unsubscribe_url }}</p>"))
	h.current(object, "win-back")
	becomes(h, false, "select suspended from automation_rule")
	edit(h, &v1alpha1.Segment{}, "readers", func(s *v1alpha1.Segment) { s.Spec.Match = "contact.plam == 1" })
	h.verdict(&v1alpha1.Segment{}, "readers", v1alpha1.ExpressionInvalidReason, "Failed")
	h.current(object, "win-back")
	h.expectVersion("win-back", 1)
}

func TestRuleIsEditedSuspendedAndComesBack(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.AutomationRule{}
	h.create(h.event("purchase", v1alpha1.Property{Name: "amount", Type: v1alpha1.DecimalType}), h.rule("thanks"))
	h.current(object, "thanks")
	h.expectVersion("thanks", 1)

	// All mistakes are told at once, with their places; what was in force stays.
	edit(h, object, "thanks", func(o *v1alpha1.AutomationRule) {
		o.Spec.When = "event.amoun > 5"
		o.Spec.Steps[0].Next = "thank"
	})
	expectParts(t, h.verdict(object, "thanks", v1alpha1.RuleInvalidReason, "Failed"), "spec.when: 1:7: ", `did you mean "amount"`, "spec.steps[mark].next", `"thank"`)
	h.expectVersion("thanks", 1)
	edit(h, object, "thanks", func(o *v1alpha1.AutomationRule) { o.Spec.Steps[0].Next = "" })
	h.verdict(object, "thanks", v1alpha1.ExpressionInvalidReason, "Failed")
	edit(h, object, "thanks", func(o *v1alpha1.AutomationRule) { o.Spec.When = "event.amount > 5.0" })
	h.current(object, "thanks")
	h.expectVersion("thanks", 2)
	edit(h, object, "thanks", func(o *v1alpha1.AutomationRule) { o.Spec.Description = "For who buys." })
	h.current(object, "thanks")
	h.expectVersion("thanks", 2)

	edit(h, object, "thanks", func(o *v1alpha1.AutomationRule) { o.Spec.Suspend = true })
	h.condition(object, "thanks", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	becomes(h, true, "select suspended from automation_rule")
	edit(h, object, "thanks", func(o *v1alpha1.AutomationRule) { o.Spec.Suspend = false })
	h.condition(object, "thanks", v1alpha1.ReadyCondition, "True", v1alpha1.InForceReason)
	becomes(h, false, "select suspended from automation_rule")

	h.delete(&v1alpha1.AutomationRule{}, "thanks")
	h.gone(object, "thanks")
	becomes(h, true, "select dormant_since is not null from automation_rule")
	h.create(h.rule("thanks"))
	h.current(object, "thanks")
	becomes(h, false, "select dormant_since is not null from automation_rule")
	h.expectVersion("thanks", 3)
}

// TestRuleFollowsItsSchema: what a rule asks of may come after it, and go.
func TestRuleFollowsItsSchema(t *testing.T) {
	h := newHome(t)
	object, rule := &v1alpha1.AutomationRule{}, h.rule("thanks")
	rule.Spec.When = `contact.plan == "club" && event.amount > 5.0`
	h.create(rule)
	// What an event nobody knows is asked for cannot be wrong yet.
	expectParts(t, h.verdict(object, "thanks", v1alpha1.NotFoundReason("EventType"), "InProgress"), "spec.trigger.event", `"purchase"`)
	h.create(h.contact(plan), h.event("purchase", v1alpha1.Property{Name: "amount", Type: v1alpha1.DecimalType}))
	h.current(object, "thanks")
	h.delete(&v1alpha1.EventType{}, "purchase")
	h.verdict(object, "thanks", v1alpha1.NotFoundReason("EventType"), "InProgress")
	h.gone(&v1alpha1.EventType{}, "purchase")
	h.create(h.event("purchase", v1alpha1.Property{Name: "amount", Type: v1alpha1.DecimalType}))
	h.current(object, "thanks")
	h.expectVersion("thanks", 1)
}

// TestRuleThatWritesForAPurposeNobodyKnows: where policies declare purposes, a rule names one of theirs.
func TestRuleThatWritesForAPurposeNobodyKnows(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.AutomationRule{}
	policy := &v1alpha1.ConsentPolicy{ObjectMeta: h.named("people"), Spec: v1alpha1.ConsentPolicySpec{Purposes: []v1alpha1.ConsentPurpose{
		{Name: "news-letter", Basis: v1alpha1.BasisConsent},
	}}}
	h.create(policy, h.event("purchase"), h.channel("news", ""), h.template("spring", "<p>Hola {{ unsubscribe_url }}</p>"), h.rule("thanks", mail("write", "spring")))
	expectParts(t, h.verdict(object, "thanks", v1alpha1.RuleInvalidReason, "Failed"), "spec.steps[write].send.purpose", `"newsletter"`)
	edit(h, &v1alpha1.ConsentPolicy{}, "people", func(p *v1alpha1.ConsentPolicy) { p.Spec.Purposes[0].Name = "newsletter" })
	h.current(object, "thanks")
}

// TestRulesThatStartEachOther: a circle without a wait in it is told to each, whichever rule closes it.
func TestRulesThatStartEachOther(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.AutomationRule{}
	start := func(name v1alpha1.StepName, rule string) v1alpha1.RuleStep {
		return v1alpha1.RuleStep{Name: name, Start: &v1alpha1.StartStep{RuleRef: v1alpha1.LocalReference{Name: rule}}}
	}
	h.create(h.event("purchase"), h.rule("a", start("on", "b")))
	expectParts(t, h.verdict(object, "a", v1alpha1.NotFoundReason("AutomationRule"), "InProgress"), `"b"`, "spec.steps[on].start.ruleRef")
	h.create(h.rule("b", start("on", "c")), h.rule("c"))
	for _, name := range []string{"a", "b", "c"} {
		h.current(object, name)
	}
	edit(h, object, "c", func(o *v1alpha1.AutomationRule) { o.Spec.Steps = []v1alpha1.RuleStep{start("again", "a")} })
	for name, want := range map[string]string{"a": "a → b → c → a", "b": "b → c → a → b", "c": "c → a → b → c"} {
		expectParts(t, h.verdict(object, name, v1alpha1.RuleInvalidReason, "Failed"), want, "].start.ruleRef: ")
	}
	h.expectVersion("c", 1)
	edit(h, object, "c", func(o *v1alpha1.AutomationRule) {
		o.Spec.Steps = []v1alpha1.RuleStep{{Name: "day", Wait: &v1alpha1.WaitStep{For: "1d"}}, start("again", "a")}
	})
	for _, name := range []string{"a", "b", "c"} {
		h.current(object, name)
	}

	// It is told also to who starts one that cannot come into force for another reason.
	edit(h, object, "b", func(o *v1alpha1.AutomationRule) { o.Spec.Key = "event.nothing" })
	h.verdict(object, "b", v1alpha1.RuleInvalidReason, "Failed")
	h.current(object, "a")
	edit(h, object, "c", func(o *v1alpha1.AutomationRule) { o.Spec.Steps = o.Spec.Steps[1:] })
	expectParts(t, h.verdict(object, "a", v1alpha1.RuleInvalidReason, "Failed"), "a → b → c → a")
}

func TestRuleShowsHowItsEntriesStand(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.AutomationRule{}
	h.create(h.event("purchase"), h.rule("thanks"))
	h.current(object, "thanks")
	told := func() {
		t.Helper()
		if err := h.db.NoteStatusChange(t.Context(), store.RuleKind, "thanks"); err != nil {
			t.Fatal(err)
		}
	}
	h.sql("insert into automation_tally (rule_id, slot, waiting, stuck, fired) select id, 0, 40, 0, 700 from automation_rule")
	told()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("thanks"), object)).To(gomega.Succeed())
		g.Expect(*object.Status.Fired).To(gomega.Equal(int64(700)))
	})
	shown := h.columnsOf("automationrules", "thanks")
	delete(shown, "Age")
	want := map[string]string{
		"Name": "thanks", "On": "purchase", "Active": "40", "Waiting": "40", "Stuck": "0", "Fired": "700", "Ready": "True", "Reason": "InForce", "Healthy": "True",
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("columns: -want +got:\n%s", diff)
	}

	// Trouble is told at once, and taken back.
	h.sql("update automation_rule set trouble = 'It began itself again: thanks → thanks. The entry was ended.'")
	told()
	message := h.condition(object, "thanks", v1alpha1.HealthyCondition, "False", v1alpha1.RuleTroubleReason)
	if !strings.Contains(message, "thanks → thanks") {
		t.Errorf("the message: %s", message)
	}
	h.current(object, "thanks")
	h.sql("update automation_rule set trouble = null")
	told()
	h.condition(object, "thanks", v1alpha1.HealthyCondition, "True", v1alpha1.RunningReason)

	// What cannot go on is told with the commonest reason.
	for key, reason := range map[string]string{"a": "the template fails", "b": "the template fails", "c": "another one"} {
		h.sql(`insert into automation_entry (rule_id, version, key, status, state, began_at, since, reason)
			select id, 1, $1, 'Stuck', '{}', now(), now(), $2 from automation_rule`, key, reason)
	}
	told()
	expectParts(t, h.condition(object, "thanks", v1alpha1.HealthyCondition, "False", v1alpha1.EntriesStuckReason), "because of this: the template fails.", "tertulia rule retry thanks")
	h.current(object, "thanks")
}

// TestRuleWaitsForItsQueue: who looks after what somebody wrote may be declared later.
func TestRuleWaitsForItsQueue(t *testing.T) {
	h := newHome(t)
	object, rule := &v1alpha1.AutomationRule{}, h.rule("complaint",
		v1alpha1.RuleStep{Name: "ticket", OpenTicket: &v1alpha1.OpenTicketStep{QueueRef: v1alpha1.LocalReference{Name: "care"}}},
		v1alpha1.RuleStep{Name: "hour", Wait: &v1alpha1.WaitStep{Event: "ticket.answered", For: "1h"}},
		v1alpha1.RuleStep{Name: "lead", Assign: &v1alpha1.AssignStep{To: "care-lead"}},
	)
	rule.Spec.Trigger = v1alpha1.RuleTrigger{Event: "message.received"}
	h.create(rule)
	expectParts(t, h.verdict(object, "complaint", v1alpha1.NotFoundReason("ServiceQueue"), "InProgress"), `"care"`, "spec.steps[ticket].openTicket.queueRef")
	h.create(h.queue("care"))
	h.current(object, "complaint")
	h.expectVersion("complaint", 1)

	// The queue goes: the rule in force stays, and says so.
	h.delete(&v1alpha1.ServiceQueue{}, "care")
	h.verdict(object, "complaint", v1alpha1.NotFoundReason("ServiceQueue"), "InProgress")
	h.expectVersion("complaint", 1)
	edit(h, object, "complaint", func(o *v1alpha1.AutomationRule) { o.Spec.Steps = o.Spec.Steps[1:] })
	expectParts(t, h.verdict(object, "complaint", v1alpha1.RuleInvalidReason, "Failed"), "spec.steps[lead].assign: ", "openTicket")
}
