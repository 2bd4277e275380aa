// Package eventtype brings the events that EventTypes declare into force in their tenant's database.
package eventtype

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles EventTypes.
type Reconciler struct {
	tenancy.Controller
}

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=eventtypes,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=eventtypes/status,verbs=patch

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.EventTypeList{} }
	return r.Watch(mgr, "EventType", &v1alpha1.EventType{}, list).
		Complete(reconciling.Observed("EventType", r))
}
