package controllers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// kindSizes are how many objects of each kind the steady state is proved with: 200 beside the tenant itself.
const (
	manyEvents    = 47
	manySegments  = 46
	manyTemplates = 40
	manyChannels  = 20
	manyCampaigns = 30
	manySources   = 6
	manyMonitors  = 4
	manyRules     = 5
	manyQueues    = 1
)

// settleMany makes 200 objects and waits until kstatus reads each of them as Current.
func settleMany(h *home) (objects int) {
	h.t.Helper()
	settled := map[string]v1alpha1.Object{}
	add := func(name string, o v1alpha1.Object) {
		h.create(o)
		settled[fmt.Sprintf("%T/%s", o, name)] = o
	}
	add("contact", h.contact(plan, v1alpha1.Attribute{Name: "spent", Type: v1alpha1.DecimalType, Indexed: true}))
	for i := range manyEvents {
		add("e", h.event(fmt.Sprintf("event-%d", i), v1alpha1.Property{Name: "amount", Type: v1alpha1.DecimalType}))
	}
	for i := range manyChannels {
		add("c", h.channel(fmt.Sprintf("channel-%d", i), ""))
	}
	for i := range manyTemplates {
		add("t", h.template(fmt.Sprintf("template-%d", i), "<p>{{ contact.plan }} {{ unsubscribe_url }}</p>"))
	}
	for i := range manySegments {
		add("s", h.segment(fmt.Sprintf("segment-%d", i), fmt.Sprintf(`contact.plan == "club" && events("event-%d").count() > 0`, i)))
	}
	for i := range manyCampaigns {
		c := h.campaign(fmt.Sprintf("campaign-%d", i))
		c.Spec.ChannelRef.Name = fmt.Sprintf("channel-%d", i%manyChannels)
		c.Spec.Variants[0].TemplateRef.Name = fmt.Sprintf("template-%d", i)
		c.Spec.Audience.Segments[0].Name = fmt.Sprintf("segment-%d", i)
		add("m", c)
	}
	for i := range manySources {
		add("l", h.feed(fmt.Sprintf("source-%d", i)))
	}
	for i := range manyMonitors {
		m := h.monitor(fmt.Sprintf("monitor-%d", i))
		m.Spec.Sources = []v1alpha1.LocalReference{{Name: fmt.Sprintf("source-%d", i)}}
		m.Spec.Crisis = &v1alpha1.CrisisSettings{MinNegatives: 10, CoolDown: "12h", TimeZone: "Europe/Madrid"}
		add("w", m)
	}
	for i := range manyRules {
		r := h.rule(fmt.Sprintf("rule-%d", i), mail("write", fmt.Sprintf("template-%d", i)))
		r.Spec.Trigger = v1alpha1.RuleTrigger{Event: "segment.entered", SegmentRef: &v1alpha1.LocalReference{Name: fmt.Sprintf("segment-%d", i)}}
		r.Spec.When = v1alpha1.RuleExpression(fmt.Sprintf(`contact.plan == "club" && in_segment("segment-%d")`, i+1))
		r.Spec.Steps[0].Send.ChannelRef.Name = fmt.Sprintf("channel-%d", i)
		r.Spec.Steps = append(r.Spec.Steps, v1alpha1.RuleStep{Name: "week", Wait: &v1alpha1.WaitStep{Event: fmt.Sprintf("event-%d", i), For: "7d"}},
			v1alpha1.RuleStep{Name: "on", Start: &v1alpha1.StartStep{RuleRef: v1alpha1.LocalReference{Name: fmt.Sprintf("rule-%d", (i+1)%manyRules)}}})
		add("r", r)
	}
	for i := range manyQueues {
		q := h.queue(fmt.Sprintf("queue-%d", i))
		q.Spec.Tickets = v1alpha1.RuleExpression(fmt.Sprintf(`message.sentiment < -0.3 && in_segment("segment-%d")`, i))
		add("q", q)
	}
	becomes(h, int64(manySegments), "select count(*) from segment")
	for i := range manySegments {
		h.built(fmt.Sprintf("segment-%d", i), 1)
	}
	for _, o := range []struct {
		make  func() v1alpha1.Object
		name  string
		count int
	}{
		{func() v1alpha1.Object { return &v1alpha1.RecordType{} }, "contact", 0},
		{func() v1alpha1.Object { return &v1alpha1.EventType{} }, "event-%d", manyEvents},
		{func() v1alpha1.Object { return &v1alpha1.MessageChannel{} }, "channel-%d", manyChannels},
		{func() v1alpha1.Object { return &v1alpha1.MessageTemplate{} }, "template-%d", manyTemplates},
		{func() v1alpha1.Object { return &v1alpha1.Segment{} }, "segment-%d", manySegments},
		{func() v1alpha1.Object { return &v1alpha1.Campaign{} }, "campaign-%d", manyCampaigns},
		{func() v1alpha1.Object { return &v1alpha1.SocialSource{} }, "source-%d", manySources},
		{func() v1alpha1.Object { return &v1alpha1.Monitor{} }, "monitor-%d", manyMonitors},
		{func() v1alpha1.Object { return &v1alpha1.AutomationRule{} }, "rule-%d", manyRules},
		{func() v1alpha1.Object { return &v1alpha1.ServiceQueue{} }, "queue-%d", manyQueues},
	} {
		if o.count == 0 {
			h.current(o.make(), o.name)
			objects++
		}
		for i := range o.count {
			h.current(o.make(), fmt.Sprintf(o.name, i))
			objects++
		}
	}
	h.current(&v1alpha1.CRMTenant{}, "default")
	return objects
}

