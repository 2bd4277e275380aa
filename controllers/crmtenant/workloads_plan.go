package crmtenant

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyac "k8s.io/client-go/applyconfigurations/policy/v1"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
)

// component is a sort of process, as the label app.kubernetes.io/component names it.
type component string

const (
	workers component = "worker"
	servers component = "server"
)

// components are all sorts, in the order in which their troubles are told.
var components = []component{workers, servers}

// name is that of the component's objects.
func (c component) name() string { return "tertulia-" + string(c) }

// size is what the tenant's author says of the component.
func (c component) size(spec *v1alpha1.CRMTenantSpec) *v1alpha1.ProcessSize {
	if c == workers {
		return spec.Worker
	}
	return spec.Server
}

// The labels that tell whose an object is.
const (
	nameLabel      = "app.kubernetes.io/name"
	componentLabel = "app.kubernetes.io/component"
	instanceLabel  = "app.kubernetes.io/instance"
	product        = "tertulia"
)

// The ports of a process, and their names.
const (
	httpPort, httpName       = 8080, "http"
	healthPort, healthName   = 8081, "health"
	metricsPort, metricsName = 9090, "metrics"
)

const (
	// nobody is the user and group as whom processes run.
	nobody = 65532
	// tenantDir is where a process finds its tenant.
	tenantDir = "/etc/tertulia/tenant"
	// gracePeriod is how many seconds a process has to end: fifty for what it has begun, which workers are told, and ten to
	// write down how that ended.
	gracePeriod = 60
)

// planWorkloads is everything that runs a tenant, in the order in which it is applied: who may reach the processes is
// settled before they run.
func planWorkloads(object *v1alpha1.CRMTenant, w *Workloads) []workload {
	planned := make([]workload, 0, 3*len(components)+1)
	for _, c := range components {
		planned = append(planned, aNetworkPolicy(planNetworkPolicy(object, w, c)))
	}
	planned = append(planned, aService(planService(object)))
	for _, c := range components {
		planned = append(planned, aBudget(planBudget(object, c)), aDeployment(planDeployment(object, w, c)))
	}
	return planned
}

// labels stand on every object of a component.
func labels(object *v1alpha1.CRMTenant, c component) map[string]string {
	return map[string]string{
		nameLabel: product, componentLabel: string(c), instanceLabel: object.Spec.ID, v1alpha1.ManagedByLabel: v1alpha1.OperatorName,
	}
}

// selected are the labels by which a component's pods are found. A Deployment's can never be changed.
func selected(c component) map[string]string {
	return map[string]string{nameLabel: product, componentLabel: string(c)}
}

func selector(c component) *metaac.LabelSelectorApplyConfiguration {
	return metaac.LabelSelector().WithMatchLabels(selected(c))
}

// owner ties an object's life to the tenant's.
func owner(object *v1alpha1.CRMTenant) *metaac.OwnerReferenceApplyConfiguration {
	return metaac.OwnerReference().WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("CRMTenant").
		WithName(object.Name).WithUID(object.UID).WithController(true).WithBlockOwnerDeletion(true)
}

// planService is where an ingress finds the tenant's servers.
func planService(object *v1alpha1.CRMTenant) *coreac.ServiceApplyConfiguration {
	return coreac.Service(servers.name(), object.Namespace).WithLabels(labels(object, servers)).WithOwnerReferences(owner(object)).
		WithSpec(coreac.ServiceSpec().WithSelector(selected(servers)).WithPorts(
			coreac.ServicePort().WithName(httpName).WithProtocol(corev1.ProtocolTCP).WithAppProtocol("http").
				WithPort(80).WithTargetPort(intstr.FromString(httpName)),
		))
}

// planBudget lets nodes be drained one process at a time. One that is not ready may always go: while a database is away
// none is, and that must not keep a node from being drained.
func planBudget(object *v1alpha1.CRMTenant, c component) *policyac.PodDisruptionBudgetApplyConfiguration {
	return policyac.PodDisruptionBudget(c.name(), object.Namespace).WithLabels(labels(object, c)).WithOwnerReferences(owner(object)).
		WithSpec(policyac.PodDisruptionBudgetSpec().WithSelector(selector(c)).WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow))
}

// planDeployment runs a component. Where the author says no number of replicas, the field is nobody's, and an autoscaler
// may have it.
func planDeployment(object *v1alpha1.CRMTenant, w *Workloads, c component) *appsac.DeploymentApplyConfiguration {
	spec := appsac.DeploymentSpec().WithSelector(selector(c)).WithRevisionHistoryLimit(3).
		// A new process is ready before an old one is told to end: links always answer, and sending never stops.
		WithStrategy(appsac.DeploymentStrategy().WithType("RollingUpdate").WithRollingUpdate(
			appsac.RollingUpdateDeployment().WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromInt32(1)))).
		WithTemplate(planPod(object, w, c))
	if replicas := c.size(&object.Spec).ReplicasOrUnset(); replicas != nil {
		spec.WithReplicas(*replicas)
	}
	return appsac.Deployment(c.name(), object.Namespace).WithLabels(labels(object, c)).WithOwnerReferences(owner(object)).WithSpec(spec)
}

