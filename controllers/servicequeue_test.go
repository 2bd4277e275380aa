package controllers_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// queue is a queue of one agent who is promised to answer within a working day.
func (h *home) queue(name string) *v1alpha1.ServiceQueue {
	return &v1alpha1.ServiceQueue{ObjectMeta: h.named(name), Spec: v1alpha1.ServiceQueueSpec{
		Routing: &v1alpha1.QueueRouting{Mode: v1alpha1.RouteRoundRobin, Agents: []v1alpha1.QueueAgent{{Name: "ana"}}},
		Targets: []v1alpha1.QueueTarget{{Priority: v1alpha1.NormalTicket, FirstResponse: "8h"}},
	}}
}

// webhook is a channel of programs. Its Secret need not be there.
func (h *home) webhook(name string) *v1alpha1.MessageChannel {
	return &v1alpha1.MessageChannel{ObjectMeta: h.named(name), Spec: v1alpha1.MessageChannelSpec{
		Type: v1alpha1.WebhookChannel, Webhook: &v1alpha1.WebhookSettings{URL: "https://room.velo.example/hook", SecretRef: v1alpha1.LocalReference{Name: "signs"}},
	}}
}

// stored is a queue as workers read it.
func (h *home) stored(name string) (found store.QueueState) {
	h.t.Helper()
	found, err := h.db.LoadQueueState(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

func TestQueueWaitsForWhatItNames(t *testing.T) {
	h := newHome(t)
	object, queue := &v1alpha1.ServiceQueue{}, h.queue("care")
	queue.Spec.Tickets = `in_segment("club") && message.sentiment < -0.3`
	queue.Spec.Escalations = []v1alpha1.QueueEscalation{{
		Name: "tell", Target: v1alpha1.FirstResponseTarget, After: 100, Notify: &v1alpha1.QueueNotice{ChannelRef: v1alpha1.LocalReference{Name: "room"}},
	}}
	h.create(queue)
	expectParts(t, h.verdict(object, "care", v1alpha1.NotFoundReason("Segment"), "InProgress"), `"club"`, "spec.tickets: 1:12")
	h.create(h.segment("club", `contact.locale == "es"`))
	expectParts(t, h.verdict(object, "care", v1alpha1.NotFoundReason("MessageChannel"), "InProgress"), `"room"`, "spec.escalations[tell].notify.channelRef")
	h.create(h.webhook("room"))
	h.current(object, "care")

	// What it names goes: it stays in force as it was.
	h.delete(&v1alpha1.MessageChannel{}, "room")
	h.verdict(object, "care", v1alpha1.NotFoundReason("MessageChannel"), "InProgress")
	if !h.stored("care").InForce || object.Status.Backlog == nil {
		t.Errorf("a queue is not in force any more while its channel is away: %+v", object.Status)
	}
	h.gone(&v1alpha1.MessageChannel{}, "room")
	h.create(h.channel("room", ""))
	expectParts(t, h.verdict(object, "care", v1alpha1.InvalidSpecReason, "Failed"), "of type Email", "Webhook")
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) { q.Spec.Escalations[0].Notify.ChannelRef.Name = "hook" })
	h.create(h.webhook("hook"))
	h.current(object, "care")
}

