package gitops

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// patience is how long a test waits for what must happen; it is reached only when something is broken.
const patience = 60 * time.Second

// population is how many people the club of a team has.
const population = 10

//go:embed testdata/velo.yaml
var veloYAML string

// team is a namespace with what the team keeps in Git, a relay, and the tenant's database once there is one.
type team struct {
	*world
	t         *testing.T
	namespace string
	manifests []*unstructured.Unstructured // in the order of the file
	relay     *delivertest.Server
	gate      *gate
	db        *store.DB // as the owner
}

// newTeam makes a team for a test, which from here on runs beside others: most of its time it waits.
func newTeam(t *testing.T) *team {
	t.Helper()
	t.Parallel()
	v := &team{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t), gate: &gate{}}
	v.relay = delivertest.NewServer(t, delivertest.Behaviour{Auth: map[string]string{"velo": "a-relay-password"}, Answer: v.gate.answer})
	text := os.Expand(veloYAML, func(name string) string {
		return map[string]string{
			"NAMESPACE": v.namespace, "PORT": strconv.Itoa(v.relay.Port()),
			"FEED": feed(t), "SINCE": time.Now().UTC().Add(-time.Minute).Format("2006-01-02T15:04:05"),
		}[name]
	})
	v.manifests = documents(t, text)
	for _, o := range v.manifests {
		o.SetNamespace(v.namespace)
	}
	return v
}

