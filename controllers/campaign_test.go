package controllers_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// withReferences makes what the campaigns of a test name.
func withReferences(t *testing.T) *home {
	t.Helper()
	h := newHome(t)
	h.create(h.channel("news", ""), h.template("spring", "<p>{{ unsubscribe_url }}</p>"), h.segment("all", "true"))
	h.current(&v1alpha1.MessageChannel{}, "news")
	h.current(&v1alpha1.MessageTemplate{}, "spring")
	h.verdict(&v1alpha1.Segment{}, "all", v1alpha1.BuildingReason, "InProgress")
	h.built("all", 3)
	h.current(&v1alpha1.Segment{}, "all")
	return h
}

// sending does what a worker does for a campaign: it changes the send's row and tells the operator.
func (h *home) sending(name, change string) {
	h.t.Helper()
	h.sql("update send set "+change+" where campaign = $1", name)
	if err := h.db.NoteStatusChange(h.t.Context(), store.CampaignKind, name); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) phase(name string, want v1alpha1.CampaignPhase) *v1alpha1.Campaign {
	h.t.Helper()
	object := &v1alpha1.Campaign{}
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		g.Expect(object.Status.Phase).To(gomega.Equal(want))
	})
	return object
}

func TestCampaignWaitsForWhatItNamesAndHeals(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.Campaign{}
	h.create(h.campaign("spring-2027"))
	expectParts(t, h.verdict(object, "spring-2027", v1alpha1.NotFoundReason("MessageChannel"), "InProgress"), `"news"`)
	h.create(h.channel("news", ""))
	expectParts(t, h.verdict(object, "spring-2027", v1alpha1.NotFoundReason("MessageTemplate"), "InProgress"), `"spring"`)
	h.create(h.template("spring", "{{ unsubscribe_url }}"))
	expectParts(t, h.verdict(object, "spring-2027", v1alpha1.NotFoundReason("Segment"), "InProgress"), `"all"`)
	h.current(&v1alpha1.MessageChannel{}, "news")
	h.current(&v1alpha1.MessageTemplate{}, "spring")
	h.create(h.segment("all", "true"))
	h.eventually(func(g gomega.Gomega) { // the operator may hear of the channel and the template later than this test
		g.Expect(h.verdict(object, "spring-2027", v1alpha1.DependencyNotReady, "InProgress")).To(gomega.ContainSubstring(`Segment "all"`))
	})
	if got := ask[int64](h, "select count(*) from send"); got != 0 {
		t.Errorf("%d sends were declared before everything was there", got)
	}
	h.verdict(&v1alpha1.Segment{}, "all", v1alpha1.BuildingReason, "InProgress")
	h.built("all", 3)
	h.current(object, "spring-2027")
	if object.Status.Phase != v1alpha1.CampaignScheduled {
		t.Errorf("phase: got %q", object.Status.Phase)
	}
	// 9:00 in the tenant's zone, Madrid.
	if want := time.Date(2027, 3, 21, 8, 0, 0, 0, time.UTC); !object.Status.ScheduledFor.Time.Equal(want) {
		t.Errorf("scheduled for %s, want %s", object.Status.ScheduledFor, want)
	}
}

func TestCampaignPausesWhileItCannotBeAccepted(t *testing.T) {
	h := withReferences(t)
	object := &v1alpha1.Campaign{}
	h.create(h.campaign("spring-2027"))
	h.current(object, "spring-2027")
	edit(h, object, "spring-2027", func(o *v1alpha1.Campaign) { o.Spec.Audience.Segments[0].Name = "narrower" })
	h.verdict(object, "spring-2027", v1alpha1.NotFoundReason("Segment"), "InProgress")
	becomes(h, true, "select suspended from send")
	becomes(h, "{all}", "select segments::text from send")
	edit(h, object, "spring-2027", func(o *v1alpha1.Campaign) { o.Spec.Audience.Segments[0].Name = "all" })
	h.current(object, "spring-2027")
	becomes(h, false, "select suspended from send")

	edit(h, object, "spring-2027", func(o *v1alpha1.Campaign) { o.Spec.Schedule.TimeZone = "Europe/Atlantis" })
	expectParts(t, h.verdict(object, "spring-2027", v1alpha1.InvalidSpecReason, "Failed"), "Atlantis", "spec.schedule")
	becomes(h, true, "select suspended from send")
	edit(h, object, "spring-2027", func(o *v1alpha1.Campaign) { o.Spec.Schedule.TimeZone = "" })
	h.current(object, "spring-2027")
	becomes(h, false, "select suspended from send")
}

func TestSendKeyBelongsToOneCampaign(t *testing.T) {
	h := withReferences(t)
	h.create(h.campaign("first"))
	h.current(&v1alpha1.Campaign{}, "first")
	second := h.campaign("second")
	second.Spec.SendKey = "first"
	h.create(second)
	expectParts(t, h.verdict(&v1alpha1.Campaign{}, "second", v1alpha1.SendKeyTakenReason, "Failed"), `"first"`)
	h.delete(&v1alpha1.Campaign{}, "second")
	h.gone(&v1alpha1.Campaign{}, "second")
	if ask[bool](h, "select dormant_since is not null from send where campaign = 'first'") {
		t.Error("deleting the second stopped the first")
	}
}

