// Package messagechannel brings channels into force: it checks who sends and over which relay, and hands the relay's
// credentials to the workers.
package messagechannel

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles MessageChannels.
type Reconciler struct {
	tenancy.Controller
	// Handover takes what channels log in with to the workers.
	Handover *handover.Keeper
}

// secretIndex finds the channels that name a Secret, wherever in their spec.
const secretIndex = "secretRefs"

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagechannels,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagechannels/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch

// SetupWithManager registers the controller. It looks at a channel when its author edits it, when a Secret that it
// names changes, and when workers report trouble or its end.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.MessageChannel{}, secretIndex, secretNames); err != nil {
		return err
	}
	list := func() client.ObjectList { return &v1alpha1.MessageChannelList{} }
	return r.Watch(mgr, "MessageChannel", &v1alpha1.MessageChannel{}, list).
		WatchesMetadata(&corev1.Secret{}, reconciling.Referrers(mgr.GetCache(), list, secretIndex)).
		Complete(reconciling.Observed("MessageChannel", r))
}
