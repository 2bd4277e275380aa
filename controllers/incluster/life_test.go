package incluster_test

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/crmtenant"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// v1Workloads is how the world's first operator runs tenants.
func v1Workloads() crmtenant.Workloads { return crmtenant.Workloads{Image: image} }

// TestADeletedTenantTakesItsProcessesAlong deletes a tenant and declares it again before all of it is gone.
func TestADeletedTenantTakesItsProcessesAlong(t *testing.T) {
	h := settled(t)
	h.create(h.login("smtp", "first"), h.channel("news", "smtp"))
	h.has(map[string]credentials.Channel{"news": velo("first")})
	before := map[string]types.UID{}
	for _, name := range []string{"tertulia-worker", "tertulia-server"} {
		before[name] = get(h, &appsv1.Deployment{}, name).UID
	}
	h.delete(&v1alpha1.CRMTenant{}, "default")
	h.gone(&v1alpha1.CRMTenant{}, "default")
	h.create(h.tenant())
	for name, uid := range before {
		h.within(clusterPatience, func(g gomega.Gomega) {
			d := &appsv1.Deployment{}
			g.Expect(h.api.Get(t.Context(), h.key(name), d)).To(gomega.Succeed())
			g.Expect(d.UID).NotTo(gomega.Equal(uid))
		})
	}
	h.rolledOut()
	h.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
	h.current(&v1alpha1.CRMTenant{}, "default")
	h.has(map[string]credentials.Channel{"news": velo("first")})
	if err := store.CheckLogin(t.Context(), h.told().DatabaseURL); err != nil {
		t.Errorf("workers cannot log in: %v", err)
	}
	h.delete(&v1alpha1.CRMTenant{}, "default")
	for _, name := range []string{"tertulia-worker", "tertulia-server"} {
		h.gone(&appsv1.Deployment{}, name)
	}
	h.gone(&corev1.Secret{}, "tertulia-runtime")
}

func TestANamespaceEndsWithItsProcesses(t *testing.T) {
	h := settled(t)
	h.create(h.login("smtp", "first"), h.channel("news", "smtp"))
	h.has(map[string]credentials.Channel{"news": velo("first")})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.namespace}}
	if err := h.api.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	h.within(clusterPatience, func(g gomega.Gomega) {
		err := h.api.Get(t.Context(), types.NamespacedName{Name: h.namespace}, namespace)
		g.Expect(apierrors.IsNotFound(err)).To(gomega.BeTrue(), "%v", err)
	})
}

