package incluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/crmtenant"
)

func TestATenantRunsAsWorkloads(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.CRMTenant{}
	h.current(object, "default") // accepted and in force, though nothing runs yet
	h.workloads(metav1.ConditionFalse, v1alpha1.RollingOutReason)
	edit(h, object, "default", func(o *v1alpha1.CRMTenant) { o.Spec.Worker = &v1alpha1.ProcessSize{Replicas: new(int32(3))} })
	h.eventually(func(g gomega.Gomega) {
		g.Expect(*get(h, &appsv1.Deployment{}, "tertulia-worker").Spec.Replicas).To(gomega.Equal(int32(3)))
	})
	h.rolledOut()
	h.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
	get(h, object, "default")
	want := &v1alpha1.CRMTenantStatus{Workers: &v1alpha1.ProcessCount{Desired: 3, Ready: 3}, Servers: &v1alpha1.ProcessCount{Desired: 1, Ready: 1}}
	got := &v1alpha1.CRMTenantStatus{Workers: object.Status.Workers, Servers: object.Status.Servers}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts: -want +got:\n%s", diff)
	}
	service := get(h, &corev1.Service{}, "tertulia-server")
	if service.Spec.Ports[0].TargetPort.StrVal != "http" || service.Spec.Selector["app.kubernetes.io/component"] != "server" {
		t.Errorf("the Service leads astray: %+v", service.Spec)
	}
	for _, name := range []string{"tertulia-worker", "tertulia-server"} {
		for _, o := range []client.Object{&appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}} {
			if !metav1.IsControlledBy(get(h, o, name), object) {
				t.Errorf("%T %s does not go with its tenant", o, name)
			}
		}
	}
	told := h.told()
	if told.ID != h.id || told.Namespace != h.namespace || told.PublicURL != object.Spec.PublicURL || told.DatabaseURL == "" || len(told.MetricsTokenSHA256) != 64 {
		t.Errorf("processes are not told everything: %+v", told)
	}
}

