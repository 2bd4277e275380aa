// Package campaign declares the sends of Campaigns to the data plane and shows how they go. It sends nothing.
package campaign

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles Campaigns.
type Reconciler struct {
	tenancy.Controller
	// Live reads ConfigMaps, of which the cache holds only metadata.
	Live client.Reader
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
}

func (r *Reconciler) now() time.Time {
	if r.Clock == nil {
		return time.Now()
	}
	return r.Clock()
}

// The references of a Campaign, by which it is found when what it refers to changes.
const (
	channelIndex  = "spec.channelRef.name"
	templateIndex = "spec.variants.templateRef.name"
	segmentIndex  = "spec.audience.segments.name"
	sendKeyIndex  = "spec.sendKey"
	imageIndex    = "spec.publication.images.configMapKeyRef.name"
)

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=campaigns,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=campaigns/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagechannels;messagetemplates;segments,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch

// SetupWithManager registers the controller. It looks at a campaign when its author edits it, when something that it
// refers to arrives, goes, or gets another answer, when another campaign that had its send key has ended, when a policy
// comes, goes or gets another answer, and when workers report how its send goes.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	for index, names := range map[string]client.IndexerFunc{
		channelIndex:  func(o client.Object) []string { return []string{o.(*v1alpha1.Campaign).Spec.ChannelRef.Name} },
		templateIndex: func(o client.Object) []string { return templateNames(o.(*v1alpha1.Campaign).Spec) },
		segmentIndex:  func(o client.Object) []string { return segmentNames(o.(*v1alpha1.Campaign).Spec) },
		sendKeyIndex:  func(o client.Object) []string { return []string{sendKey(o)} },
		imageIndex:    func(o client.Object) []string { return imageNames(o.(*v1alpha1.Campaign).Spec.Publication) },
	} {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Campaign{}, index, names); err != nil {
			return err
		}
	}
	list := func() client.ObjectList { return &v1alpha1.CampaignList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	return r.Watch(mgr, "Campaign", &v1alpha1.Campaign{}, list).
		Watches(&v1alpha1.MessageChannel{}, reconciling.Referrers(mgr.GetCache(), list, channelIndex), settled).
		Watches(&v1alpha1.MessageTemplate{}, reconciling.Referrers(mgr.GetCache(), list, templateIndex), settled).
		Watches(&v1alpha1.Segment{}, reconciling.Referrers(mgr.GetCache(), list, segmentIndex), settled).
		WatchesMetadata(&corev1.ConfigMap{}, reconciling.Referrers(mgr.GetCache(), list, imageIndex)).
		Watches(&v1alpha1.Campaign{}, reconciling.Sharers(mgr.GetCache(), list, sendKeyIndex, sendKey), builder.WithPredicates(reconciling.Ended())).
		Watches(&v1alpha1.SendPolicy{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Watches(&v1alpha1.ConsentPolicy{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Complete(reconciling.Observed("Campaign", r))
}

func sendKey(o client.Object) string { return o.(*v1alpha1.Campaign).Spec.SendKey }
