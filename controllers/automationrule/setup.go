// Package automationrule brings rules into force: it checks them as a whole, against all that they name, and shows how their entries
// stand.
package automationrule

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles AutomationRules.
type Reconciler struct {
	tenancy.Controller
}

// indexPrefix begins the names of the indexes by which rules are found, one for each kind that they name.
const indexPrefix = "names."

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=automationrules,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=automationrules/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=segments;messagetemplates;messagechannels;monitors;campaigns;servicequeues;recordtypes;eventtypes;consentpolicies,verbs=list;watch

// SetupWithManager registers the controller. It looks at a rule when its author edits it, when something that it names arrives, goes or
// gets another answer, when the attributes, events and purposes change that it was checked against, and when workers report of it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	list := func() client.ObjectList { return &v1alpha1.AutomationRuleList{} }
	settled := builder.WithPredicates(reconciling.Settled())
	watch := r.Watch(mgr, ruleKind, &v1alpha1.AutomationRule{}, list)
	for kind, object := range map[string]client.Object{
		segmentKind: &v1alpha1.Segment{}, templateKind: &v1alpha1.MessageTemplate{}, channelKind: &v1alpha1.MessageChannel{},
		monitorKind: &v1alpha1.Monitor{}, campaignKind: &v1alpha1.Campaign{}, queueKind: &v1alpha1.ServiceQueue{},
		ruleKind: &v1alpha1.AutomationRule{},
	} {
		names := func(o client.Object) []string { return referencesOf(&o.(*v1alpha1.AutomationRule).Spec)[kind] }
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.AutomationRule{}, indexPrefix+kind, names); err != nil {
			return err
		}
		wakes := reconciling.Referrers(mgr.GetCache(), list, indexPrefix+kind)
		if kind == ruleKind {
			wakes = starters(mgr.GetCache())
		}
		watch.Watches(object, wakes, settled)
	}
	for _, object := range []client.Object{&v1alpha1.RecordType{}, &v1alpha1.EventType{}, &v1alpha1.ConsentPolicy{}} {
		watch.Watches(object, reconciling.Neighbours(mgr.GetCache(), list), settled)
	}
	return watch.Complete(reconciling.Observed(ruleKind, r))
}