// TestRestrictedPodSecurityAdmitsTheProcesses has the API server's own admission judge the pods, as it does in a namespace of
// the strictest standard.
func TestRestrictedPodSecurityAdmitsTheProcesses(t *testing.T) {
	h := emptyHome(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.namespace}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`))
	if err := h.api.Patch(t.Context(), namespace, patch); err != nil {
		t.Fatal(err)
	}
	h.create(h.tenant())
	h.current(&v1alpha1.CRMTenant{}, "default")
	account := &corev1.ServiceAccount{}
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("default"), account)).To(gomega.Succeed())
	})
	for _, name := range []string{"tertulia-worker", "tertulia-server"} {
		template := get(h, &appsv1.Deployment{}, name).Spec.Template
		pod := &corev1.Pod{ObjectMeta: h.named(name), Spec: template.Spec}
		pod.Labels = template.Labels
		h.create(pod)
		for _, volume := range pod.Spec.Volumes {
			if volume.Projected != nil {
				t.Errorf("%s holds a token of the Kubernetes API", name)
			}
		}
		loose := &corev1.Pod{ObjectMeta: h.named(name + "-loose"), Spec: *template.Spec.DeepCopy()}
		loose.Spec.SecurityContext = nil
		if err := h.api.Create(t.Context(), loose); err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
			t.Errorf("a pod without a security context: got %v, want it refused: nothing was judged", err)
		}
	}
}

func TestSettledTenantsCostNoWrites(t *testing.T) {
	h := settled(t)
	h.create(h.login("smtp", "secret"), h.channel("news", "smtp"))
	h.current(&v1alpha1.MessageChannel{}, "news")
	quiet := func() int64 {
		t.Helper()
		var count int64
		// Events are sent in the background and come after the status that they tell of.
		h.eventually(func(g gomega.Gomega) {
			g.Expect(h.inForce()).To(gomega.ContainElements("default", "news"))
			count = h.writes.In(h.namespace).Load()
			g.Consistently(h.writes.In(h.namespace).Load).WithTimeout(700 * time.Millisecond).Should(gomega.Equal(count))
		})
		return count
	}
	before := quiet()
	for range 3 {
		h.tenants.Wake("CRMTenant", h.namespace, "default")
		h.tenants.WakeAll(t.Context(), h.namespace)
	}
	if after := quiet(); after != before {
		t.Errorf("looking at a settled tenant wrote %d times", after-before)
	}
	h.replaceOperator(t, crmtenant.Workloads{Image: image})
	h.eventually(func(g gomega.Gomega) {
		tenant, err := h.tenants.Tenant(t.Context(), h.namespace)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(tenant.ID).To(gomega.Equal(h.id))
	})
	if after := quiet(); after != before {
		t.Errorf("another operator wrote %d times", after-before)
	}
}

// TestWhatOthersChange has somebody change what the operator has applied, and what it has not.
func TestWhatOthersChange(t *testing.T) {
	h := settled(t)
	worker, budget, policy, service := &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}, &corev1.Service{}
	tests := map[string]struct {
		reason string
		change func()
		back   func(g gomega.Gomega)
	}{
		"another image": {"what runs is what was released", func() {
			edit(h, worker, "tertulia-worker", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "other.example/x:1" })
		}, func(g gomega.Gomega) {
			g.Expect(get(h, worker, "tertulia-worker").Spec.Template.Spec.Containers[0].Image).To(gomega.Equal(image))
		}},
		"a privilege": {"Pod Security holds for every pod", func() {
			edit(h, worker, "tertulia-worker", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].SecurityContext = nil })
		}, func(g gomega.Gomega) {
			g.Expect(get(h, worker, "tertulia-worker").Spec.Template.Spec.Containers[0].SecurityContext).NotTo(gomega.BeNil())
			g.Expect(*worker.Spec.Template.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem).To(gomega.BeTrue())
		}},
		"a label": {"the operator sees only what carries its label", func() {
			edit(h, service, "tertulia-server", func(s *corev1.Service) { delete(s.Labels, "app.kubernetes.io/managed-by") })
		}, func(g gomega.Gomega) {
			g.Expect(get(h, service, "tertulia-server").Labels).To(gomega.HaveKeyWithValue("app.kubernetes.io/managed-by", "tertulia-operator"))
		}},
		"a budget": {"a drain must not take all", func() {
			edit(h, budget, "tertulia-server", func(b *policyv1.PodDisruptionBudget) { b.Spec.MaxUnavailable = new(intstr.FromString("100%")) })
		}, func(g gomega.Gomega) {
			g.Expect(get(h, budget, "tertulia-server").Spec.MaxUnavailable.IntVal).To(gomega.Equal(int32(1)))
		}},
		"a way in": {"nothing comes in but what is named", func() {
			edit(h, policy, "tertulia-worker", func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}} })
		}, func(g gomega.Gomega) {
			rules := get(h, policy, "tertulia-worker").Spec.Ingress
			g.Expect(rules).To(gomega.HaveLen(1))
			g.Expect(rules[0].From).To(gomega.HaveLen(1))
			g.Expect(rules[0].From[0].NamespaceSelector.MatchExpressions[0].Operator).To(gomega.Equal(metav1.LabelSelectorOpDoesNotExist))
		}},
		"a deletion": {"a settled tenant is whole", func() {
			h.delete(&policyv1.PodDisruptionBudget{}, "tertulia-worker")
		}, func(g gomega.Gomega) {
			g.Expect(h.api.Get(t.Context(), h.key("tertulia-worker"), budget)).To(gomega.Succeed())
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.change()
			gomega.NewWithT(t).Eventually(tc.back).WithTimeout(patience).WithPolling(20*time.Millisecond).Should(gomega.Succeed(), tc.reason)
		})
	}
}

// TestWhatIsNotOursIsLeftAlone scales as an autoscaler does, and restarts as kubectl does.
func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	h := settled(t)
	d := get(h, &appsv1.Deployment{}, "tertulia-worker")
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 4}}
	if err := h.api.SubResource("scale").Update(t.Context(), d, client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	edit(h, d, "tertulia-worker", func(d *appsv1.Deployment) {
		d.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2027-03-21T09:00:00Z"}
	})
	// A change of ours comes through beside them.
	edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) {
		o.Spec.Worker = &v1alpha1.ProcessSize{Resources: &v1alpha1.ProcessResources{Limits: &v1alpha1.ResourceAmounts{Memory: new(resource.MustParse("512Mi"))}}}
	})
	h.eventually(func(g gomega.Gomega) {
		got := get(h, d, "tertulia-worker").Spec.Template.Spec.Containers[0].Resources.Limits[corev1.ResourceMemory]
		g.Expect(got.String()).To(gomega.Equal("512Mi"))
	})
	if *d.Spec.Replicas != 4 || d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] == "" {
		t.Errorf("the operator has put back what is somebody else's: %d replicas, annotations %v", *d.Spec.Replicas, d.Spec.Template.Annotations)
	}
	// Once the author says how many, an autoscaler has no say.
	edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.Worker.Replicas = new(int32(2)) })
	h.eventually(func(g gomega.Gomega) {
		g.Expect(*get(h, d, "tertulia-worker").Spec.Replicas).To(gomega.Equal(int32(2)))
	})
}
