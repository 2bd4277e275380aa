// Package recordtype makes the attributes that a RecordType declares columns of its tenant's database.
package recordtype

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles RecordTypes.
type Reconciler struct {
	tenancy.Controller
}

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=recordtypes,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=recordtypes/status,verbs=patch

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.RecordTypeList{} }
	return r.Watch(mgr, "RecordType", &v1alpha1.RecordType{}, list).
		Complete(reconciling.Observed("RecordType", r))
}
