package crmtenant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch

// verdict is what a condition says of a tenant's processes.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
}

func (v verdict) isBad() bool { return v.status != metav1.ConditionTrue }

// observed is what the cluster says of a component.
type observed struct {
	deployment *appsv1.Deployment // nil where there is none
	pods       []corev1.Pod
}

// observeWorkloads writes how the tenant's processes are, also when nothing else could be done for the tenant. It is no part
// of Ready, which says that a tenant is accepted and in force: an upgrade of the operator rolls every tenant's processes, and
// what waits for a tenant to be ready (a GitOps tool's next step, a campaign) must not wait for that, because workers and
// servers replace each other without a gap. Reconciling is not set for the same reason.
func (r *Reconciler) observeWorkloads(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant) error {
	seen := map[component]observed{}
	for _, c := range components {
		found, err := r.observe(ctx, object, c)
		if err != nil {
			return err
		}
		seen[c] = found
	}
	object.Status.Workers, object.Status.Servers = count(seen[workers]), count(seen[servers])
	told := planVerdict(seen)
	if !told.isBad() {
		late, err := r.observeCredentials(ctx, object)
		if err != nil {
			return err
		}
		if late.isBad() {
			told = late
			// A process that was killed says nothing any more, and no watch tells when it has been silent for long enough.
			pass.LookAgainAfter(store.ProcessInterval)
		}
	}
	pass.Condition(v1alpha1.WorkloadsReadyCondition, told.status, told.reason, told.message)
	return nil
}

// observeCredentials tells whether every process uses the credentials of this moment. While the tenant's database cannot be
// asked, nothing is known to be wrong.
func (r *Reconciler) observeCredentials(ctx context.Context, object *v1alpha1.CRMTenant) (verdict, error) {
	tenant, err := r.Tenants.Tenant(ctx, object.Namespace)
	if err != nil {
		return verdict{status: metav1.ConditionTrue}, nil
	}
	told, ok, err := r.Handover.Saved(ctx, object.Namespace)
	if err != nil || !ok {
		return verdict{status: metav1.ConditionTrue}, err
	}
	processes, err := tenant.DB.Processes(ctx)
	if err != nil {
		return verdict{}, err
	}
	return planCredentials(processes, told.Digest), nil
}

// planCredentials tells which sort of process still uses what was told before. One that has been silent for three times as
// long as it may is gone.
func planCredentials(processes []store.Process, digest string) verdict {
	for _, p := range processes {
		if p.Digest != digest && p.Silent < 3*store.ProcessInterval {
			return bad(v1alpha1.CredentialsNotYetInUse,
				"A %s still uses the credentials of before: nodes bring changed ones to their pods within a minute or two.", p.Kind)
		}
	}
	return verdict{status: metav1.ConditionTrue}
}

func (r *Reconciler) observe(ctx context.Context, object *v1alpha1.CRMTenant, c component) (observed, error) {
	var found observed
	deployment := &appsv1.Deployment{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: object.Namespace, Name: c.name()}, deployment)
	switch {
	case apierrors.IsNotFound(err):
		return found, nil
	case err != nil:
		return found, fmt.Errorf("read the Deployment of the %ss: %w", c, err)
	}
	if metav1.IsControlledBy(deployment, object) {
		found.deployment = deployment
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(object.Namespace), client.MatchingLabels(selected(c))); err != nil {
		return found, fmt.Errorf("list the pods of the %ss: %w", c, err)
	}
	found.pods = pods.Items
	return found, nil
}

// count tells how many processes there should be and how many are ready; nil while none were asked for.
func count(o observed) *v1alpha1.ProcessCount {
	if o.deployment == nil {
		return nil
	}
	return &v1alpha1.ProcessCount{Desired: desired(o.deployment), Ready: o.deployment.Status.ReadyReplicas}
}

