// Package segment checks the expressions of Segments, compiles them for the data plane, and shows how many belong.
package segment

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles Segments.
type Reconciler struct {
	tenancy.Controller
}

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=segments,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=segments/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=recordtypes;eventtypes;consentpolicies,verbs=list;watch

// SetupWithManager registers the controller. It looks at a segment when its author edits it, when the attributes, events and
// purposes that it was checked against change, when a segment whose membership it asks for comes, goes or changes, and when workers
// have built or changed its membership.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.SegmentList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	return r.Watch(mgr, "Segment", &v1alpha1.Segment{}, list).
		Watches(&v1alpha1.RecordType{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Watches(&v1alpha1.EventType{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Watches(&v1alpha1.ConsentPolicy{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Watches(&v1alpha1.Segment{}, askers(mgr.GetCache()), settled).
		Complete(reconciling.Observed("Segment", r))
}
