package crmtenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyac "k8s.io/client-go/applyconfigurations/policy/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/metricstoken"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// Workloads say how the operator runs tenants' workers and servers in a cluster.
type Workloads struct {
	// Image is the operator's own: workers and servers are commands of one program.
	Image      string
	PullPolicy corev1.PullPolicy // "" is the cluster's default
	// HTTPFrom and MetricsFrom name the namespaces from which servers are reached, and metrics scraped. None is everywhere
	// for the one, and nowhere for the other.
	HTTPFrom, MetricsFrom []string
	// WebhookNetworks are networks that are not public and that workers may post webhooks to.
	WebhookNetworks []string
	// ListenNetworks are networks that are not public and that sources of tenants may lead to.
	ListenNetworks []string
	// LogFormat is how processes write their logs; "" is their default.
	LogFormat string
	// Environment is passed to every process, by name.
	Environment map[string]string
	// Metrics keeps the token of who scrapes.
	Metrics *metricstoken.Keeper
}

// refusedWait is how long until what the cluster refused is tried again: no watch tells that a quota or a policy was mended.
const refusedWait = time.Minute

// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch

// runWorkloads makes the cluster run the tenant's workers and servers, and tells how they are. While the tenant is not
// settled, what runs is left as it is: a new version must not begin before its migration.
func (r *Reconciler) runWorkloads(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant, settled bool) error {
	if r.Workloads == nil {
		object.Status.Workers, object.Status.Servers = nil, nil
		pass.WithoutCondition(v1alpha1.WorkloadsReadyCondition)
		return nil
	}
	before := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.WorkloadsReadyCondition).DeepCopy()
	var applied error
	if settled {
		applied = r.applyWorkloads(ctx, object)
	}
	if err := r.observeWorkloads(ctx, pass, object); err != nil {
		return tryAgain(err)
	}
	var refused *refusedError
	switch {
	case applied == nil:
		return nil
	case !errors.As(applied, &refused):
		return tryAgain(applied)
	}
	pass.Condition(v1alpha1.WorkloadsReadyCondition, metav1.ConditionFalse, refused.reason, refused.message)
	pass.LookAgainAfter(refusedWait)
	if refused.err != nil && (before == nil || before.Reason != refused.reason) { // once, not at every try
		ctrl.LoggerFrom(ctx).Error(refused.err, "The cluster refuses what runs a tenant")
	}
	return nil
}

// tryAgain leaves what is known of a tenant as it is: its processes are no part of whether it is in force.
func tryAgain(err error) error {
	return &reconciling.Interrupted{Reason: v1alpha1.ProgressingReason, Message: "The operator tries again.", Err: err, Silent: true}
}

// applyWorkloads applies what is not as planned.
func (r *Reconciler) applyWorkloads(ctx context.Context, object *v1alpha1.CRMTenant) error {
	for _, planned := range planWorkloads(object, r.Workloads) {
		if err := r.applyOne(ctx, object, planned); err != nil {
			return err
		}
	}
	return nil
}

// refusedError says that an object that runs the tenant cannot be as planned, and what its author can do.
type refusedError struct {
	reason, message string
	err             error
}

// Error implements error.
func (e *refusedError) Error() string { return e.reason + ": " + e.message }

// applyOne applies one object, if it is not as planned.
func (r *Reconciler) applyOne(ctx context.Context, object *v1alpha1.CRMTenant, planned workload) error {
	present, err := r.present(ctx, object, planned)
	if err != nil {
		return err
	}
	if present != nil {
		if !metav1.IsControlledBy(present, object) {
			return &refusedError{
				reason:  v1alpha1.WorkloadNotOursReason,
				message: planned.what() + " belongs to somebody else: delete or rename it, so that the operator can make its own.",
			}
		}
		asApplied, err := planned.applied(present)
		if err != nil {
			return fmt.Errorf("compare %s: %w", planned.what(), err)
		}
		if equality.Semantic.DeepEqual(planned.configuration, asApplied) {
			return nil
		}
	}
	err = r.Client.Apply(ctx, planned.configuration, client.FieldOwner(v1alpha1.OperatorName), client.ForceOwnership)
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return refusal(planned, err)
	}
	if err != nil {
		return fmt.Errorf("apply %s: %w", planned.what(), err)
	}
	return nil
}

