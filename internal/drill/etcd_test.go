package drill

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
)

// cluster is a control plane of a drill's own, whose data can be lost.
type cluster struct {
	*world
	t     *testing.T
	plane *controlplane.ControlPlane
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	// Nothing waits for a namespace's end here.
	plane, err := controlplane.Start(context.Background(), controlplane.Options{Dir: filepath.Join(dir, "plane"), Volatile: true, WithoutControllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c := &cluster{t: t, plane: plane}
	c.install()
	if c.world, err = newWorld(plane.Config(), filepath.Join(dir, "tenants")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *cluster) install() {
	c.t.Helper()
	if err := controlplane.InstallCRDs(context.Background(), c.plane.Config(), crd.Files); err != nil {
		c.t.Fatal(err)
	}
}

// loseEtcd loses every object and installs the operator again. meanwhile runs while there is no operator.
func (c *cluster) loseEtcd(meanwhile func()) {
	c.t.Helper()
	ctx := context.Background()
	if err := c.stopOperator(); err != nil {
		c.t.Fatal(err)
	}
	meanwhile()
	for _, step := range []func() error{
		func() error { return c.plane.StopAPIServer(ctx) },
		func() error { return c.plane.StopEtcd(ctx) },
		c.plane.WipeEtcd,
		func() error { return c.plane.StartEtcd(ctx) },
		func() error { return c.plane.StartAPIServer(ctx) },
	} {
		if err := step(); err != nil {
			c.t.Fatal(err)
		}
	}
	c.install()
	if err := c.startOperator(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) namespace(name string) {
	c.t.Helper()
	if err := c.api.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		c.t.Fatal(err)
	}
}

// The cluster's data is lost: with an intact database the tenant goes on and nobody is written to twice. With a restored one
// nothing remembers what was sent, but for the permit, which is another ledger's.
func TestEtcdIsLost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.newDatabase("velo")
	c := newCluster(t)
	c.namespace("velo")
	h := newTenant(t, c.world, "velo", ownerURL(m.Port(), "velo"), people)
	h.campaign("winter")
	h.sent("winter", people, people)
	backup := m.dump("velo")
	h.campaign("spring")
	h.sent("spring", people, 2*people)
	heard := h.heard()

	c.loseEtcd(func() {})
	c.namespace("velo")
	h.apply()
	h.campaign("winter")
	h.campaign("spring")
	h.sent("winter", people, 2*people)
	h.sent("spring", people, 2*people)
	h.permitted()
	h.silent(heard)
	h.campaign("summer")
	h.sent("summer", people, 3*people)
	h.received(3, people)
	heard = h.heard()

	c.loseEtcd(func() {
		m.newDatabase("rescue")
		m.restore("rescue", backup, "--no-owner", "--no-privileges")
	})
	c.namespace("velo")
	h.uri = ownerURL(m.Port(), "rescue")
	h.apply()
	for _, name := range []string{"winter", "spring", "summer"} {
		h.campaign(name)
	}
	h.quarantined(v1alpha1.OtherLedgerReason)
	h.silent(heard)
	told := h.quarantine("show")
	if told.State != "quarantined" || told.Quarantine.Missing != nil {
		t.Errorf("the cluster remembers nothing: %+v", told)
	}
	// What would be sent at once is held, although nothing remembers that it was sent before.
	h.eventually(func(g gomega.Gomega) {
		c := &v1alpha1.Campaign{}
		g.Expect(h.api.Get(t.Context(), h.key("summer"), c)).To(gomega.Succeed())
		g.Expect(meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ReadyCondition)).To(gomega.BeTrue(), "%v", c.Status.Conditions)
	})
	h.shown(2)
	h.quarantine("release", "--yes", "--by", "ana", "--reason", "all was lost")
	h.permitted()
	h.silent(heard)
}