// planPod is a pod that the restricted Pod Security Standard admits, without a way to the Kubernetes API. It begins also
// where its Secret is not there: it is not ready until it is.
func planPod(object *v1alpha1.CRMTenant, w *Workloads, c component) *coreac.PodTemplateSpecApplyConfiguration {
	const volume = "tenant"
	container := planContainer(object, w, c).
		WithVolumeMounts(coreac.VolumeMount().WithName(volume).WithMountPath(tenantDir).WithReadOnly(true))
	pod := coreac.PodSpec().
		WithAutomountServiceAccountToken(false).WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(gracePeriod).
		WithSecurityContext(coreac.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(nobody).WithRunAsGroup(nobody).WithFSGroup(nobody).
			WithSeccompProfile(coreac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithVolumes(coreac.Volume().WithName(volume).WithSecret(
			coreac.SecretVolumeSource().WithSecretName(handover.SecretName).WithOptional(true).WithDefaultMode(0o440))).
		WithContainers(container)
	// Nodes and zones that are lost take as few of a tenant's processes with them as can be; a cluster of one node runs them all.
	for _, topology := range []string{corev1.LabelHostname, corev1.LabelTopologyZone} {
		pod.WithTopologySpreadConstraints(coreac.TopologySpreadConstraint().WithMaxSkew(1).WithTopologyKey(topology).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).WithLabelSelector(selector(c)).WithMatchLabelKeys("pod-template-hash"))
	}
	return coreac.PodTemplateSpec().WithLabels(labels(object, c)).WithSpec(pod)
}

func planContainer(object *v1alpha1.CRMTenant, w *Workloads, c component) *coreac.ContainerApplyConfiguration {
	size := c.size(&object.Spec)
	container := coreac.Container().WithName(string(c)).WithImage(w.Image).WithArgs(arguments(w, c)...).
		WithPorts(ports(c)...).WithEnv(environment(w, size)...).WithResources(resources(size)).
		WithSecurityContext(coreac.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
			WithCapabilities(coreac.Capabilities().WithDrop("ALL")))
	if w.PullPolicy != "" {
		container.WithImagePullPolicy(w.PullPolicy)
	}
	return withProbes(container)
}

// withProbes asks a process whether it lives and whether it is ready.
//
// A process has a minute to begin, on a node that is busy pulling its image for others. It lives while none of its loops is
// stuck; half a minute of that is waited for before it is restarted, because a restart makes what is being handed over
// ambiguous, and a node under load answers late. An outage of the database is none of that: the process is alive and, after ten
// seconds, not ready, which takes servers out of their Service and lets a rollout wait.
func withProbes(container *coreac.ContainerApplyConfiguration) *coreac.ContainerApplyConfiguration {
	ask := func(path string) *coreac.ProbeApplyConfiguration {
		return coreac.Probe().WithTimeoutSeconds(3).
			WithHTTPGet(coreac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(healthName)))
	}
	return container.
		WithStartupProbe(ask("/livez").WithPeriodSeconds(2).WithFailureThreshold(30)).
		WithLivenessProbe(ask("/livez").WithPeriodSeconds(10).WithFailureThreshold(3)).
		WithReadinessProbe(ask("/readyz").WithPeriodSeconds(5).WithFailureThreshold(2))
}

func arguments(w *Workloads, c component) []string {
	common := []string{
		"--tenant-dir", tenantDir, "--health-listen", address(healthPort), "--metrics-listen", address(metricsPort),
	}
	if w.LogFormat != "" {
		common = append(common, "--log-format", w.LogFormat)
	}
	if len(w.ListenNetworks) > 0 {
		common = append(common, "--listen-allow-network", strings.Join(w.ListenNetworks, ","))
	}
	if c == workers {
		own := []string{string(c), "--graceful-period", "50s"}
		if len(w.WebhookNetworks) > 0 {
			own = append(own, "--webhook-networks", strings.Join(w.WebhookNetworks, ","))
		}
		return append(own, common...)
	}
	return append([]string{string(c), "--listen", address(httpPort)}, common...)
}

func address(port int) string { return ":" + strconv.Itoa(port) }

func ports(c component) []*coreac.ContainerPortApplyConfiguration {
	port := func(name string, number int32) *coreac.ContainerPortApplyConfiguration {
		return coreac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
	}
	all := []*coreac.ContainerPortApplyConfiguration{port(healthName, healthPort), port(metricsName, metricsPort)}
	if c == servers {
		all = append(all, port(httpName, httpPort))
	}
	return all
}

// environment is what the operator passes on, and how much memory Go may use before it collects harder: nine tenths of the
// limit, so that a process is slow before it is killed.
func environment(w *Workloads, size *v1alpha1.ProcessSize) []*coreac.EnvVarApplyConfiguration {
	limit := size.MemoryLimitOrDefault()
	variables := map[string]string{"GOMEMLIMIT": strconv.FormatInt(limit.Value()/10*9, 10)}
	maps.Copy(variables, w.Environment)
	all := make([]*coreac.EnvVarApplyConfiguration, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		all = append(all, coreac.EnvVar().WithName(name).WithValue(variables[name]))
	}
	return all
}

// resources bound memory, which a process that misbehaves takes from its neighbours, and not cpu, which it only shares.
func resources(size *v1alpha1.ProcessSize) *coreac.ResourceRequirementsApplyConfiguration {
	limits := corev1.ResourceList{corev1.ResourceMemory: size.MemoryLimitOrDefault()}
	if cpu := size.CPULimit(); cpu != nil {
		limits[corev1.ResourceCPU] = *cpu
	}
	requests := corev1.ResourceList{corev1.ResourceCPU: size.CPURequestOrDefault(), corev1.ResourceMemory: size.MemoryRequestOrDefault()}
	return coreac.ResourceRequirements().WithRequests(rounded(requests)).WithLimits(rounded(limits))
}

// rounded gives amounts as the API server keeps them: cpu in thousandths, memory in bytes.
func rounded(list corev1.ResourceList) corev1.ResourceList {
	for name, amount := range list {
		if name == corev1.ResourceCPU {
			list[name] = *resource.NewMilliQuantity(amount.MilliValue(), resource.DecimalSI)
		} else {
			list[name] = *resource.NewQuantity(amount.Value(), resource.BinarySI)
		}
	}
	return list
}