// present reads an object, and returns nil where there is none. The cache holds only what carries the operator's label:
// an object that somebody else made in its place must not be taken over.
func (r *Reconciler) present(ctx context.Context, object *v1alpha1.CRMTenant, planned workload) (client.Object, error) {
	key := types.NamespacedName{Namespace: object.Namespace, Name: planned.name}
	for _, reader := range []client.Reader{r.Client, r.Stored} {
		found := planned.fresh()
		err := reader.Get(ctx, key, found)
		if err == nil {
			return found, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("read %s: %w", planned.what(), err)
		}
	}
	return nil, nil
}

// refusal tells an author why the cluster does not take an object. Amounts that are used change all the time, so a
// quota's own words are not repeated.
func refusal(planned workload, err error) *refusedError {
	text := err.Error()
	if strings.Contains(text, "exceeded quota") {
		return &refusedError{
			reason:  v1alpha1.QuotaExceededReason,
			message: fmt.Sprintf("A ResourceQuota of the namespace leaves no room for %s: raise it.", planned.what()), err: err,
		}
	}
	return &refusedError{
		reason: v1alpha1.WorkloadsNotAppliedReason, message: fmt.Sprintf("The cluster refuses %s: %s", planned.what(), shorten(text)), err: err,
	}
}

// shorten bounds what others say in a condition.
func shorten(text string) string {
	const limit = 500
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// workload is one object that runs the tenant, as it is planned.
type workload struct {
	kind, name    string
	configuration runtime.ApplyConfiguration
	fresh         func() client.Object
	// applied tells which of an object's fields are ours, with the values that they have: what somebody else has changed is
	// theirs since, and missing here. So what others own (a restart's annotation, an autoscaler's replicas) and what the API
	// server has filled in are no difference, and a change of what we apply is one.
	applied func(client.Object) (runtime.ApplyConfiguration, error)
}

func (w workload) what() string { return fmt.Sprintf("%s %q", w.kind, w.name) }

func aDeployment(c *appsac.DeploymentApplyConfiguration) workload {
	fresh := func() client.Object { return &appsv1.Deployment{} }
	return workload{"Deployment", *c.GetName(), c, fresh, func(o client.Object) (runtime.ApplyConfiguration, error) {
		return appsac.ExtractDeployment(o.(*appsv1.Deployment), v1alpha1.OperatorName)
	}}
}

func aService(c *coreac.ServiceApplyConfiguration) workload {
	fresh := func() client.Object { return &corev1.Service{} }
	return workload{"Service", *c.GetName(), c, fresh, func(o client.Object) (runtime.ApplyConfiguration, error) {
		return coreac.ExtractService(o.(*corev1.Service), v1alpha1.OperatorName)
	}}
}

func aBudget(c *policyac.PodDisruptionBudgetApplyConfiguration) workload {
	fresh := func() client.Object { return &policyv1.PodDisruptionBudget{} }
	return workload{"PodDisruptionBudget", *c.GetName(), c, fresh, func(o client.Object) (runtime.ApplyConfiguration, error) {
		return policyac.ExtractPodDisruptionBudget(o.(*policyv1.PodDisruptionBudget), v1alpha1.OperatorName)
	}}
}

func aNetworkPolicy(c *networkingac.NetworkPolicyApplyConfiguration) workload {
	fresh := func() client.Object { return &networkingv1.NetworkPolicy{} }
	return workload{"NetworkPolicy", *c.GetName(), c, fresh, func(o client.Object) (runtime.ApplyConfiguration, error) {
		return networkingac.ExtractNetworkPolicy(o.(*networkingv1.NetworkPolicy), v1alpha1.OperatorName)
	}}
}
