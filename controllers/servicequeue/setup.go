// Package servicequeue brings queues into force: it checks what a team promises and which conversations become its tickets, and shows how
// many wait.
package servicequeue

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles ServiceQueues.
type Reconciler struct {
	tenancy.Controller
}

const (
	queueKind = "ServiceQueue"
	// channelIndex and segmentIndex find the queues that name a channel or a segment.
	channelIndex = "queue.channels"
	segmentIndex = "queue.segments"
)

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=servicequeues,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=servicequeues/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagechannels;segments;recordtypes;eventtypes;consentpolicies,verbs=list;watch

// SetupWithManager registers the controller. It looks at a queue when its author edits it, when a channel or a segment that it names
// arrives or goes, when the attributes, events and purposes change that its condition was checked against, and when workers report of it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.ServiceQueueList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	watch := r.Watch(mgr, queueKind, &v1alpha1.ServiceQueue{}, list)
	for _, named := range []struct {
		object client.Object
		index  string
		names  func(*v1alpha1.ServiceQueueSpec) []string
	}{
		{&v1alpha1.MessageChannel{}, channelIndex, channelsOf},
		{&v1alpha1.Segment{}, segmentIndex, segmentsOf},
	} {
		names := func(o client.Object) []string { return named.names(&o.(*v1alpha1.ServiceQueue).Spec) }
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.ServiceQueue{}, named.index, names); err != nil {
			return err
		}
		watch.Watches(named.object, reconciling.Referrers(mgr.GetCache(), list, named.index), settled)
	}
	for _, object := range []client.Object{&v1alpha1.RecordType{}, &v1alpha1.EventType{}, &v1alpha1.ConsentPolicy{}} {
		watch.Watches(object, reconciling.Neighbours(mgr.GetCache(), list), settled)
	}
	return watch.Complete(reconciling.Observed(queueKind, r))
}
