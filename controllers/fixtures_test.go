package controllers_test

import (
	"context"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// patience is how long a test waits for what should take well under a second.
	patience = 30 * time.Second
	// namespacePatience is how long it waits for the end of a namespace, whose controller looks again after eight seconds, and again
	// after eight more.
	namespacePatience = 2 * time.Minute
)

// home is a namespace with a tenant in force.
type home struct {
	*world
	t         *testing.T
	namespace string
	id        string
	db        *store.DB // as the owner
}

// newHome makes a namespace whose tenant has a database on the default cluster.
func newHome(t *testing.T) *home {
	t.Helper()
	w := inWorld(t)
	h := &home{world: w, t: t, namespace: controlplanetest.Namespace(t)}
	h.id = "t-" + h.namespace
	h.create(h.tenant())
	h.current(&v1alpha1.CRMTenant{}, "default")
	db, err := store.Open(t.Context(), w.cluster.TenantURL(h.id), store.Options{Role: store.OwnerRole(h.id), MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	h.db = db
	return h
}

func (h *home) tenant() *v1alpha1.CRMTenant {
	return &v1alpha1.CRMTenant{
		ObjectMeta: h.named("default"),
		Spec:       v1alpha1.CRMTenantSpec{ID: h.id, DisplayName: "Velo", TimeZone: "Europe/Madrid", Locales: []v1alpha1.Locale{"es", "en"}, PublicURL: h.publicURL()},
	}
}

func (h *home) publicURL() string { return "https://" + h.namespace + ".example" }

func (h *home) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: h.namespace, Name: name}
}

func (h *home) contact(attributes ...v1alpha1.Attribute) *v1alpha1.RecordType {
	return &v1alpha1.RecordType{ObjectMeta: h.named("contact"), Spec: v1alpha1.RecordTypeSpec{Attributes: attributes}}
}

func (h *home) event(name string, properties ...v1alpha1.Property) *v1alpha1.EventType {
	return &v1alpha1.EventType{ObjectMeta: h.named(name), Spec: v1alpha1.EventTypeSpec{Properties: properties}}
}

func (h *home) segment(name, match string) *v1alpha1.Segment {
	return &v1alpha1.Segment{ObjectMeta: h.named(name), Spec: v1alpha1.SegmentSpec{Match: match}}
}

func (h *home) channel(name, secret string) *v1alpha1.MessageChannel {
	c := &v1alpha1.MessageChannel{ObjectMeta: h.named(name), Spec: v1alpha1.MessageChannelSpec{
		Type: v1alpha1.EmailChannel,
		Email: &v1alpha1.EmailSettings{
			From: "Velo <hola@velo.example>", SMTP: v1alpha1.SMTPServer{Host: "127.0.0.1", Port: 1025, TLS: v1alpha1.NoTLS},
		},
	}}
	if secret != "" {
		c.Spec.Email.SMTP.SecretRef = &v1alpha1.LocalReference{Name: secret}
	}
	return c
}

func (h *home) template(name, html string) *v1alpha1.MessageTemplate {
	return &v1alpha1.MessageTemplate{ObjectMeta: h.named(name), Spec: v1alpha1.MessageTemplateSpec{
		DefaultLocale: "es",
		Content:       []v1alpha1.LocalizedContent{{Locale: "es", Subject: "Hola", HTML: html}},
	}}
}

func (h *home) campaign(name string) *v1alpha1.Campaign {
	return &v1alpha1.Campaign{ObjectMeta: h.named(name), Spec: v1alpha1.CampaignSpec{
		SendKey: name, Purpose: "newsletter", ChannelRef: v1alpha1.LocalReference{Name: "news"},
		Audience: v1alpha1.Audience{Segments: []v1alpha1.LocalReference{{Name: "all"}}, MaxRecipients: 100},
		Variants: []v1alpha1.Variant{{Name: "a", TemplateRef: v1alpha1.LocalReference{Name: "spring"}}},
		Schedule: v1alpha1.Schedule{At: "2027-03-21T09:00:00"},
	}}
}

// create makes objects as an author would.
func (h *home) create(objects ...client.Object) {
	h.t.Helper()
	for _, o := range objects {
		if err := h.api.Create(h.t.Context(), o); err != nil {
			h.t.Fatal(err)
		}
	}
}

// edit changes an object's spec as an author would.
func edit[T client.Object](h *home, object T, name string, change func(T)) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		change(object)
		g.Expect(h.api.Update(h.t.Context(), object)).To(gomega.Succeed())
	})
}

func (h *home) delete(object client.Object, name string) {
	h.t.Helper()
	object.SetNamespace(h.namespace)
	object.SetName(name)
	if err := h.api.Delete(h.t.Context(), object); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: h.namespace, Name: name}
}

