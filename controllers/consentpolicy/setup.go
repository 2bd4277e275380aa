// Package consentpolicy brings the purposes that ConsentPolicies declare into force in their tenant's database.
package consentpolicy

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles ConsentPolicies.
type Reconciler struct {
	tenancy.Controller
}

// The references of a ConsentPolicy, by which it is found when what it refers to changes.
const (
	channelIndex  = "spec.confirmation.channelRef.name"
	templateIndex = "spec.confirmation.templateRef.name"
)

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=consentpolicies,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=consentpolicies/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagechannels;messagetemplates,verbs=list;watch

// SetupWithManager registers the controller. It looks at a policy when its author edits it, when the template or the channel of
// its mail gets another answer, and when another policy, which may have had a purpose of its, has ended.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	for index, name := range map[string]func(*v1alpha1.Confirmation) string{
		channelIndex:  func(c *v1alpha1.Confirmation) string { return c.ChannelRef.Name },
		templateIndex: func(c *v1alpha1.Confirmation) string { return c.TemplateRef.Name },
	} {
		indexed := func(o client.Object) []string {
			if c := o.(*v1alpha1.ConsentPolicy).Spec.Confirmation; c != nil {
				return []string{name(c)}
			}
			return nil
		}
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.ConsentPolicy{}, index, indexed); err != nil {
			return err
		}
	}
	list := func() client.ObjectList { return &v1alpha1.ConsentPolicyList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	return r.Watch(mgr, "ConsentPolicy", &v1alpha1.ConsentPolicy{}, list).
		Watches(&v1alpha1.MessageChannel{}, reconciling.Referrers(mgr.GetCache(), list, channelIndex), settled).
		Watches(&v1alpha1.MessageTemplate{}, reconciling.Referrers(mgr.GetCache(), list, templateIndex), settled).
		Watches(&v1alpha1.ConsentPolicy{}, reconciling.Neighbours(mgr.GetCache(), list), settled).
		Complete(reconciling.Observed("ConsentPolicy", r))
}
