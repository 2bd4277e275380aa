package controllers_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

func (h *home) sendPolicy(name string, spec v1alpha1.SendPolicySpec) *v1alpha1.SendPolicy {
	return &v1alpha1.SendPolicy{ObjectMeta: h.named(name), Spec: spec}
}

// readyToSend makes what a campaign needs.
func (h *home) readyToSend() {
	h.t.Helper()
	h.create(h.channel("news", ""), h.template("spring", "<p>Hola</p>"), h.segment("all", "true"))
	h.verdict(&v1alpha1.Segment{}, "all", v1alpha1.BuildingReason, "InProgress")
	h.built("all", 1)
	h.current(&v1alpha1.Segment{}, "all")
}

func TestACampaignThatBreaksAPolicyIsStalled(t *testing.T) {
	h := newHome(t)
	h.readyToSend()
	h.create(h.campaign("spring"), h.campaign("summer"))
	h.current(&v1alpha1.Campaign{}, "spring")
	h.current(&v1alpha1.Campaign{}, "summer")

	rule := v1alpha1.CampaignRule{
		Name: "not-on-sundays", Message: "Nobody wants mail on a Sunday: choose another day.",
		Expression: `campaign.weekday != "Sunday" || campaign.name == "summer"`,
	}
	object := &v1alpha1.SendPolicy{}
	h.create(h.sendPolicy("calm", v1alpha1.SendPolicySpec{Rules: []v1alpha1.CampaignRule{rule}}))
	expectParts(t, h.verdict(&v1alpha1.Campaign{}, "spring", v1alpha1.PolicyViolatedReason, "Failed"),
		`"calm"`, `"not-on-sundays"`, "Nobody wants mail on a Sunday")
	becomes(h, true, "select suspended from send where campaign = 'spring'")
	h.current(&v1alpha1.Campaign{}, "summer")
	h.eventually(func(g gomega.Gomega) {
		h.current(object, "calm")
		g.Expect(object.Status.CampaignsInViolation).To(gomega.HaveLen(1))
	})
	want := []v1alpha1.CampaignViolation{{Campaign: "spring", Message: `rule "not-on-sundays": Nobody wants mail on a Sunday: choose another day.`}}
	if diff := cmp.Diff(want, object.Status.CampaignsInViolation); diff != "" || *object.Status.Violations != 1 {
		t.Errorf("violations %d: -want +got:\n%s", *object.Status.Violations, diff)
	}

	// The author moves the campaign to Monday.
	edit(h, &v1alpha1.Campaign{}, "spring", func(c *v1alpha1.Campaign) { c.Spec.Schedule.At = "2027-03-22T09:00:00" })
	h.current(&v1alpha1.Campaign{}, "spring")
	becomes(h, false, "select suspended from send where campaign = 'spring'")
	h.eventually(func(g gomega.Gomega) {
		h.current(object, "calm")
		g.Expect(object.Status.CampaignsInViolation).To(gomega.BeEmpty())
	})

	edit(h, object, "calm", func(p *v1alpha1.SendPolicy) { p.Spec.MaxAudience = 99 })
	expectParts(t, h.verdict(&v1alpha1.Campaign{}, "spring", v1alpha1.PolicyViolatedReason, "Failed"), "maxRecipients is 100", "allows 99")
	edit(h, object, "calm", func(p *v1alpha1.SendPolicy) { p.Spec.ExemptPurposes = []v1alpha1.PurposeName{"newsletter"} })
	h.current(&v1alpha1.Campaign{}, "spring")
	edit(h, object, "calm", func(p *v1alpha1.SendPolicy) { p.Spec.ExemptPurposes = nil })
	h.verdict(&v1alpha1.Campaign{}, "spring", v1alpha1.PolicyViolatedReason, "Failed")
	h.delete(&v1alpha1.SendPolicy{}, "calm")
	h.gone(object, "calm")
	h.current(&v1alpha1.Campaign{}, "spring")
}

func TestAPolicyThatCannotBeInForceSaysWhy(t *testing.T) {
	h := newHome(t)
	rule := func(expression string) v1alpha1.SendPolicySpec {
		return v1alpha1.SendPolicySpec{Rules: []v1alpha1.CampaignRule{{Name: "r", Expression: expression, Message: "no"}}}
	}
	for name, c := range map[string]struct {
		spec   v1alpha1.SendPolicySpec
		reason string
		parts  []string
	}{
		"unknown-field": {rule("campaign.recipients > 1"), v1alpha1.ExpressionInvalidReason, []string{`"r"`, "1:10: campaign has no field", "maxRecipients"}},
		"no-condition":  {rule("campaign.maxRecipients"), v1alpha1.ExpressionInvalidReason, []string{"(Integer), not a condition"}},
		"wrong-type":    {rule("campaign.maxRecipients > 'many'"), v1alpha1.ExpressionInvalidReason, []string{"1:24: cannot compare campaign.maxRecipients (Integer) with a String"}},
		"long-window": {
			v1alpha1.SendPolicySpec{FrequencyCaps: []v1alpha1.FrequencyCap{{Name: "c", Max: 1, Window: "400d"}}},
			v1alpha1.InvalidSpecReason,
			[]string{`"c"`, "366d"},
		},
		"never": {
			v1alpha1.SendPolicySpec{QuietHours: []v1alpha1.HoursWindow{{From: "08:00", To: "08:00"}}},
			v1alpha1.InvalidSpecReason,
			[]string{"quietHours", "no minute"},
		},
	} {
		h.create(h.sendPolicy(name, c.spec))
		expectParts(t, h.verdict(&v1alpha1.SendPolicy{}, name, c.reason, "Failed"), c.parts...)
	}
	if n := ask[int64](h, "select count(*) from send_policy"); n != 0 {
		t.Errorf("%d policies that are not sound are in force", n)
	}
}