func (h *home) eventually(check func(g gomega.Gomega)) {
	h.t.Helper()
	h.within(patience, check)
}

func (h *home) within(limit time.Duration, check func(g gomega.Gomega)) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(check).WithContext(h.t.Context()).WithTimeout(limit).WithPolling(20 * time.Millisecond).Should(gomega.Succeed())
}

// current waits until kstatus reads an object as Current, and returns it as it is then.
func (h *home) current(object v1alpha1.Object, name string) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		status, why := kstatus(object)
		g.Expect(status).To(gomega.Equal("Current"), why)
	})
}

// verdict waits until an object is not ready for a reason and kstatus reads it as told, and returns the message.
func (h *home) verdict(object v1alpha1.Object, name, reason, want string) string {
	h.t.Helper()
	var message string
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		ready := meta.FindStatusCondition(object.CommonStatus().Conditions, v1alpha1.ReadyCondition)
		g.Expect(ready).NotTo(gomega.BeNil())
		g.Expect(ready.Status).To(gomega.Equal(metav1.ConditionFalse))
		g.Expect(ready.Reason).To(gomega.Equal(reason), ready.Message)
		g.Expect(ready.ObservedGeneration).To(gomega.Equal(object.GetGeneration()))
		status, why := kstatus(object)
		g.Expect(status).To(gomega.Equal(want), why)
		message = ready.Message
	})
	return message
}

// condition waits until a condition of an object has a status and a reason, and returns its message.
func (h *home) condition(object v1alpha1.Object, name, kind string, status metav1.ConditionStatus, reason string) string {
	h.t.Helper()
	var message string
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		c := meta.FindStatusCondition(object.CommonStatus().Conditions, kind)
		g.Expect(c).NotTo(gomega.BeNil())
		g.Expect(c.Status).To(gomega.Equal(status), c.Message)
		g.Expect(c.Reason).To(gomega.Equal(reason), c.Message)
		message = c.Message
	})
	return message
}

// gone waits until an object is no more.
func (h *home) gone(object client.Object, name string) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		err := h.api.Get(h.t.Context(), h.key(name), object)
		g.Expect(apierrors.IsNotFound(err)).To(gomega.BeTrue(), "%v", err)
	})
}

// sql runs a statement as the database's owner.
func (h *home) sql(statement string, arguments ...any) {
	h.t.Helper()
	if _, err := h.db.Pool.Exec(h.t.Context(), statement, arguments...); err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

// ask reads one value.
func ask[T any](h *home, query string, arguments ...any) (value T) {
	h.t.Helper()
	if err := h.db.Pool.QueryRow(h.t.Context(), query, arguments...).Scan(&value); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	return value
}

// becomes waits until a query answers as wanted.
func becomes[T any](h *home, want T, query string, arguments ...any) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		var got T
		g.Expect(h.db.Pool.QueryRow(h.t.Context(), query, arguments...).Scan(&got)).To(gomega.Succeed())
		g.Expect(got).To(gomega.Equal(want))
	})
}

// built does what a worker does for a segment: it builds the membership and tells the operator.
func (h *home) built(name string, members int64) {
	h.t.Helper()
	h.sql("update segment set built_digest = digest, built_at = now(), changed_at = now(), members = $2, refresh_asked_at = null where name = $1", name, members)
	if err := h.db.NoteStatusChange(h.t.Context(), store.SegmentKind, name); err != nil {
		h.t.Fatal(err)
	}
}

// events are those of the namespace.
func (h *home) events() []corev1.Event {
	h.t.Helper()
	var list corev1.EventList
	if err := h.api.List(context.WithoutCancel(h.t.Context()), &list, client.InNamespace(h.namespace)); err != nil {
		h.t.Fatal(err)
	}
	return list.Items
}

// eventNotes lists the notes of the events about an object with a reason.
func (h *home) eventNotes(name, reason string) []string {
	h.t.Helper()
	var notes []string
	for _, e := range h.events() {
		if e.InvolvedObject.Name == name && e.Reason == reason {
			notes = append(notes, e.Message)
		}
	}
	return notes
}

// toldOf are the objects of which events with a reason tell, by kind and name.
func (h *home) toldOf(reason string) map[string]bool {
	h.t.Helper()
	told := map[string]bool{}
	for _, e := range h.events() {
		if e.Reason == reason {
			told[e.InvolvedObject.Kind+"/"+e.InvolvedObject.Name] = true
		}
	}
	return told
}

// kstatus reads an object as Flux and kubectl's pruning do: Terminating, InProgress, Failed or Current.
func kstatus(o v1alpha1.Object) (result, why string) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return "Unknown", err.Error()
	}
	read, err := status.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		return "Unknown", err.Error()
	}
	return read.Status.String(), read.Message
}
