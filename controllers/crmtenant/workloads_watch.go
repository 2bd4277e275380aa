package crmtenant

import (
	"context"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// Cached says what a manager's cache keeps of the objects that run tenants: those that the operator made, in a cluster that
// has thousands of others, and of pods no more than a verdict needs.
func Cached() map[client.Object]cache.ByObject {
	ours := k8slabels.SelectorFromSet(k8slabels.Set{v1alpha1.ManagedByLabel: v1alpha1.OperatorName})
	// What we own of an object stands in its managed fields, so those are kept.
	whole := func(o any) (any, error) { return o, nil }
	return map[client.Object]cache.ByObject{
		&appsv1.Deployment{}:            {Label: ours, Transform: whole},
		&corev1.Service{}:               {Label: ours, Transform: whole},
		&policyv1.PodDisruptionBudget{}: {Label: ours, Transform: whole},
		&networkingv1.NetworkPolicy{}:   {Label: ours, Transform: whole},
		&corev1.Pod{}:                   {Label: ours, Transform: essence},
	}
}

// essence is what of a pod tells how it is.
func essence(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			Labels: pod.Labels, DeletionTimestamp: pod.DeletionTimestamp,
		},
		Status: corev1.PodStatus{Conditions: pod.Status.Conditions, ContainerStatuses: pod.Status.ContainerStatuses},
	}, nil
}

// watchWorkloads looks at a tenant again when what runs it differs from what was applied, or is another way than before.
func watchWorkloads(b *builder.Builder) {
	declared := builder.WithPredicates(declaration())
	b.Owns(&appsv1.Deployment{}).
		Owns(&corev1.Service{}). // it counts no generations, and its status hardly changes
		Owns(&policyv1.PodDisruptionBudget{}, declared).Owns(&networkingv1.NetworkPolicy{}, declared).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(tenantOfPod), builder.WithPredicates(troubles()))
}

// tenantOfPod finds the tenant of a pod, which only its ReplicaSet owns.
func tenantOfPod(_ context.Context, pod client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: v1alpha1.TenantName}}}
}

// declaration lets through what changes what an object declares, and leaves out what only its status says.
func declaration() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return before.GetGeneration() != after.GetGeneration() ||
			!maps.Equal(before.GetLabels(), after.GetLabels()) || len(before.GetOwnerReferences()) != len(after.GetOwnerReferences())
	}}
}

// troubles lets through what may change the verdict on a pod.
func troubles() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Pod)
		after, same := e.ObjectNew.(*corev1.Pod)
		if !ok || !same {
			return false
		}
		c := component(after.Labels[componentLabel])
		return planPodVerdict(c, before, nil) != planPodVerdict(c, after, nil)
	}}
}