func desired(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// planVerdict tells how the tenant's processes are: the first trouble of a component, workers first, and of all the one that
// needs a person before the one that passes.
func planVerdict(seen map[component]observed) verdict {
	passing := verdict{metav1.ConditionTrue, v1alpha1.RunningReason, "Workers and servers run as spec.worker and spec.server say."}
	if missed := unwanted(seen); missed != "" {
		passing = verdict{metav1.ConditionTrue, v1alpha1.NoProcessesWantedReason, missed}
	}
	for _, c := range components {
		if v := planComponent(c, seen[c]); v.isBad() {
			if v.reason != v1alpha1.RollingOutReason {
				return v
			}
			passing = v
		}
	}
	return passing
}

// unwanted tells what does not happen because the author wants no process for it.
func unwanted(seen map[component]observed) string {
	missed := map[component]string{
		workers: "spec.worker.replicas asks for no worker: nothing is sent and no segment is evaluated.",
		servers: "spec.server.replicas asks for no server: neither clients nor the links in mails are answered.",
	}
	var all []string
	for _, c := range components {
		if d := seen[c].deployment; d != nil && desired(d) == 0 {
			all = append(all, missed[c])
		}
	}
	return strings.Join(all, " ")
}

// planComponent tells how one component is.
func planComponent(c component, o observed) verdict {
	if o.deployment == nil {
		return bad(v1alpha1.WorkloadsNotAppliedReason, "The %ss are started when the tenant's database is ready for them.", c)
	}
	if v := refusedPods(c, o.deployment); v.isBad() {
		return v
	}
	for i := range o.pods {
		if v := planPodVerdict(c, &o.pods[i], o.deployment); v.isBad() {
			return v
		}
	}
	status, want := o.deployment.Status, desired(o.deployment)
	rolled := status.ObservedGeneration >= o.deployment.Generation && status.UpdatedReplicas >= want && status.Replicas <= status.UpdatedReplicas
	switch {
	case rolled && status.AvailableReplicas >= want:
		return verdict{status: metav1.ConditionTrue}
	case !rolled && !timedOut(o.deployment):
		return bad(v1alpha1.RollingOutReason, "The cluster is replacing the %ss one by one.", c)
	}
	return bad(v1alpha1.PodsNotReadyReason, "A %s runs and is not ready: most often its database cannot be reached, or its credentials have not arrived. "+
		"Its log tells more: kubectl logs -l app.kubernetes.io/component=%[1]s.", c)
}

// refusedPods tells why the cluster makes no pods.
func refusedPods(c component, d *appsv1.Deployment) verdict {
	for _, condition := range d.Status.Conditions {
		if condition.Type != appsv1.DeploymentReplicaFailure || condition.Status != corev1.ConditionTrue {
			continue
		}
		// The message names pods and amounts, which change at every try.
		switch text := condition.Message; {
		case strings.Contains(text, "exceeded quota"), strings.Contains(text, "failed quota"):
			return bad(v1alpha1.QuotaExceededReason,
				"A ResourceQuota of the namespace refuses the pods of the %ss: raise it, or change spec.%[1]s.resources so that it counts them.", c)
		case strings.Contains(text, "violates PodSecurity"):
			return bad(v1alpha1.PodsRefusedReason, "The namespace's Pod Security Standard refuses the pods of the %ss: something has changed them on the way, "+
				"such as a webhook. kubectl describe deployment %s tells what.", c, c.name())
		default:
			return bad(v1alpha1.PodsRefusedReason,
				"The cluster refuses the pods of the %ss: kubectl describe deployment %s tells why, such as a LimitRange or an admission policy.", c, c.name())
		}
	}
	return verdict{status: metav1.ConditionTrue}
}

func timedOut(d *appsv1.Deployment) bool {
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing {
			return condition.Status == corev1.ConditionFalse && condition.Reason == "ProgressDeadlineExceeded"
		}
	}
	return false
}

// planPodVerdict tells what keeps one pod from running. One that is ready, or that ends, has no say.
func planPodVerdict(c component, pod *corev1.Pod, d *appsv1.Deployment) verdict {
	fine := verdict{status: metav1.ConditionTrue}
	if !pod.DeletionTimestamp.IsZero() || isTrue(pod, corev1.PodReady) {
		return fine
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
			return bad(v1alpha1.NoNodeFitsReason,
				"No node has room for a %s: add nodes, or lower spec.%[1]s.resources.requests or spec.%[1]s.replicas.", c)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if status.Name == string(c) {
			return planContainerVerdict(c, status, imageOf(d))
		}
	}
	return fine
}

// What a kubelet calls the troubles for which a container waits.
var (
	imageTroubles = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"}
	startTroubles = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)

// planContainerVerdict tells what keeps a process from running. A process that ended keeps its verdict while it is started
// again, so that the condition does not change with every try.
func planContainerVerdict(c component, status *corev1.ContainerStatus, image string) verdict {
	ended := status.LastTerminationState.Terminated
	if status.State.Terminated != nil {
		ended = status.State.Terminated
	}
	waits := ""
	if status.State.Waiting != nil {
		waits = status.State.Waiting.Reason
	}
	crashed := waits == "CrashLoopBackOff" || ended != nil && ended.ExitCode != 0 && status.RestartCount > 1
	switch {
	case slices.Contains(imageTroubles, waits):
		return bad(v1alpha1.ImageCannotBePulledReason, "The image %q cannot be pulled: check the operator's --image, "+
			"and the imagePullSecrets of the namespace's ServiceAccount \"default\".", shorten(image))
	case ended != nil && ended.Reason == "OOMKilled":
		return bad(v1alpha1.OutOfMemoryReason, "A %s was ended because it took more memory than it may: raise spec.%[1]s.resources.limits.memory.", c)
	case crashed:
		return bad(v1alpha1.PodsCrashReason,
			"A %s ends again and again: kubectl logs -l app.kubernetes.io/component=%[1]s --previous tells why. What runs goes on.", c)
	case slices.Contains(startTroubles, waits):
		return bad(v1alpha1.ContainerCannotStartReason, "A node cannot start a %s: kubectl describe pod -l app.kubernetes.io/component=%[1]s tells why.", c)
	}
	return verdict{status: metav1.ConditionTrue}
}

func imageOf(d *appsv1.Deployment) string {
	if d == nil {
		return ""
	}
	for _, container := range d.Spec.Template.Spec.Containers {
		return container.Image
	}
	return ""
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == kind {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func bad(reason, format string, arguments ...any) verdict {
	return verdict{metav1.ConditionFalse, reason, fmt.Sprintf(format, arguments...)}
}
