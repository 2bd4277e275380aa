// Package socialsource brings sources into force: it checks what is read from where, and hands what the network wants to be logged
// in with to the workers and servers.
package socialsource

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles SocialSources.
type Reconciler struct {
	tenancy.Controller
	// Handover takes what sources log in with to the workers and servers.
	Handover *handover.Keeper
}

// secretIndex and channelIndex find the sources that name a Secret or a channel.
const (
	secretIndex  = "secretRefs"
	channelIndex = "replyChannels"
)

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=socialsources,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=socialsources/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagechannels,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch

// SetupWithManager registers the controller. It looks at a source when its author edits it, when the Secret that it names changes,
// when the channel that it names arrives or goes, and when workers report of it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.SocialSource{}, secretIndex, secretNames); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.SocialSource{}, channelIndex, replyChannels); err != nil {
		return err
	}
	list := func() client.ObjectList { return &v1alpha1.SocialSourceList{} }
	return r.Watch(mgr, "SocialSource", &v1alpha1.SocialSource{}, list).
		WatchesMetadata(&corev1.Secret{}, reconciling.Referrers(mgr.GetCache(), list, secretIndex)).
		Watches(&v1alpha1.MessageChannel{}, reconciling.Referrers(mgr.GetCache(), list, channelIndex), builder.WithPredicates(reconciling.Settled())).
		Complete(reconciling.Observed("SocialSource", r))
}
