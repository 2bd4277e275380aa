// Package segment checks the expressions of Segments, compiles them for the data plane, and shows how many belong.
package segment

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconciler reconciles Segments.
type Reconciler struct {
	Client  client.Client
	Passes  *reconciling.Recorder
	Tenants *tenancy.Registry
}

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=segments,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=segments/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=recordtypes;eventtypes,verbs=list;watch

// SetupWithManager registers the controller. It looks at a segment when its author edits it, when the attributes and
// events that it was checked against change, and when workers have built or changed its membership.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.SegmentList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	return ctrl.NewControllerManagedBy(mgr).
		Named("segment").
		For(&v1alpha1.Segment{}, builder.WithPredicates(reconciling.Edited())).
		Watches(&v1alpha1.RecordType{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Watches(&v1alpha1.EventType{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		WatchesRawSource(r.Tenants.Source(store.SegmentKind, reconciling.All(mgr.GetCache(), list))).
		WithOptions(reconciling.Options("Segment")).
		Complete(reconciling.Observed("Segment", r))
}
