// Package campaign declares the sends of Campaigns to the data plane and shows how they go. It sends nothing.
package campaign

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconciler reconciles Campaigns.
type Reconciler struct {
	Client  client.Client
	Passes  *reconciling.Recorder
	Tenants *tenancy.Registry
}

// The references of a Campaign, by which it is found when what it refers to changes.
const (
	channelIndex  = "spec.channelRef.name"
	templateIndex = "spec.variants.templateRef.name"
	segmentIndex  = "spec.audience.segments.name"
	sendKeyIndex  = "spec.sendKey"
)

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=campaigns,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=campaigns/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagechannels;messagetemplates;segments,verbs=list;watch

// SetupWithManager registers the controller. It looks at a campaign when its author edits it, when something that it
// refers to arrives, goes, or gets another answer, when another campaign that had its send key has ended, and when workers
// report how its send goes.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	for index, names := range map[string]client.IndexerFunc{
		channelIndex:  func(o client.Object) []string { return []string{o.(*v1alpha1.Campaign).Spec.ChannelRef.Name} },
		templateIndex: func(o client.Object) []string { return templateNames(o.(*v1alpha1.Campaign).Spec) },
		segmentIndex:  func(o client.Object) []string { return segmentNames(o.(*v1alpha1.Campaign).Spec) },
		sendKeyIndex:  func(o client.Object) []string { return []string{sendKey(o)} },
	} {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Campaign{}, index, names); err != nil {
			return err
		}
	}
	list := func() client.ObjectList { return &v1alpha1.CampaignList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	return ctrl.NewControllerManagedBy(mgr).
		Named("campaign").
		For(&v1alpha1.Campaign{}, builder.WithPredicates(reconciling.Edited())).
		Watches(&v1alpha1.MessageChannel{}, reconciling.Referrers(mgr.GetCache(), list, channelIndex), settled).
		Watches(&v1alpha1.MessageTemplate{}, reconciling.Referrers(mgr.GetCache(), list, templateIndex), settled).
		Watches(&v1alpha1.Segment{}, reconciling.Referrers(mgr.GetCache(), list, segmentIndex), settled).
		Watches(&v1alpha1.Campaign{}, reconciling.Sharers(mgr.GetCache(), list, sendKeyIndex, sendKey), builder.WithPredicates(reconciling.Ended())).
		WatchesRawSource(r.Tenants.Source(store.CampaignKind, reconciling.All(mgr.GetCache(), list))).
		WithOptions(reconciling.Options("Campaign")).
		Complete(reconciling.Observed("Campaign", r))
}

func sendKey(o client.Object) string { return o.(*v1alpha1.Campaign).Spec.SendKey }
