package controllers_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func (h *home) monitor(name string, topics ...v1alpha1.MonitorTopic) *v1alpha1.Monitor {
	if len(topics) == 0 {
		topics = []v1alpha1.MonitorTopic{{Name: "velo", Role: v1alpha1.BrandTopic, Any: []v1alpha1.TopicTerm{{Word: "velo"}}}}
	}
	return &v1alpha1.Monitor{ObjectMeta: h.named(name), Spec: v1alpha1.MonitorSpec{Topics: topics}}
}

// topics are those that are in force, as "monitor/topic".
func (h *home) topics() (found []string) {
	h.t.Helper()
	topics, _, err := h.db.Topics(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, t := range topics {
		found = append(found, t.Monitor+"/"+t.Name)
	}
	slices.Sort(found)
	return found
}

func (h *home) expectTopics(want ...string) {
	h.t.Helper()
	if got := h.topics(); !slices.Equal(got, want) {
		h.t.Errorf("topics in force: %v, want %v", got, want)
	}
}

func TestMonitorIsDeclaredEditedAndComesBack(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.Monitor{}
	h.create(h.monitor("brand"))
	h.current(object, "brand")
	h.expectTopics("brand/velo")
	if *object.Status.Topics != 1 || object.Status.Baseline != v1alpha1.BaselineLearning || *object.Status.OpenIncidents != 0 || object.Status.NegativePercent != nil {
		t.Errorf("status: %+v", object.Status)
	}
	expectParts(t, meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ReadyCondition).Message, "no SocialSource yet")

	edit(h, object, "brand", func(o *v1alpha1.Monitor) {
		o.Spec.Topics = append(o.Spec.Topics, v1alpha1.MonitorTopic{Name: "pedalia", Role: v1alpha1.CompetitorTopic, Any: []v1alpha1.TopicTerm{{Word: "pedalia"}, {Phrase: "…"}}})
	})
	expectParts(t, h.verdict(object, "brand", v1alpha1.TopicInvalidReason, "Failed"), `topic "pedalia"`, `any 2, phrase "…"`)
	h.expectTopics("brand/velo")
	edit(h, object, "brand", func(o *v1alpha1.Monitor) { o.Spec.Topics[1].Any = o.Spec.Topics[1].Any[:1] })
	h.current(object, "brand")
	h.expectTopics("brand/pedalia", "brand/velo")

	edit(h, object, "brand", func(o *v1alpha1.Monitor) { o.Spec.Suspend = true })
	h.condition(object, "brand", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	if shown := h.columnsOf("monitors", "brand"); shown["Reason"] != v1alpha1.SuspendedReason {
		t.Errorf("columns of a suspended one: %v", shown)
	}
	h.expectTopics()
	edit(h, object, "brand", func(o *v1alpha1.Monitor) { o.Spec.Suspend = false })
	h.condition(object, "brand", v1alpha1.ReadyCondition, "True", v1alpha1.InForceReason)

	topic := ask[int64](h, "select id from topic where name = 'velo'")
	h.delete(&v1alpha1.Monitor{}, "brand")
	h.gone(object, "brand")
	h.expectTopics()
	if ask[int64](h, "select count(*) from topic") != 2 {
		t.Error("deleting the object deleted what was counted")
	}
	h.create(h.monitor("brand"))
	h.current(object, "brand")
	h.expectTopics("brand/velo")
	if ask[int64](h, "select id from topic where name = 'velo'") != topic {
		t.Error("what comes back is another topic")
	}
}

func TestMonitorWaitsForItsSources(t *testing.T) {
	h := newHome(t)
	object, monitor := &v1alpha1.Monitor{}, h.monitor("brand")
	monitor.Spec.Sources = []v1alpha1.LocalReference{{Name: "blog"}}
	h.create(monitor, h.feed("other"))
	expectParts(t, h.verdict(object, "brand", v1alpha1.NotFoundReason("SocialSource"), "InProgress"), `"blog"`, "spec.sources")
	h.expectTopics()
	h.create(h.feed("blog"))
	h.current(object, "brand")
	if topics, _, err := h.db.Topics(t.Context()); err != nil || len(topics) != 1 || !slices.Equal(topics[0].Sources, []string{"blog"}) {
		t.Errorf("%+v, %v", topics, err)
	}
	h.delete(&v1alpha1.SocialSource{}, "blog")
	h.verdict(object, "brand", v1alpha1.NotFoundReason("SocialSource"), "InProgress")
	h.gone(&v1alpha1.SocialSource{}, "blog")
	h.create(h.feed("blog"))
	h.current(object, "brand")
}

func TestMonitorShowsWhatWasCounted(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.Monitor{}
	h.create(h.feed("blog"), h.monitor("brand"))
	h.current(&v1alpha1.SocialSource{}, "blog")
	h.current(object, "brand")
	told := func() {
		t.Helper()
		if err := h.db.NoteStatusChange(t.Context(), store.MonitorKind, "brand"); err != nil {
			t.Fatal(err)
		}
	}
	h.sql("insert into monitor_detector (topic_id, ready) select id, true from topic on conflict (topic_id) do update set ready = true")
	h.sql(`insert into monitor_tally (topic_id, source_id, step, mentions, negatives)
		select t.id, s.id, date_bin('5 min', now() - interval '1 hour', '2001-01-01'), 40, 9 from topic t, social_source s`)
	told()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("brand"), object)).To(gomega.Succeed())
		g.Expect(object.Status.Baseline).To(gomega.Equal(v1alpha1.BaselineReady))
		g.Expect(*object.Status.Mentions24h).To(gomega.Equal(int64(40)))
		g.Expect(*object.Status.NegativePercent).To(gomega.Equal(int32(23)))
	})
	if meta.FindStatusCondition(object.Status.Conditions, v1alpha1.CrisisCondition) != nil {
		t.Error("a crisis is told of where there is none")
	}

	// An incident is told at once, and as an event; its end too.
	h.sql(`insert into incident (topic_id, from_history, began, opened, last_unusual, rule, evidence, peak, peak_usual)
		select id, false, now(), now(), now(), 'Burst', '{}', 30, 2 from topic`)
	told()
	expectParts(t, h.condition(object, "brand", v1alpha1.CrisisCondition, "True", v1alpha1.IncidentOpenReason), "tertulia monitor incidents brand")
	if *object.Status.OpenIncidents != 1 {
		t.Errorf("open incidents: %d", *object.Status.OpenIncidents)
	}
	h.current(object, "brand")
	shown := h.columnsOf("monitors", "brand")
	delete(shown, "Age")
	want := map[string]string{
		"Name": "brand", "Topics": "1", "Baseline": "Ready", "Mentions 24h": "40", "Negative %": "23", "Incidents": "1", "Ready": "True",
		"Reason": v1alpha1.InForceReason,
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("columns: -want +got:\n%s", diff)
	}
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.eventNotes("brand", v1alpha1.IncidentOpenedReason)).To(gomega.HaveLen(1))
	})
	// What else is written meanwhile opens it no second time.
	edit(h, object, "brand", func(o *v1alpha1.Monitor) { o.Spec.Suspend = true })
	h.condition(object, "brand", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	edit(h, object, "brand", func(o *v1alpha1.Monitor) { o.Spec.Suspend = false })
	h.condition(object, "brand", v1alpha1.ReadyCondition, "True", v1alpha1.InForceReason)
	h.sql("update incident set closed = now(), ending = 'Calmed'")
	told()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("brand"), object)).To(gomega.Succeed())
		g.Expect(*object.Status.OpenIncidents).To(gomega.BeZero())
		g.Expect(meta.FindStatusCondition(object.Status.Conditions, v1alpha1.CrisisCondition)).To(gomega.BeNil())
		g.Expect(h.eventNotes("brand", v1alpha1.IncidentsClosedReason)).To(gomega.HaveLen(1))
	})
	if notes := h.eventNotes("brand", v1alpha1.IncidentOpenedReason); len(notes) != 1 {
		t.Errorf("the incident opened %d times", len(notes))
	}
}

