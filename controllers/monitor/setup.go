// Package monitor brings monitors into force: it checks that their topics can be looked for, and shows what was counted.
package monitor

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles Monitors.
type Reconciler struct {
	tenancy.Controller
}

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=monitors,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=monitors/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=socialsources,verbs=list;watch

// SetupWithManager registers the controller. It looks at a monitor when its author edits it, when a source of the namespace comes or goes,
// when another monitor has come to an answer, because all of them share what a post can be read for, and when workers report of it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.MonitorList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	return r.Watch(mgr, "Monitor", &v1alpha1.Monitor{}, list).
		Watches(&v1alpha1.SocialSource{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Watches(&v1alpha1.Monitor{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Complete(reconciling.Observed("Monitor", r))
}