func documents(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var list []*unstructured.Unstructured
	for document := range strings.SplitSeq(text, "\n---\n") {
		content, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		if string(content) == "null" { // a comment
			continue
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(content); err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	return list
}

// feed serves a blog on which nobody has written yet, and returns its address.
func feed(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/rss+xml")
		_, _ = io.WriteString(w, `<rss version="2.0"><channel><title>Velo</title><link>https://velo.example</link><description/></channel></rss>`)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/feed.xml"
}

// gate decides whom the relay takes mail for: the first population/2 of the people, or everybody.
type gate struct {
	open     atomic.Bool
	attempts atomic.Int64
}

func (g *gate) answer(e delivertest.Event) delivertest.Action {
	if e.Stage != delivertest.Rcpt {
		return delivertest.Action{}
	}
	g.attempts.Add(1)
	if g.open.Load() || slices.Contains(addresses(population/2), e.To) {
		return delivertest.Action{}
	}
	return delivertest.Action{Reply: "451 4.7.1 later"}
}

// addresses are those of the first n people.
func addresses(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("c%02d@people.example", i+1)
	}
	return list
}

// manifest is a copy of the object of a kind.
func (v *team) manifest(kind string) *unstructured.Unstructured {
	v.t.Helper()
	for _, o := range v.manifests {
		if o.GetKind() == kind {
			return o.DeepCopy()
		}
	}
	v.t.Fatalf("the team has no %s", kind)
	return nil
}

// all are copies of all manifests.
func (v *team) all() []*unstructured.Unstructured {
	list := make([]*unstructured.Unstructured, len(v.manifests))
	for i, o := range v.manifests {
		list[i] = o.DeepCopy()
	}
	return list
}

// ours tells whether an object is of our kinds, and not one that they refer to.
func ours(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == v1alpha1.GroupVersion.Group
}

// kinds are the kinds of the team's objects of our group.
func (v *team) kinds() []string {
	var list []string
	for _, o := range v.manifests {
		if ours(o) {
			list = append(list, o.GetKind())
		}
	}
	return list
}

func (v *team) eventually(check func(g gomega.Gomega)) {
	v.t.Helper()
	gomega.NewWithT(v.t).Eventually(check).WithContext(v.t.Context()).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(gomega.Succeed())
}

// live reads an object as it is now; nil where there is none.
func (v *team) live(o *unstructured.Unstructured) *unstructured.Unstructured {
	v.t.Helper()
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(o.GroupVersionKind())
	err := v.api.Get(v.t.Context(), client.ObjectKeyFromObject(o), found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return found
}

// reads waits until kstatus reads an object as wanted, and returns the object.
func (v *team) reads(o *unstructured.Unstructured, want status.Status) *unstructured.Unstructured {
	v.t.Helper()
	var found *unstructured.Unstructured
	v.eventually(func(g gomega.Gomega) {
		found = v.live(o)
		g.Expect(found).NotTo(gomega.BeNil())
		result, err := status.Compute(found)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(result.Status).To(gomega.Equal(want), "%s: %s", o.GetKind(), result.Message)
	})
	return found
}

// settled waits until every object of our kinds is there and Current.
func (v *team) settled() {
	v.t.Helper()
	for _, o := range v.manifests {
		if ours(o) {
			v.reads(o, status.CurrentStatus)
		}
	}
}

// gone waits until objects are no more.
func (v *team) gone(objects ...*unstructured.Unstructured) {
	v.t.Helper()
	for _, o := range objects {
		v.eventually(func(g gomega.Gomega) { g.Expect(v.live(o)).To(gomega.BeNil()) })
	}
}

// open connects to the tenant's database.
func (v *team) open() {
	v.t.Helper()
	id := "t-" + v.namespace
	db, err := store.Open(v.t.Context(), v.cluster.TenantURL(id), store.Options{Role: store.OwnerRole(id), MaxConns: 2})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(db.Close)
	v.db = db
}

func (v *team) sql(statement string, arguments ...any) {
	v.t.Helper()
	if _, err := v.db.Pool.Exec(v.t.Context(), statement, arguments...); err != nil {
		v.t.Fatalf("%s: %v", statement, err)
	}
}

// rows lists what a query finds, a line each.
func (v *team) rows(query string) []string {
	v.t.Helper()
	rows, err := v.db.Pool.Query(v.t.Context(), query)
	if err != nil {
		v.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			v.t.Fatal(err)
		}
		list = append(list, fmt.Sprint(values...))
	}
	return list
}

// peopled applies what a club needs, and gives it its people.
func (v *team) peopled(apply func(...*unstructured.Unstructured)) {
	v.t.Helper()
	apply(v.manifest("CRMTenant"), v.manifest("RecordType"))
	v.reads(v.manifest("CRMTenant"), status.CurrentStatus)
	v.reads(v.manifest("RecordType"), status.CurrentStatus)
	v.open()
	v.sql("insert into contact (locale, attr_first_name, attr_plan) select 'es', 'Ana ' || i, 'club' from generate_series(1, $1::int) i", population)
	v.sql("insert into identifier (type, value) select 'email', 'c' || lpad(id::text, 2, '0') || '@people.example' from contact order by id")
	v.sql(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'c' || lpad(c.id::text, 2, '0') || '@people.example'`)
	v.sql("insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from contact")
}

// halfSent brings the team to the middle of its campaign: half of the club have the message, the relay puts the others off.
func (v *team) halfSent(apply func(...*unstructured.Unstructured)) {
	v.t.Helper()
	v.peopled(apply)
	apply(v.all()...)
	v.settled()
	v.eventually(func(g gomega.Gomega) { g.Expect(v.received()).To(gomega.HaveLen(population / 2)) })
	v.phase(v1alpha1.CampaignSending)
}

// phase waits until the campaign is in a phase, and returns it.
func (v *team) phase(want v1alpha1.CampaignPhase) *unstructured.Unstructured {
	v.t.Helper()
	var found *unstructured.Unstructured
	v.eventually(func(g gomega.Gomega) {
		found = v.live(v.manifest("Campaign"))
		g.Expect(found).NotTo(gomega.BeNil())
		phase, _, _ := unstructured.NestedString(found.Object, "status", "phase")
		g.Expect(phase).To(gomega.Equal(string(want)))
	})
	return found
}

// received counts the messages of each recipient.
func (v *team) received() map[string]int {
	got := map[string]int{}
	for _, to := range v.relay.Recipients() {
		got[to]++
	}
	return got
}

// silent proves that nothing is sent: the relay would take everything, and nobody calls.
func (v *team) silent() {
	v.t.Helper()
	// What was handed over as the objects went may still end.
	v.eventually(func(g gomega.Gomega) {
		before := v.gate.attempts.Load()
		g.Consistently(v.gate.attempts.Load).WithTimeout(2 * time.Second).Should(gomega.Equal(before))
	})
	before := v.received()
	v.gate.open.Store(true)
	gomega.NewWithT(v.t).Consistently(v.received).WithTimeout(400 * time.Millisecond).Should(gomega.Equal(before))
	v.gate.open.Store(false)
}

// completes lets the relay take everything and proves that the journey ends well: each of the club has the message
// exactly once, and the ledger's sums agree.
func (v *team) completes() {
	v.t.Helper()
	v.gate.open.Store(true)
	v.phase(v1alpha1.CampaignCompleted)
	want := map[string]int{}
	for _, to := range addresses(population) {
		want[to] = 1
	}
	if diff := cmp.Diff(want, v.received()); diff != "" {
		v.t.Errorf("messages of each recipient: -want +got:\n%s", diff)
	}
	findings, err := v.db.AuditLedger(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	for _, finding := range findings {
		v.t.Error(finding)
	}
}

// memory is what must outlive every manifest: rows are adopted and not made anew, and nobody enters a segment twice.
func (v *team) memory() map[string][]string {
	v.t.Helper()
	return map[string][]string{
		"people":     v.rows("select id, attr_plan from contact order by id"),
		"membership": v.rows("select segment_id, contact_id, entered_at from segment_member order by 1, 2"),
		"sends":      v.rows("select id, send_key, frozen_at, audience from send order by id"),
		"ledger":     v.rows("select send_id, contact_id, step from ledger order by 1, 2, 3"),
		"tenant":     v.rows("select id, namespace from tenant"),
		"names": v.rows(`select 'segment', name, id::text from segment union all select 'channel', name, '' from channel
			union all select 'template', name, '' from template union all select 'event type', name, '' from event_type
			union all select 'source', name, id::text from social_source union all select 'topic', name, id::text from topic order by 1, 2`),
	}
}

// remembers compares the memory with an earlier one.
func (v *team) remembers(before map[string][]string) {
	v.t.Helper()
	if diff := cmp.Diff(before, v.memory()); diff != "" {
		v.t.Errorf("what outlives manifests: -before +after:\n%s", diff)
	}
}

// every gives each kind of ours the same action, for a comparison.
func (v *team) every(action string) map[string]string {
	want := map[string]string{}
	for _, kind := range v.kinds() {
		want[kind] = action
	}
	return want
}

// without leaves the objects of some kinds out.
func without(objects []*unstructured.Unstructured, kinds ...string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return slices.Contains(kinds, o.GetKind()) })
}

// expectActions compares what was done with what was to be done, where want names it.
func expectActions(t *testing.T, got, want map[string]string) {
	t.Helper()
	told := maps.Clone(got)
	maps.DeleteFunc(told, func(kind, _ string) bool { _, asked := want[kind]; return !asked })
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("what was done: -want +got:\n%s", diff)
	}
}

// held is a finalizer of somebody else's, by which a test keeps an object that is being deleted.
const held = "gitops.example/held"

// hold keeps an object from ending.
func (v *team) hold(o *unstructured.Unstructured) {
	v.t.Helper()
	v.finalizers(o, func(list []string) []string { return append(list, held) })
}

// letGo lets an object that was held end.
func (v *team) letGo(o *unstructured.Unstructured) {
	v.t.Helper()
	v.finalizers(o, func(list []string) []string {
		return slices.DeleteFunc(list, func(name string) bool { return name == held })
	})
}

func (v *team) finalizers(o *unstructured.Unstructured, change func([]string) []string) {
	v.t.Helper()
	v.eventually(func(g gomega.Gomega) {
		found := v.live(o)
		g.Expect(found).NotTo(gomega.BeNil())
		found.SetFinalizers(change(found.GetFinalizers()))
		g.Expect(v.api.Update(v.t.Context(), found)).To(gomega.Succeed())
	})
}

// finalized checks that every object of ours has our finalizer.
func (v *team) finalized(g gomega.Gomega) {
	for _, o := range v.manifests {
		if ours(o) {
			g.Expect(v.live(o).GetFinalizers()).To(gomega.ContainElement(v1alpha1.Finalizer), o.GetKind())
		}
	}
}
