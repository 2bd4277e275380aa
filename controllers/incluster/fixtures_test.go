package incluster_test

import (
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// patience is how long a test waits for what should take well under a second.
	patience = 30 * time.Second
	// clusterPatience is how long it waits for controllers of Kubernetes' own: that of namespaces looks again after eight seconds, and
	// again after eight more, and the garbage collector hears of new kinds twice a minute.
	clusterPatience = 2 * time.Minute
)

// home is a namespace with a tenant.
type home struct {
	*world
	t             *testing.T
	namespace, id string
}

// emptyHome makes a namespace for a tenant that is not declared yet.
func emptyHome(t *testing.T) *home {
	t.Helper()
	h := &home{world: inWorld(t), t: t, namespace: controlplanetest.Namespace(t)}
	h.id = "t-" + h.namespace
	return h
}

// newHome makes a namespace whose tenant is in force.
func newHome(t *testing.T) *home {
	t.Helper()
	h := emptyHome(t)
	h.create(h.tenant())
	h.current(&v1alpha1.CRMTenant{}, "default")
	return h
}

func (h *home) tenant() *v1alpha1.CRMTenant {
	return &v1alpha1.CRMTenant{ObjectMeta: h.named("default"), Spec: v1alpha1.CRMTenantSpec{
		ID: h.id, DisplayName: "Velo", Locales: []v1alpha1.Locale{"es"}, PublicURL: "https://" + h.namespace + ".example",
	}}
}

func (h *home) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: h.namespace, Name: name}
}

func (h *home) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: h.namespace, Name: name}
}

func (h *home) channel(name, secret string) *v1alpha1.MessageChannel {
	return &v1alpha1.MessageChannel{ObjectMeta: h.named(name), Spec: v1alpha1.MessageChannelSpec{
		Type: v1alpha1.EmailChannel,
		Email: &v1alpha1.EmailSettings{
			From: "Velo <hola@velo.example>",
			SMTP: v1alpha1.SMTPServer{Host: "smtp.velo.example", Port: 587, TLS: v1alpha1.StartTLS, SecretRef: &v1alpha1.LocalReference{Name: secret}},
		},
	}}
}

// login is a Secret that channels may refer to.
func (h *home) login(name, password string) *corev1.Secret {
	meta := h.named(name)
	meta.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel}
	return &corev1.Secret{ObjectMeta: meta, StringData: map[string]string{"username": "velo", "password": password}}
}

// database makes a database that a tenant can bring, and returns its owner's URL.
func (h *home) database(name string) string {
	h.t.Helper()
	admin, err := store.Open(h.t.Context(), h.server.URL("postgres"), store.Options{MaxConns: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Pool.Exec(h.t.Context(), "create database "+name); err != nil {
		h.t.Fatal(err)
	}
	return h.server.URL(name)
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

func get[T client.Object](h *home, object T, name string) T {
	h.t.Helper()
	if err := h.api.Get(h.t.Context(), h.key(name), object); err != nil {
		h.t.Fatal(err)
	}
	return object
}

// edit changes an object as somebody would by hand.
func edit[T client.Object](h *home, object T, name string, change func(T)) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		change(object)
		g.Expect(h.api.Update(h.t.Context(), object, client.FieldOwner("somebody"))).To(gomega.Succeed())
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

func (h *home) eventually(check func(g gomega.Gomega)) {
	h.t.Helper()
	h.within(patience, check)
}

func (h *home) within(limit time.Duration, check func(g gomega.Gomega)) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(check).WithContext(h.t.Context()).WithTimeout(limit).WithPolling(20 * time.Millisecond).Should(gomega.Succeed())
}

// current waits until kstatus reads an object as current.
func (h *home) current(object v1alpha1.Object, name string) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		got, why := kstatus(h.t, object)
		g.Expect(got).To(gomega.Equal(status.CurrentStatus), why)
	})
}

func kstatus(t *testing.T, object client.Object) (status.Status, string) {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: fields})
	if err != nil {
		t.Fatal(err)
	}
	return result.Status, result.Message
}

// condition waits until a condition of an object has a status and a reason, and returns its message.
func (h *home) condition(object v1alpha1.Object, name, kind string, want metav1.ConditionStatus, reason string) string {
	h.t.Helper()
	var message string
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		c := meta.FindStatusCondition(object.CommonStatus().Conditions, kind)
		g.Expect(c).NotTo(gomega.BeNil())
		g.Expect(c.Reason).To(gomega.Equal(reason), c.Message)
		g.Expect(c.Status).To(gomega.Equal(want), c.Message)
		message = c.Message
	})
	return message
}

// workloads waits until the condition WorkloadsReady has a reason, and returns its message.
func (h *home) workloads(want metav1.ConditionStatus, reason string) string {
	h.t.Helper()
	return h.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.WorkloadsReadyCondition, want, reason)
}

// gone waits until an object is no more.
func (h *home) gone(object client.Object, name string) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		err := h.api.Get(h.t.Context(), h.key(name), object)
		g.Expect(apierrors.IsNotFound(err)).To(gomega.BeTrue(), "%v", err)
	})
}

// inForce are the objects of which events tell that they are in force, by name.
func (h *home) inForce() (names []string) {
	h.t.Helper()
	var list corev1.EventList
	if err := h.api.List(h.t.Context(), &list, client.InNamespace(h.namespace)); err != nil {
		h.t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Reason == v1alpha1.InForceReason {
			names = append(names, e.InvolvedObject.Name)
		}
	}
	return names
}

// told is what the tenant's workers and servers know.
func (h *home) told() credentials.Tenant {
	h.t.Helper()
	told, err := credentials.Parse(get(h, &corev1.Secret{}, "tertulia-runtime").Data)
	if err != nil {
		h.t.Fatal(err)
	}
	return told
}

// rolledOut writes into the Deployments' statuses that all their pods are up.
func (h *home) rolledOut() {
	h.t.Helper()
	for _, name := range []string{"tertulia-worker", "tertulia-server"} {
		h.eventually(func(g gomega.Gomega) {
			d := &appsv1.Deployment{}
			g.Expect(h.api.Get(h.t.Context(), h.key(name), d)).To(gomega.Succeed())
			n := *d.Spec.Replicas
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
			g.Expect(h.api.Status().Update(h.t.Context(), d)).To(gomega.Succeed())
		})
	}
}

// settled makes a namespace whose tenant runs.
func settled(t *testing.T) *home {
	t.Helper()
	h := newHome(t)
	h.rolledOut()
	h.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
	return h
}