func TestMonitorThatIsRefusedShowsWhatGoesOn(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.Monitor{}
	h.create(h.monitor("brand"))
	h.current(object, "brand")
	broken := func(o *v1alpha1.Monitor) { o.Spec.Topics[0].Any = []v1alpha1.TopicTerm{{Phrase: "…"}} }
	edit(h, object, "brand", broken)
	h.verdict(object, "brand", v1alpha1.TopicInvalidReason, "Failed")
	h.sql(`insert into incident (topic_id, from_history, began, opened, last_unusual, rule, evidence, peak, peak_usual)
		select id, false, now(), now(), now(), 'Burst', '{}', 30, 2 from topic`)
	if err := h.db.NoteStatusChange(t.Context(), store.MonitorKind, "brand"); err != nil {
		t.Fatal(err)
	}
	h.condition(object, "brand", v1alpha1.CrisisCondition, "True", v1alpha1.IncidentOpenReason)
	h.verdict(object, "brand", v1alpha1.TopicInvalidReason, "Failed")
	if *object.Status.OpenIncidents != 1 || *object.Status.Topics != 1 {
		t.Errorf("status: %+v", object.Status)
	}
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.eventNotes("brand", v1alpha1.IncidentOpenedReason)).To(gomega.HaveLen(1))
	})

	// Of one that was deleted nothing goes on.
	h.delete(&v1alpha1.Monitor{}, "brand")
	h.gone(object, "brand")
	again := h.monitor("brand")
	broken(again)
	h.create(again)
	h.verdict(object, "brand", v1alpha1.TopicInvalidReason, "Failed")
	if object.Status.OpenIncidents != nil || object.Status.Topics != nil {
		t.Errorf("status of one that is not in force: %+v", object.Status)
	}
}
