package crmtenant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func amounts(cpu, memory string) *v1alpha1.ResourceAmounts {
	a := &v1alpha1.ResourceAmounts{}
	if cpu != "" {
		a.CPU = new(resource.MustParse(cpu))
	}
	if memory != "" {
		a.Memory = new(resource.MustParse(memory))
	}
	return a
}

func sized(requests, limits *v1alpha1.ResourceAmounts) *v1alpha1.ProcessSize {
	return &v1alpha1.ProcessSize{Resources: &v1alpha1.ProcessResources{Requests: requests, Limits: limits}}
}

func TestSizesOfProcesses(t *testing.T) {
	type want struct{ CPURequest, MemoryRequest, CPULimit, MemoryLimit, GoLimit string }
	tests := map[string]struct {
		reason string
		size   *v1alpha1.ProcessSize
		want   want
	}{
		"nothing said":            {"every tenant runs out of the box", nil, want{"50m", "64Mi", "0", "256Mi", "241591905"}},
		"a request above ours":    {"the limit follows", sized(amounts("", "1Gi"), nil), want{"50m", "1Gi", "0", "1Gi", "966367638"}},
		"a limit":                 {"the request stays", sized(nil, amounts("", "512Mi")), want{"50m", "64Mi", "0", "512Mi", "483183819"}},
		"a cpu limit below ours":  {"no request is above its limit", sized(nil, amounts("20m", "")), want{"20m", "64Mi", "20m", "256Mi", "241591905"}},
		"everything":              {"an author knows best", sized(amounts("1.5", "300M"), amounts("2", "1G")), want{"1500m", "300M", "2", "1G", "900000000"}},
		"fractions of a thousand": {"as the API server keeps them", sized(amounts("0.1234", ""), nil), want{"124m", "64Mi", "0", "256Mi", "241591905"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			object := &v1alpha1.CRMTenant{Spec: v1alpha1.CRMTenantSpec{ID: "velo", Worker: tc.size}}
			container := planContainer(object, &Workloads{}, workers)
			requests, limits := *container.Resources.Requests, *container.Resources.Limits
			got := want{requests.Cpu().String(), requests.Memory().String(), limits.Cpu().String(), limits.Memory().String(), *container.Env[0].Value}
			// Amounts are compared and not how they are written.
			for _, pair := range [][2]*string{{&tc.want.MemoryRequest, &got.MemoryRequest}, {&tc.want.MemoryLimit, &got.MemoryLimit}} {
				if a, b := resource.MustParse(*pair[0]), resource.MustParse(*pair[1]); a.Cmp(b) == 0 {
					*pair[1] = *pair[0]
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestReplicasAreAnAutoscalersUnlessTheAuthorSays(t *testing.T) {
	object := &v1alpha1.CRMTenant{Spec: v1alpha1.CRMTenantSpec{ID: "velo", Server: &v1alpha1.ProcessSize{Replicas: new(int32(0))}}}
	if got := planDeployment(object, &Workloads{}, workers).Spec.Replicas; got != nil {
		t.Errorf("workers: got %d, want the field left alone", *got)
	}
	if got := planDeployment(object, &Workloads{}, servers).Spec.Replicas; got == nil || *got != 0 {
		t.Errorf("servers: got %v, want 0", got)
	}
}

func TestArgumentsOfProcesses(t *testing.T) {
	common := "--tenant-dir /etc/tertulia/tenant --health-listen :8081 --metrics-listen :9090 --log-format json --listen-allow-network 10.30.0.0/16"
	for c, want := range map[component]string{
		workers: "worker --graceful-period 50s --webhook-networks 10.20.0.0/16,fd00::/8 " + common, servers: "server --listen :8080 " + common,
	} {
		w := &Workloads{LogFormat: "json", WebhookNetworks: []string{"10.20.0.0/16", "fd00::/8"}, ListenNetworks: []string{"10.30.0.0/16"}}
		if got := strings.Join(arguments(w, c), " "); got != want {
			t.Errorf("%s: got %q, want %q", c, got, want)
		}
	}
}

func TestWhoMayReachProcesses(t *testing.T) {
	peer := func(c networkingac.NetworkPolicyIngressRuleApplyConfiguration) string {
		if len(c.From) == 0 {
			return "everybody"
		}
		requirement := c.From[0].NamespaceSelector.MatchExpressions[0]
		return string(*requirement.Operator) + " " + strings.Join(requirement.Values, ",")
	}
	tests := map[string]struct {
		reason string
		w      Workloads
		c      component
		want   map[string]string // peers by port
	}{
		"a worker":                {"nobody speaks to it", Workloads{}, workers, map[string]string{"metrics": "DoesNotExist "}},
		"a worker, scraped":       {"as the platform says", Workloads{MetricsFrom: []string{"monitoring"}}, workers, map[string]string{"metrics": "In monitoring"}},
		"a server":                {"contacts come from everywhere", Workloads{}, servers, map[string]string{"http": "everybody", "metrics": "DoesNotExist "}},
		"a server behind ingress": {"as the platform says", Workloads{HTTPFrom: []string{"ingress", "mesh"}}, servers, map[string]string{"http": "In ingress,mesh", "metrics": "DoesNotExist "}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			policy := planNetworkPolicy(&v1alpha1.CRMTenant{}, &tc.w, tc.c)
			got := map[string]string{}
			for _, rule := range policy.Spec.Ingress {
				got[rule.Ports[0].Port.StrVal] = peer(rule)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if len(policy.Spec.PolicyTypes) != 2 {
				t.Errorf("the policy is silent on a direction: %v", policy.Spec.PolicyTypes)
			}
			if out := policy.Spec.Egress[0].To; out[0].IPBlock.Except[0] != "169.254.0.0/16" || out[1].IPBlock.Except[0] != "fe80::/10" || out[2].NamespaceSelector == nil {
				t.Errorf("the way out: %+v", out)
			}
		})
	}
}

// deployed is a Deployment that has rolled out.
func deployed(change func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Generation: 2},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "registry.example/tertulia:v1"}}}},
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2},
	}
	if change != nil {
		change(d)
	}
	return d
}

