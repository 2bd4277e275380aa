package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/jackc/pgx/v5"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// tenant is a tenant with people, a relay that counts connections and commands, and two workers that live through all that happens.
type tenant struct {
	*world
	t         *testing.T
	namespace string
	id        string
	uri       string // of its database, as its owner
	relay     *delivertest.Server
	commands  atomic.Int64
}

// newTenant makes a tenant in a namespace, whose database is at this address, with n people.
func newTenant(t *testing.T, w *world, namespace, uri string, n int) *tenant {
	t.Helper()
	h := &tenant{world: w, t: t, namespace: namespace, id: "t-" + namespace, uri: uri}
	h.relay = delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage != delivertest.Quit { // connections from before may say good-bye at any time
			h.commands.Add(1)
		}
		return delivertest.Action{}
	}})
	h.apply()
	h.people(n)
	h.worker()
	h.worker()
	return h
}

// apply applies the tenant's objects as they stand in Git.
func (h *tenant) apply() {
	h.t.Helper()
	h.create(
		&corev1.Secret{ObjectMeta: h.named("db"), StringData: map[string]string{"uri": h.uri}},
		&v1alpha1.CRMTenant{ObjectMeta: h.named("default"), Spec: v1alpha1.CRMTenantSpec{
			ID: h.id, DisplayName: "Velo", Locales: []v1alpha1.Locale{"es"}, PublicURL: "https://" + h.namespace + ".example",
			Database: &v1alpha1.TenantDatabase{SecretRef: v1alpha1.LocalReference{Name: "db"}},
		}},
		&v1alpha1.Segment{ObjectMeta: h.named("all"), Spec: v1alpha1.SegmentSpec{Match: `"vip" in contact.tags`}},
		&v1alpha1.MessageChannel{ObjectMeta: h.named("news"), Spec: v1alpha1.MessageChannelSpec{
			Type: v1alpha1.EmailChannel,
			Email: &v1alpha1.EmailSettings{
				From: "Velo <hola@velo.example>",
				SMTP: v1alpha1.SMTPServer{Host: h.relay.Host(), Port: int32(h.relay.Port()), TLS: v1alpha1.NoTLS}, //nolint:gosec // a port
			},
		}},
		&v1alpha1.MessageTemplate{ObjectMeta: h.named("spring"), Spec: v1alpha1.MessageTemplateSpec{
			DefaultLocale: "es", Content: []v1alpha1.LocalizedContent{{Locale: "es", Subject: "Hola", HTML: "<p>{{ unsubscribe_url }}</p>"}},
		}},
	)
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, "True", v1alpha1.InForceReason)
}

// people adds n contacts who want the newsletter: p1@people.example and so on.
func (h *tenant) people(n int) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.uri)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, statement := range []string{
		"set search_path = tertulia",
		fmt.Sprintf("insert into contact (tags) select '{vip}' from generate_series(1, %d)", n),
		"insert into identifier (type, value) select 'email', 'p' || id || '@people.example' from contact",
		"insert into identifier_link (identifier_id, contact_id, verified, source) " +
			"select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'p' || c.id || '@people.example'",
		"insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from contact",
	} {
		if _, err := conn.Exec(h.t.Context(), statement); err != nil {
			h.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// worker starts a worker that stops when the test ends.
func (h *tenant) worker() {
	h.t.Helper()
	const quick = 20 * time.Millisecond
	back := campaign.Backoff{First: quick, Max: 100 * time.Millisecond}
	w, err := work.New(work.Options{
		TenantDirs: []string{filepath.Join(h.root, h.id)},
		TenantPoll: quick, SendPoll: quick, CampaignPoll: quick, SegmentPoll: quick, SweepPoll: quick, StatusEvery: quick,
		Lease: 2 * time.Second, Grace: 5 * time.Second, Deferral: back, ChannelBackoff: back, DatabaseBackoff: back,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(logr.NewContext(context.Background(), testr.NewWithOptions(h.t, testr.Options{Verbosity: -1})))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			h.t.Errorf("the worker failed: %v", err)
		}
	}()
	h.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// campaign declares a campaign to everybody, due a minute ago.
func (h *tenant) campaign(name string) {
	h.t.Helper()
	h.create(&v1alpha1.Campaign{ObjectMeta: h.named(name), Spec: v1alpha1.CampaignSpec{
		SendKey: name + "-2027", Purpose: "newsletter", ChannelRef: v1alpha1.LocalReference{Name: "news"},
		Audience: v1alpha1.Audience{Segments: []v1alpha1.LocalReference{{Name: "all"}}, MaxRecipients: 10_000},
		Variants: []v1alpha1.Variant{{Name: "a", TemplateRef: v1alpha1.LocalReference{Name: "spring"}}},
		Schedule: v1alpha1.Schedule{At: v1alpha1.LocalTime(time.Now().UTC().Add(-time.Minute).Format("2006-01-02T15:04:05")), TimeZone: "UTC"},
	}})
}

// sent waits until a campaign is completed, and the cluster remembers this many intents.
func (h *tenant) sent(name string, messages, mark int64) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		c := &v1alpha1.Campaign{}
		g.Expect(h.api.Get(h.t.Context(), h.key(name), c)).To(gomega.Succeed())
		g.Expect(c.Status.Phase).To(gomega.Equal(v1alpha1.CampaignCompleted))
		g.Expect(*c.Status.Sent).To(gomega.Equal(messages))
	})
	h.remembers(mark)
}