func TestQueueIsEditedSuspendedAndComesBack(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.ServiceQueue{}
	h.create(h.queue("care"))
	h.current(object, "care")
	if *object.Status.Agents != 1 || *object.Status.Backlog != 0 || *object.Status.Unassigned != 0 || *object.Status.Breached != 0 {
		t.Errorf("status: %+v", object.Status)
	}
	// All mistakes are told at once; what was in force stays.
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) {
		q.Spec.Hours = &v1alpha1.QueueHours{TimeZone: "Nowhere/At_All"}
		q.Spec.Routing.StickyFor = "0d"
		q.Spec.ReopenWithin = "400d"
		q.Spec.Escalations = []v1alpha1.QueueEscalation{{Name: "late", Target: v1alpha1.ResolutionTarget, After: 100, Route: true}}
	})
	expectParts(t, h.verdict(object, "care", v1alpha1.InvalidSpecReason, "Failed"),
		"spec.hours.timeZone: ", "spec.reopenWithin: ", "spec.escalations[late].target: no priority has a resolution")
	if !h.stored("care").InForce {
		t.Error("a refused edit took the queue out of force")
	}
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) {
		q.Spec = h.queue("care").Spec
		q.Spec.Tickets = "message.sentimnet < 0.0"
	})
	expectParts(t, h.verdict(object, "care", v1alpha1.ExpressionInvalidReason, "Failed"), "spec.tickets: 1:", `did you mean "sentiment"`)
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) { q.Spec.Tickets = `message.text.contains("ana@velo.example")` })
	expectParts(t, h.verdict(object, "care", v1alpha1.ExpressionInvalidReason, "Failed"), "spec.tickets: 1:23: an address or a number of a person")
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) { q.Spec.Tickets = "message.sentiment < -0.3" })
	h.current(object, "care")

	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) { q.Spec.Suspend = true })
	h.condition(object, "care", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	becomes(h, true, "select suspended from service_queue")
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) { q.Spec.Suspend = false })
	h.condition(object, "care", v1alpha1.ReadyCondition, "True", v1alpha1.InForceReason)
	becomes(h, false, "select suspended from service_queue")

	// One that cannot be accepted and is to stop does stop.
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) { q.Spec.Suspend, q.Spec.ReopenWithin = true, "400d" })
	h.verdict(object, "care", v1alpha1.InvalidSpecReason, "Failed")
	becomes(h, true, "select suspended from service_queue")
	edit(h, object, "care", func(q *v1alpha1.ServiceQueue) { q.Spec.Suspend, q.Spec.ReopenWithin = false, "" })
	h.current(object, "care")
	becomes(h, false, "select suspended from service_queue")

	h.delete(&v1alpha1.ServiceQueue{}, "care")
	h.gone(object, "care")
	if h.stored("care").InForce {
		t.Error("a queue that was deleted is in force")
	}
	h.create(h.queue("care"))
	h.current(object, "care")
	if !h.stored("care").InForce {
		t.Error("a queue that came back is not in force")
	}
}

// TestQueueFollowsItsSchema: what its condition asks of may come after it, and go.
func TestQueueFollowsItsSchema(t *testing.T) {
	h := newHome(t)
	object, queue := &v1alpha1.ServiceQueue{}, h.queue("care")
	queue.Spec.Tickets = `contact.plan == "club"`
	h.create(queue)
	expectParts(t, h.verdict(object, "care", v1alpha1.ExpressionInvalidReason, "Failed"), "spec.tickets: 1:9")
	h.create(h.contact(plan))
	h.current(object, "care")
}

func TestQueueShowsHowManyWait(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.ServiceQueue{}
	h.create(h.queue("care"))
	h.current(object, "care")
	tell := func() {
		t.Helper()
		if err := h.db.NoteStatusChange(t.Context(), store.QueueKind, "care"); err != nil {
			t.Fatal(err)
		}
	}
	h.sql("insert into service_tally (queue_id, slot, backlog, unassigned, breached) select id, 0, 3, 2, 1 from service_queue")
	tell()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("care"), object)).To(gomega.Succeed())
		g.Expect(*object.Status.Backlog).To(gomega.Equal(int64(3)))
	})
	shown := h.columnsOf("servicequeues", "care")
	delete(shown, "Age")
	want := map[string]string{"Name": "care", "Backlog": "3", "Unassigned": "2", "Breached": "1", "Agents": "1", "Ready": "True", "Reason": "InForce", "Healthy": "True"}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("columns: -want +got:\n%s", diff)
	}

	// Trouble is told at once, and taken back.
	h.sql("update service_queue set trouble = 'Nobody can take its tickets.'")
	tell()
	h.condition(object, "care", v1alpha1.HealthyCondition, "False", v1alpha1.QueueTroubleReason)
	h.sql("update service_queue set trouble = null")
	tell()
	h.condition(object, "care", v1alpha1.HealthyCondition, "True", v1alpha1.RunningReason)
}