// reconciliations is how many passes the controllers of this process have finished, and how much waits in their queues.
func reconciliations() (finished, waiting float64, err error) {
	families, err := metrics.Registry.Gather()
	if err != nil {
		return 0, 0, err
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "controller_runtime_reconcile_total":
				finished += m.GetCounter().GetValue()
			case "workqueue_depth", "controller_runtime_active_workers":
				waiting += m.GetGauge().GetValue()
			}
		}
	}
	return finished, waiting, nil
}

// passes is how many passes were finished so far.
func (h *home) passes() float64 {
	h.t.Helper()
	finished, _, err := reconciliations()
	if err != nil {
		h.t.Fatal(err)
	}
	return finished
}

// quiet waits until at least so many passes were finished since a count, and nothing is left to do.
func (h *home) quiet(since float64, passes int) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		finished, waiting, err := reconciliations()
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(finished - since).To(gomega.BeNumerically(">=", passes))
		g.Expect(waiting).To(gomega.Equal(h.left))
	})
}

// footprint is what writing leaves behind: requests to the API server that change something, and the number of the next
// transaction that writes in PostgreSQL (a transaction that only reads takes none, and locking a row takes one).
type footprint struct {
	requests, transactions int64
}

func (h *home) footprint() footprint {
	h.t.Helper()
	return footprint{h.writes.In(h.namespace).Load(), ask[int64](h, "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")}
}

func TestSteadyStateWritesNothing(t *testing.T) {
	h := newHome(t)
	objects := settleMany(h)
	if objects != 200 {
		t.Fatalf("%d objects were settled, want 200", objects)
	}
	// Events are sent in the background and come after the status that they tell of.
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.toldOf(v1alpha1.InForceReason)).To(gomega.HaveLen(objects + 1)) // and of the tenant
		before := h.footprint()
		g.Consistently(h.footprint).WithTimeout(500 * time.Millisecond).Should(gomega.Equal(before))
	})

	t.Run("every object is looked at again", func(t *testing.T) {
		h := &home{world: h.world, t: t, namespace: h.namespace, id: h.id, db: h.db}
		before := h.footprint()
		for range 3 {
			finished := h.passes()
			h.tenants.Wake("CRMTenant", h.namespace, "default")
			h.tenants.WakeAll(t.Context(), h.namespace)
			h.quiet(finished, objects+1)
		}
		if after := h.footprint(); after != before {
			t.Errorf("looking at settled objects wrote: before %+v, after %+v", before, after)
		}
	})

	t.Run("another operator begins", func(t *testing.T) {
		h := &home{world: h.world, t: t, namespace: h.namespace, id: h.id, db: h.db}
		before := h.footprint()
		finished := h.passes()
		if err := h.restartOperator(); err != nil {
			t.Fatal(err)
		}
		// Each object waits for its tenant first, and is woken when that is open.
		h.quiet(finished, objects+1)
		h.eventually(func(g gomega.Gomega) {
			_, err := h.tenants.Tenant(t.Context(), h.namespace)
			g.Expect(err).NotTo(gomega.HaveOccurred())
		})
		h.current(&v1alpha1.CRMTenant{}, "default")
		h.quiet(finished, objects+1)
		if after := h.footprint(); after != before {
			t.Errorf("a restart wrote: before %+v, after %+v", before, after)
		}
	})
}