// remembers waits until the cluster remembers this many intents.
func (h *tenant) remembers(mark int64) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		object := &v1alpha1.CRMTenant{}
		g.Expect(h.api.Get(h.t.Context(), h.key("default"), object)).To(gomega.Succeed())
		g.Expect(object.Status.LedgerMark).NotTo(gomega.BeNil())
		g.Expect(*object.Status.LedgerMark).To(gomega.Equal(mark))
	})
}

// quarantined waits until the tenant is quarantined for this reason.
func (h *tenant) quarantined(reason string) {
	h.t.Helper()
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.QuarantinedCondition, "True", reason)
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, "True", v1alpha1.InForceReason)
}

func (h *tenant) permitted() {
	h.t.Helper()
	h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.QuarantinedCondition, "False", v1alpha1.PermittedReason)
}

// heard is how many commands the relay has heard when it has heard no other for a while: a connection may be opened for a batch that others have handed over.
func (h *tenant) heard() (commands int64) {
	h.t.Helper()
	looks := 0
	h.eventually(func(g gomega.Gomega) {
		if now := h.commands.Load(); now != commands {
			commands, looks = now, 0
		}
		looks++
		g.Expect(looks).To(gomega.BeNumerically(">", 25), "looks at which nothing was new")
	})
	return commands
}

// silent proves that the relay has heard nothing since it had heard so many commands, and hears nothing for a while: many
// rounds of the workers and of the operator.
func (h *tenant) silent(since int64) {
	h.t.Helper()
	gomega.NewWithT(h.t).Consistently(h.commands.Load).WithTimeout(time.Second).WithPolling(20*time.Millisecond).Should(gomega.Equal(since), "commands at the relay")
}

// received waits until the relay has this many messages, and everybody as many.
func (h *tenant) received(each, people int) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) { g.Expect(len(h.relay.Recipients())).To(gomega.BeNumerically(">=", each*people)) })
	got := map[string]int{}
	for _, to := range h.relay.Recipients() {
		got[to]++
	}
	for to, n := range got {
		if n != each {
			h.t.Errorf("%s received %d messages, want %d", to, n, each)
		}
	}
	if len(got) != people {
		h.t.Errorf("%d people received something, want %d", len(got), people)
	}
}

// moveTo makes the tenant's Secret name another database.
func (h *tenant) moveTo(uri string) {
	h.t.Helper()
	secret := &corev1.Secret{}
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key("db"), secret)).To(gomega.Succeed())
		secret.StringData = map[string]string{"uri": uri}
		g.Expect(h.api.Update(h.t.Context(), secret)).To(gomega.Succeed())
	})
	h.uri = uri
}

// quarantine runs a verb of `tertulia quarantine` as the tenant's administrator, and reads its answer.
func (h *tenant) quarantine(verb string, arguments ...string) (answer quarantine) {
	h.t.Helper()
	secret := &corev1.Secret{}
	if err := h.api.Get(h.t.Context(), h.key("tertulia-admin"), secret); err != nil {
		h.t.Fatal(err)
	}
	arguments = append([]string{"quarantine", verb, "--server", string(secret.Data["server"]), "--token", string(secret.Data["token"]), "--output", "json"}, arguments...)
	// A database that has just been restored has the administrator's token once the operator has been there.
	h.eventually(func(g gomega.Gomega) {
		out, err := run(h.t.Context(), arguments...)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(json.Unmarshal([]byte(out), &answer)).To(gomega.Succeed())
	})
	return answer
}

// shown waits until so many campaigns are told of in the quarantine: the operator declares them to a database that has been restored.
func (h *tenant) shown(campaigns int) (told quarantine) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		told = h.quarantine("show")
		g.Expect(told.Campaigns).To(gomega.HaveLen(campaigns))
	})
	return told
}

// quarantine is what the verb tells.
type quarantine struct {
	State      string
	Quarantine struct {
		Why     string
		Missing *int64
	}
	Campaigns []struct {
		Campaign  string
		Differs   bool
		Due       bool
		Held      bool
		WouldSend int64 `json:"would_send"`
		Cluster   *struct{ Sent int64 }
	}
}

func (q quarantine) held() (names []string) {
	for _, c := range q.Campaigns {
		if c.Held {
			names = append(names, c.Campaign)
		}
	}
	return names
}

func (h *tenant) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: h.namespace, Name: name}
}

func (h *tenant) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: h.namespace, Name: name}
}

func (h *tenant) create(objects ...client.Object) {
	h.t.Helper()
	for _, o := range objects {
		if err := h.api.Create(h.t.Context(), o); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *tenant) eventually(check func(g gomega.Gomega)) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(check).WithContext(h.t.Context()).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(gomega.Succeed())
}

// condition waits until a condition of an object has a status and a reason.
func (h *tenant) condition(object v1alpha1.Object, name, kind string, status metav1.ConditionStatus, reason string) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		c := meta.FindStatusCondition(object.CommonStatus().Conditions, kind)
		g.Expect(c).NotTo(gomega.BeNil())
		g.Expect(string(c.Status)+" "+c.Reason).To(gomega.Equal(string(status)+" "+reason), c.Message)
	})
}