func TestCampaignShowsHowItsSendGoes(t *testing.T) {
	h := withReferences(t)
	h.create(h.campaign("spring-2027"))
	object := &v1alpha1.Campaign{}
	h.current(object, "spring-2027")
	h.condition(object, "spring-2027", v1alpha1.HealthyCondition, "True", v1alpha1.DeliveringReason)

	h.sending("spring-2027", "state = 'Held', message = 'The audience is larger than spec.audience.maxRecipients.'")
	h.phase("spring-2027", v1alpha1.CampaignHeld)
	expectParts(t, h.condition(object, "spring-2027", v1alpha1.HealthyCondition, "False", v1alpha1.AttentionNeededReason), "maxRecipients")
	h.current(object, "spring-2027")

	h.sql(`insert into send_tally select id, 1, o, n from send, (values ('planned', 10), ('sent', 4), ('failed', 1), ('ambiguous', 1), ('skipped:NoConsent', 2)) t(o, n)`)
	h.sending("spring-2027", "state = 'Sending', message = null, frozen_at = now(), audience = 10")
	object = h.phase("spring-2027", v1alpha1.CampaignSending)
	n := func(value int64) *int64 { return &value }
	want := v1alpha1.CampaignStatus{
		Status: object.Status.Status, Phase: v1alpha1.CampaignSending, ScheduledFor: object.Status.ScheduledFor,
		Planned: n(10), Sent: n(4), Failed: n(1), Ambiguous: n(1), Skipped: n(2), Pending: n(2), Progress: "4/10",
		SkippedByReason: []v1alpha1.SkipCount{{Reason: "NoConsent", Count: 2}}, Where: "news (Email)", What: "spring",
	}
	if diff := cmp.Diff(want, object.Status); diff != "" {
		t.Errorf("status: -want +got:\n%s", diff)
	}
	if err := h.db.SetChannelTrouble(t.Context(), "news", "The relay does not answer."); err != nil {
		t.Fatal(err)
	}
	h.condition(object, "spring-2027", v1alpha1.HealthyCondition, "False", v1alpha1.ChannelTroubleReason)
	h.current(object, "spring-2027")

	edit(h, object, "spring-2027", func(o *v1alpha1.Campaign) { o.Spec.Suspend = true })
	h.phase("spring-2027", v1alpha1.CampaignPaused)
	h.current(object, "spring-2027")
	edit(h, object, "spring-2027", func(o *v1alpha1.Campaign) { o.Spec.Suspend, o.Spec.Audience.MaxRecipients = false, 5 })
	h.phase("spring-2027", v1alpha1.CampaignSending)
	expectParts(t, h.condition(object, "spring-2027", v1alpha1.ReadyCondition, "True", v1alpha1.InForceReason), "spec.audience.maxRecipients")

	// A frozen audience does not follow its segments any more.
	h.delete(&v1alpha1.Segment{}, "all")
	h.gone(&v1alpha1.Segment{}, "all")
	h.sql("update send_tally set n = n + 2 where outcome = 'sent'")
	h.sending("spring-2027", "state = 'Completed', finished_at = now()")
	object = h.phase("spring-2027", v1alpha1.CampaignCompleted)
	if object.Status.FinishedAt == nil || object.Status.Progress != "6/10" {
		t.Errorf("status: %+v", object.Status)
	}
	h.current(object, "spring-2027")
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.eventNotes("spring-2027", "Held")).To(gomega.HaveLen(1))
		g.Expect(h.eventNotes("spring-2027", "Completed")).To(gomega.HaveLen(1))
	})
}

func TestDeletedCampaignStopsAndGoesOnWhenItIsBack(t *testing.T) {
	h := withReferences(t)
	h.create(h.campaign("spring-2027"))
	h.current(&v1alpha1.Campaign{}, "spring-2027")
	h.sending("spring-2027", "state = 'Sending', frozen_at = now()")
	h.phase("spring-2027", v1alpha1.CampaignSending)
	h.delete(&v1alpha1.Campaign{}, "spring-2027")
	h.gone(&v1alpha1.Campaign{}, "spring-2027")
	if !ask[bool](h, "select dormant_since is not null from send") {
		t.Error("the send goes on without its campaign")
	}
	again := h.campaign("spring-again")
	again.Spec.SendKey = "spring-2027"
	h.create(again)
	h.phase("spring-again", v1alpha1.CampaignSending)
	h.current(&v1alpha1.Campaign{}, "spring-again")
	if got := ask[int64](h, "select count(*) from send where dormant_since is null"); got != 1 {
		t.Errorf("%d sends in force, want the adopted one", got)
	}
}