// TestAnUpgradeRollsWhatIsMigrated has a newer operator begin. A tenant whose database it cannot reach keeps running as it is:
// a version must not begin before its migration.
func TestAnUpgradeRollsWhatIsMigrated(t *testing.T) {
	reachable, away := settled(t), emptyHome(t)
	uri := away.database("away_" + strings.ReplaceAll(away.namespace, "-", "_"))
	tenant := away.tenant()
	tenant.Spec.Database = &v1alpha1.TenantDatabase{SecretRef: v1alpha1.LocalReference{Name: "db"}}
	away.create(&corev1.Secret{ObjectMeta: away.named("db"), StringData: map[string]string{"uri": uri}}, tenant)
	away.current(&v1alpha1.CRMTenant{}, "default")
	away.rolledOut()
	away.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
	edit(away, &corev1.Secret{}, "db", func(s *corev1.Secret) {
		s.StringData = map[string]string{"uri": "postgres://nobody:nothing@127.0.0.1:1/nowhere"}
	})
	away.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.DatabaseDownReason)

	const next = "registry.example/tertulia:v2"
	reachable.replaceOperator(t, crmtenant.Workloads{Image: next, Environment: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}})
	t.Cleanup(func() { reachable.replaceOperator(t, v1Workloads()) })
	reachable.eventually(func(g gomega.Gomega) {
		for _, name := range []string{"tertulia-worker", "tertulia-server"} {
			container := get(reachable, &appsv1.Deployment{}, name).Spec.Template.Spec.Containers[0]
			g.Expect(container.Image).To(gomega.Equal(next))
			g.Expect(container.Env).To(gomega.ContainElement(corev1.EnvVar{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://collector:4317"}))
		}
	})
	reachable.workloads(metav1.ConditionFalse, v1alpha1.RollingOutReason)
	reachable.current(&v1alpha1.CRMTenant{}, "default")
	// How its processes are is told also while nothing can be done for it.
	edit(away, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.DisplayName = "Velo 2" })
	d := get(away, &appsv1.Deployment{}, "tertulia-server")
	d.Status.ReadyReplicas, d.Status.AvailableReplicas = 0, 0
	if err := away.api.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	away.workloads(metav1.ConditionFalse, v1alpha1.PodsNotReadyReason)
	if got := get(away, d, "tertulia-server").Spec.Template.Spec.Containers[0].Image; got != image {
		t.Errorf("a version has begun before its migration: %s", got)
	}
}

// TestWhatKeepsProcessesFromRunning has the cluster refuse, and pods fail.
func TestWhatKeepsProcessesFromRunning(t *testing.T) {
	t.Run("a quota", func(t *testing.T) {
		h := emptyHome(t)
		quota := &corev1.ResourceQuota{ObjectMeta: h.named("few"), Spec: corev1.ResourceQuotaSpec{
			Hard: corev1.ResourceList{"count/deployments.apps": resource.MustParse("0")},
		}}
		h.create(quota)
		h.eventually(func(g gomega.Gomega) { // the API server refuses everything until the quota was counted
			g.Expect(get(h, quota, "few").Status.Hard).NotTo(gomega.BeEmpty())
		})
		h.create(h.tenant())
		message := h.workloads(metav1.ConditionFalse, v1alpha1.QuotaExceededReason)
		if !strings.Contains(message, "ResourceQuota") || strings.Contains(message, "used") {
			t.Errorf("the message does not say how to mend it, or counts: %s", message)
		}
		h.current(&v1alpha1.CRMTenant{}, "default")
		h.delete(quota, "few")
		h.eventually(func(g gomega.Gomega) {
			h.tenants.Wake("CRMTenant", h.namespace, "default")
			g.Expect(h.api.Get(t.Context(), h.key("tertulia-worker"), &appsv1.Deployment{})).To(gomega.Succeed())
		})
	})
	t.Run("somebody else's", func(t *testing.T) {
		h := emptyHome(t)
		labels := map[string]string{"app": "mine"}
		theirs := &appsv1.Deployment{ObjectMeta: h.named("tertulia-worker"), Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mine", Image: "mine.example/x:1"}}},
			},
		}}
		h.create(theirs, h.tenant())
		message := h.workloads(metav1.ConditionFalse, v1alpha1.WorkloadNotOursReason)
		if !strings.Contains(message, `Deployment "tertulia-worker"`) || !strings.Contains(message, "delete or rename") {
			t.Errorf("the message does not say how to mend it: %s", message)
		}
		if got := get(h, theirs, "tertulia-worker").Spec.Template.Spec.Containers[0].Image; got != "mine.example/x:1" {
			t.Errorf("somebody else's Deployment was taken over: %s", got)
		}
	})
	t.Run("a pod", func(t *testing.T) {
		h := settled(t)
		template := get(h, &appsv1.Deployment{}, "tertulia-worker").Spec.Template
		pod := &corev1.Pod{ObjectMeta: h.named("tertulia-worker-x"), Spec: template.Spec}
		pod.Labels = template.Labels
		h.eventually(func(g gomega.Gomega) { g.Expect(h.api.Create(t.Context(), pod.DeepCopy())).To(gomega.Succeed()) })
		get(h, pod, "tertulia-worker-x")
		becomes := func(status corev1.ContainerStatus, conditions ...corev1.PodCondition) {
			t.Helper()
			status.Name, status.Image = "worker", image
			pod.Status.ContainerStatuses, pod.Status.Conditions = []corev1.ContainerStatus{status}, conditions
			if err := h.api.Status().Update(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
		}
		waits := func(reason string) corev1.ContainerState {
			return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
		}
		becomes(corev1.ContainerStatus{State: waits("ImagePullBackOff")})
		message := h.workloads(metav1.ConditionFalse, v1alpha1.ImageCannotBePulledReason)
		if !strings.Contains(message, image) {
			t.Errorf("the message does not name the image: %s", message)
		}
		becomes(corev1.ContainerStatus{State: waits("CrashLoopBackOff")})
		h.workloads(metav1.ConditionFalse, v1alpha1.PodsCrashReason)
		becomes(corev1.ContainerStatus{Ready: true}, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		h.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
		becomes(corev1.ContainerStatus{State: waits("CrashLoopBackOff")})
		h.workloads(metav1.ConditionFalse, v1alpha1.PodsCrashReason)
		h.delete(&corev1.Pod{}, "tertulia-worker-x")
		h.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
	})
}

// TestAHostIsHisWhoHadItFirst has an older tenant ask for the host of a younger one, also of an operator that has just begun.
func TestAHostIsHisWhoHadItFirst(t *testing.T) {
	older := newHome(t)
	younger := newHome(t)
	ask := func(h *home, publicURL string) {
		edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.PublicURL = publicURL })
	}
	theirs := "https://" + younger.namespace + ".example"
	ask(older, "https://"+strings.ToUpper(strings.TrimPrefix(theirs, "https://")))
	message := older.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.PublicURLTakenReason)
	if !strings.Contains(message, younger.namespace) {
		t.Errorf("the message does not say whose the host is: %s", message)
	}
	older.replaceOperator(t, v1Workloads())
	younger.eventually(func(g gomega.Gomega) {
		_, err := younger.tenants.Tenant(t.Context(), younger.namespace)
		g.Expect(err).NotTo(gomega.HaveOccurred())
	})
	younger.current(&v1alpha1.CRMTenant{}, "default")
	if got := older.told().PublicURL; got != "https://"+older.namespace+".example" {
		t.Errorf("the servers of a tenant that was refused were told of %s", got)
	}
	// What a refused tenant has had is not given away either.
	third := emptyHome(t)
	tenant := third.tenant()
	tenant.Spec.PublicURL = "https://" + older.namespace + ".example"
	third.create(tenant)
	third.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.PublicURLTakenReason)
	// A host that was given up is free.
	ask(younger, "https://elsewhere-"+younger.namespace+".example")
	younger.current(&v1alpha1.CRMTenant{}, "default")
	ask(older, theirs)
	older.current(&v1alpha1.CRMTenant{}, "default")
}

func TestAnIDIsHisWhoHadItFirst(t *testing.T) {
	first, second := newHome(t), emptyHome(t)
	second.id = first.id
	second.create(second.tenant())
	message := second.condition(&v1alpha1.CRMTenant{}, "default", v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.IDTakenReason)
	if !strings.Contains(message, first.namespace) || !strings.Contains(message, "another id") {
		t.Errorf("the message does not say whose the id is and what to do: %s", message)
	}
	second.workloads(metav1.ConditionFalse, v1alpha1.WorkloadsNotAppliedReason)
	if err := second.api.Get(t.Context(), second.key("tertulia-runtime"), &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("a tenant that was refused is told something: %v", err)
	}
	first.current(&v1alpha1.CRMTenant{}, "default")
}
