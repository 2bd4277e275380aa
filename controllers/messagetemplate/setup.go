// Package messagetemplate gathers the texts of MessageTemplates, compiles them, and stores them for the data plane.
package messagetemplate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconciler reconciles MessageTemplates.
type Reconciler struct {
	tenancy.Controller
	// Live reads ConfigMaps, of which the cache holds only metadata.
	Live client.Reader
}

const configMapIndex = "spec.content.configMapKeyRef.name"

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagetemplates,verbs=list;watch;patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=messagetemplates/status,verbs=patch
// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=recordtypes,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch

// SetupWithManager registers the controller. It looks at a template when its author edits it, when a ConfigMap that it
// names changes, and when the attributes that it may use change.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	names := func(o client.Object) []string { return configMapNames(o.(*v1alpha1.MessageTemplate).Spec) }
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.MessageTemplate{}, configMapIndex, names); err != nil {
		return err
	}
	list := func() client.ObjectList { return &v1alpha1.MessageTemplateList{} }
	return r.Watch(mgr, "MessageTemplate", &v1alpha1.MessageTemplate{}, list).
		WatchesMetadata(&corev1.ConfigMap{}, reconciling.Referrers(mgr.GetCache(), list, configMapIndex)).
		Watches(&v1alpha1.RecordType{}, reconciling.Neighbours(mgr.GetCache(), list), builder.WithPredicates(reconciling.Settled())).
		Complete(reconciling.Observed("MessageTemplate", r))
}