func TestConsentPolicyDeclaresPurposes(t *testing.T) {
	h := newHome(t)
	h.readyToSend()
	h.create(h.campaign("spring"))
	h.current(&v1alpha1.Campaign{}, "spring")
	text := func(version, words string) *v1alpha1.ConsentText {
		return &v1alpha1.ConsentText{Version: version, Content: []v1alpha1.LocalizedText{{Locale: "es", Content: words}}}
	}
	people := &v1alpha1.ConsentPolicy{ObjectMeta: h.named("people"), Spec: v1alpha1.ConsentPolicySpec{Purposes: []v1alpha1.ConsentPurpose{
		{Name: "news-letter", Basis: v1alpha1.BasisConsent, Text: text("1", "Quiero el boletín.")}, {Name: "receipts", Basis: v1alpha1.BasisContract},
	}}}
	h.create(people)
	object := &v1alpha1.ConsentPolicy{}
	h.current(object, "people")
	expectParts(t, h.verdict(&v1alpha1.Campaign{}, "spring", v1alpha1.PurposeUnknownReason, "Failed"), `"newsletter"`, `did you mean "news-letter"`)

	edit(h, object, "people", func(p *v1alpha1.ConsentPolicy) { p.Spec.Purposes[0].Name = "newsletter" })
	h.current(&v1alpha1.Campaign{}, "spring")
	becomes(h, []string{"newsletter", "receipts"}, "select array_agg(name order by position) from purpose")

	edit(h, object, "people", func(p *v1alpha1.ConsentPolicy) { p.Spec.Purposes[0].Text = text("1", "Quiero más correo.") })
	expectParts(t, h.verdict(object, "people", v1alpha1.TextChangedReason, "Failed"), `"newsletter"`, `"1"`, "version of its own")
	edit(h, object, "people", func(p *v1alpha1.ConsentPolicy) { p.Spec.Purposes[0].Text = text("2", "Quiero más correo.") })
	h.current(object, "people")

	other := &v1alpha1.ConsentPolicy{ObjectMeta: h.named("others"), Spec: v1alpha1.ConsentPolicySpec{Purposes: []v1alpha1.ConsentPurpose{
		{Name: "receipts", Basis: v1alpha1.BasisContract},
	}}}
	h.create(other)
	expectParts(t, h.verdict(&v1alpha1.ConsentPolicy{}, "others", v1alpha1.PurposeTakenReason, "Failed"), `"people"`, `"receipts"`)

	edit(h, object, "people", func(p *v1alpha1.ConsentPolicy) { p.Spec.Suspend = true })
	h.condition(object, "people", v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.SuspendedReason)
	h.delete(&v1alpha1.ConsentPolicy{}, "people")
	h.gone(object, "people")
	h.current(&v1alpha1.ConsentPolicy{}, "others")
	h.verdict(&v1alpha1.Campaign{}, "spring", v1alpha1.PurposeUnknownReason, "Failed")
	h.delete(&v1alpha1.ConsentPolicy{}, "others")
	h.current(&v1alpha1.Campaign{}, "spring")
}

func TestConsentPolicyNeedsItsMail(t *testing.T) {
	h := newHome(t)
	policy := &v1alpha1.ConsentPolicy{ObjectMeta: h.named("people"), Spec: v1alpha1.ConsentPolicySpec{
		Purposes:     []v1alpha1.ConsentPurpose{{Name: "newsletter", Basis: v1alpha1.BasisConsent, DoubleOptIn: true}},
		Confirmation: &v1alpha1.Confirmation{TemplateRef: v1alpha1.LocalReference{Name: "confirm"}, ChannelRef: v1alpha1.LocalReference{Name: "news"}},
	}}
	object := &v1alpha1.ConsentPolicy{}
	h.create(policy)
	expectParts(t, h.verdict(object, "people", v1alpha1.NotFoundReason("MessageTemplate"), "InProgress"), `"confirm"`)
	h.create(h.template("confirm", "<p>Hola</p>"))
	expectParts(t, h.verdict(object, "people", v1alpha1.NotFoundReason("MessageChannel"), "InProgress"), `"news"`)
	h.create(h.channel("news", ""))
	expectParts(t, h.verdict(object, "people", v1alpha1.TemplateInvalidReason, "InProgress"), "{{ confirm_url }}")
	edit(h, &v1alpha1.MessageTemplate{}, "confirm", func(m *v1alpha1.MessageTemplate) {
		m.Spec.Content[0].HTML = `<a href="{{ confirm_url }}">Sí</a>`
	})
	h.current(object, "people")
	becomes(h, "confirm", "select template from consent_policy where name = 'people'")
}
