// Package sendpolicy brings what SendPolicies allow into force in their tenant's database and shows which campaigns break them.
package sendpolicy

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/governing"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles SendPolicies.
type Reconciler struct {
	tenancy.Controller
}

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=sendpolicies,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=sendpolicies/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=campaigns,verbs=list;watch

// SetupWithManager registers the controller. It looks at a policy when its author edits it, and when a campaign that it may be
// about is edited, comes or ends.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.SendPolicyList{} }
	return r.Watch(mgr, "SendPolicy", &v1alpha1.SendPolicy{}, list).
		Watches(&v1alpha1.Campaign{}, reconciling.Neighbours(mgr.GetCache(), list), builder.WithPredicates(judgedAnew())).
		Complete(reconciling.Observed("SendPolicy", r))
}

// judgedAnew lets through what can change whether a campaign breaks a policy.
func judgedAnew() predicate.Predicate {
	ended := predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.Campaign)
			after, same := e.ObjectNew.(*v1alpha1.Campaign)
			return ok && same && governing.Over(before) != governing.Over(after)
		},
	}
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, ended)
}
