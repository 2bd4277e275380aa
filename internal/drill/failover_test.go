package drill

import (
	"sync/atomic"
	"testing"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

// pair is a primary with a standby, and a gate through which a tenant finds whichever leads.
type pair struct {
	t                *testing.T
	primary, standby *machine
	gate             *gate
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, primary: newMachine(t), gate: newGate(t)}
	p.primary.newDatabase("velo")
	p.standby = p.primary.standby()
	p.gate.leadTo(p.primary)
	return p
}

func (p *pair) tenant(people int) *tenant {
	p.t.Helper()
	return newTenant(p.t, inWorld(p.t), controlplanetest.Namespace(p.t), ownerURL(p.gate.port(), "velo"), people)
}

// synchronous makes commits wait for the standby.
func (p *pair) synchronous() {
	p.t.Helper()
	p.primary.super("alter system set synchronous_standby_names = '*'")
	p.primary.super("select pg_reload_conf()")
	gomega.NewWithT(p.t).Eventually(func() string {
		return ask[string](p.primary, "select coalesce(max(sync_state), '') from pg_stat_replication")
	}).WithTimeout(patience).Should(gomega.Equal("sync"))
}

// die kills the primary, to which nobody is led any more.
func (p *pair) die() {
	p.t.Helper()
	p.gate.lead("")
	p.primary.crash()
}

// promote promotes the standby and leads the tenant to it.
func (p *pair) promote() {
	p.t.Helper()
	p.standby.super("select pg_promote()")
	p.gate.leadTo(p.standby)
}

// Commits wait for the standby, and the server dies in the middle of a campaign: another goes on without a person.
func TestFailoverToASynchronousStandby(t *testing.T) {
	t.Parallel()
	const people = 1500
	p := newPair(t)
	p.primary.super("grant pg_monitor to owner")
	p.synchronous()
	h := p.tenant(people)
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.FailoverSafeCondition, "True", v1alpha1.SynchronousStandbysReason)
	// The mail server says nothing to what comes after a hundred messages until the server has died.
	var dots atomic.Int64
	died := make(chan struct{})
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Dot && dots.Add(1) > 100 {
			return delivertest.Action{Wait: died}
		}
		return delivertest.Action{}
	}})
	h.campaign("spring")
	h.eventually(func(g gomega.Gomega) { g.Expect(len(h.relay.Messages())).To(gomega.BeNumerically(">", 100)) })
	p.die()
	close(died)
	p.promote()
	h.eventually(func(g gomega.Gomega) {
		c := &v1alpha1.Campaign{}
		g.Expect(h.api.Get(t.Context(), h.key("spring"), c)).To(gomega.Succeed())
		g.Expect(c.Status.Phase).To(gomega.Equal(v1alpha1.CampaignCompleted))
		g.Expect(*c.Status.Sent).To(gomega.Equal(int64(people)))
		g.Expect(*c.Status.Ambiguous).To(gomega.BeZero())
	})
	h.received(1, people)
	h.permitted()
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.FailoverSafeCondition, "True", v1alpha1.NoStandbyReason)
}

// The standby lagged behind when the server died: what it does not know was sent.
func TestFailoverThatLostMessages(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	h := p.tenant(people)
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.FailoverSafeCondition, "False", v1alpha1.AsynchronousStandbysReason)
	h.campaign("winter")
	h.sent("winter", people, people)
	p.caughtUp()
	p.standby.crash()
	h.campaign("spring")
	h.sent("spring", people, 2*people)
	heard := h.heard()

	p.die()
	p.standby.start()
	p.promote()
	h.quarantined(v1alpha1.LedgerBehindReason)
	h.silent(heard)
	told := h.shown(1)
	if told.Quarantine.Missing == nil || *told.Quarantine.Missing != people || told.Campaigns[0].Campaign != "spring" {
		t.Errorf("what is told: %+v", told)
	}
	h.quarantine("release", "--yes", "--by", "ana", "--reason", "the standby lagged behind")
	h.permitted()
	h.silent(heard)
	h.received(2, people)
}

// The standby lagged behind as a rule, and not when the server died.
func TestFailoverThatLostNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	h := p.tenant(people)
	h.campaign("winter")
	h.sent("winter", people, people)
	p.caughtUp()
	p.die()
	p.promote()
	h.campaign("spring")
	h.sent("spring", people, 2*people)
	h.received(2, people)
	h.permitted()
}

// caughtUp waits until the standby has all that the primary has written.
func (p *pair) caughtUp() {
	p.t.Helper()
	written := ask[string](p.primary, "select pg_current_wal_flush_lsn()::text")
	gomega.NewWithT(p.t).Eventually(func() bool {
		return ask[bool](p.standby, "select pg_last_wal_replay_lsn() >= '"+written+"'::pg_lsn")
	}).WithTimeout(patience).Should(gomega.BeTrue())
}