func failure(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Status.AvailableReplicas = 1
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: kind, Status: status, Reason: reason, Message: message}}
	}
}

func pod(status corev1.ContainerStatus, conditions ...corev1.PodCondition) corev1.Pod {
	status.Name = "worker"
	return corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}, Conditions: conditions}}
}

func waiting(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
}

func ended(reason string, code int32) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}
}

func TestVerdictsOnProcesses(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	short := func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	tests := map[string]struct {
		reason     string
		deployment *appsv1.Deployment
		pods       []corev1.Pod
		want       string
		says       string
	}{
		"as it should be": {"nothing to tell", deployed(nil), nil, "", ""},
		"none wanted": {"an author may stop them", deployed(func(d *appsv1.Deployment) {
			d.Spec.Replicas, d.Status = new(int32(0)), appsv1.DeploymentStatus{ObservedGeneration: 2}
		}), nil, "", ""},
		"not applied yet": {"the database comes first", nil, nil, v1alpha1.WorkloadsNotAppliedReason, "database"},
		"not seen yet":    {"the cluster has work", deployed(func(d *appsv1.Deployment) { d.Generation = 3 }), nil, v1alpha1.RollingOutReason, ""},
		"old ones left":   {"the cluster has work", deployed(func(d *appsv1.Deployment) { d.Status.Replicas = 3 }), nil, v1alpha1.RollingOutReason, ""},
		"rolled out for too long": {"it will not end by itself", deployed(func(d *appsv1.Deployment) {
			failure(appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", "")(d)
			d.Status.UpdatedReplicas = 1
		}), nil, v1alpha1.PodsNotReadyReason, "kubectl logs -l app.kubernetes.io/component=worker."},
		"not ready": {"most often the database", deployed(short), []corev1.Pod{pod(corev1.ContainerStatus{State: running})}, v1alpha1.PodsNotReadyReason, "database"},
		"a quota": {
			"amounts change at every try",
			deployed(failure(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate", `pods "tertulia-worker-5c8-x" is forbidden: exceeded quota: few, used: pods=7`)), nil,
			v1alpha1.QuotaExceededReason, "spec.worker.resources",
		},
		"a policy": {
			"names of pods change at every try",
			deployed(failure(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate", `pods "tertulia-worker-5c8-x" is forbidden: denied by webhook`)), nil,
			v1alpha1.PodsRefusedReason, "kubectl describe deployment tertulia-worker",
		},
		"Pod Security": {
			"ours are restricted, so somebody changes them",
			deployed(failure(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate", `pods "x" is forbidden: violates PodSecurity "restricted:latest"`)), nil,
			v1alpha1.PodsRefusedReason, "webhook",
		},
		"no node": {"it waits for room", deployed(short), []corev1.Pod{pod(corev1.ContainerStatus{}, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		})}, v1alpha1.NoNodeFitsReason, "spec.worker.resources.requests"},
		"an image": {"nobody finds it", deployed(short), []corev1.Pod{pod(corev1.ContainerStatus{State: waiting("ErrImagePull")})}, v1alpha1.ImageCannotBePulledReason, "registry.example/tertulia:v1"},
		"an image that backs off": {
			"the same verdict, so that the condition stands still", deployed(short),
			[]corev1.Pod{pod(corev1.ContainerStatus{State: waiting("ImagePullBackOff")})},
			v1alpha1.ImageCannotBePulledReason, "imagePullSecrets",
		},
		"too much memory": {
			"also while it is started again", deployed(short),
			[]corev1.Pod{pod(corev1.ContainerStatus{State: running, LastTerminationState: ended("OOMKilled", 137)})},
			v1alpha1.OutOfMemoryReason, "spec.worker.resources.limits.memory",
		},
		"one crash": {"once is no loop", deployed(short), []corev1.Pod{pod(corev1.ContainerStatus{State: running, RestartCount: 1, LastTerminationState: ended("Error", 1)})}, v1alpha1.PodsNotReadyReason, ""},
		"crashes": {
			"also while it is started again", deployed(short),
			[]corev1.Pod{pod(corev1.ContainerStatus{State: running, RestartCount: 2, LastTerminationState: ended("Error", 1)})},
			v1alpha1.PodsCrashReason, "--previous",
		},
		"a crash loop":          {"the kubelet says so", deployed(short), []corev1.Pod{pod(corev1.ContainerStatus{State: waiting("CrashLoopBackOff")})}, v1alpha1.PodsCrashReason, "--previous"},
		"a node that is broken": {"it has to be looked at", deployed(short), []corev1.Pod{pod(corev1.ContainerStatus{State: waiting("RunContainerError")})}, v1alpha1.ContainerCannotStartReason, "describe pod"},
		"a crash long ago": {
			"one that is ready has no say", deployed(nil), []corev1.Pod{pod(corev1.ContainerStatus{State: running, RestartCount: 9, LastTerminationState: ended("OOMKilled", 137)}, ready)}, "", "",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := planComponent(workers, observed{tc.deployment, tc.pods})
			if got.reason != tc.want || got.isBad() != (tc.want != "") {
				t.Errorf("got %+v, want %q (%s)", got, tc.want, tc.reason)
			}
			if !strings.Contains(got.message, tc.says) || strings.Contains(got.message, "%!") || strings.ContainsAny(got.message, "0123456789") && tc.want != v1alpha1.ImageCannotBePulledReason {
				t.Errorf("the message lacks %q, is broken, or counts: %s", tc.says, got.message)
			}
		})
	}
}

func TestTheVerdictThatNeedsAPersonComesFirst(t *testing.T) {
	rolling := observed{deployment: deployed(func(d *appsv1.Deployment) { d.Status.Replicas = 3 })}
	short := observed{deployment: deployed(func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 0 })}
	fine := observed{deployment: deployed(nil)}
	none := observed{deployment: deployed(func(d *appsv1.Deployment) {
		d.Spec.Replicas, d.Status = new(int32(0)), appsv1.DeploymentStatus{ObservedGeneration: 2}
	})}
	for name, tc := range map[string]struct {
		seen map[component]observed
		want string
	}{
		"both run":                     {map[component]observed{workers: fine, servers: fine}, v1alpha1.RunningReason},
		"none of one is wanted":        {map[component]observed{workers: none, servers: fine}, v1alpha1.NoProcessesWantedReason},
		"none, and the other rolls":    {map[component]observed{workers: none, servers: rolling}, v1alpha1.RollingOutReason},
		"one rolls":                    {map[component]observed{workers: rolling, servers: fine}, v1alpha1.RollingOutReason},
		"one rolls, the other is lost": {map[component]observed{workers: rolling, servers: short}, v1alpha1.PodsNotReadyReason},
	} {
		if got := planVerdict(tc.seen); got.reason != tc.want || got.message == "" {
			t.Errorf("%s: got %+v, want %s", name, got, tc.want)
		}
	}
}

func TestCredentialsInUse(t *testing.T) {
	tests := map[string]struct {
		reason    string
		processes []store.Process
		want      bool
	}{
		"nobody has spoken":       {"nothing is known to be wrong", nil, true},
		"all of this moment":      {"as it should be", []store.Process{{Digest: "new"}, {Digest: "new", Kind: store.ServerProcess}}, true},
		"one of before":           {"it logs in with what was rotated", []store.Process{{Digest: "new"}, {Digest: "old", Kind: store.ServerProcess, Silent: store.ProcessInterval}}, false},
		"one of before, and gone": {"who was killed uses nothing", []store.Process{{Digest: "old", Silent: 4 * store.ProcessInterval}}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := planCredentials(tc.processes, "new")
			if got.isBad() == tc.want || got.isBad() && (got.reason != v1alpha1.CredentialsNotYetInUse || !strings.Contains(got.message, "A server still")) {
				t.Errorf("got %+v, want it fine: %t (%s)", got, tc.want, tc.reason)
			}
		})
	}
}
