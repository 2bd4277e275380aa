package sendpolicy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
)

// Reconcile brings one policy into force, or says why it cannot. What was in force stays so until a new version is sound.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.SendPolicy{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.SendPolicy, tenant tenancy.Tenant) error {
	planned, err := planPolicy(object)
	if err != nil {
		return err
	}
	if _, err := tenant.DB.SaveSendPolicy(ctx, planned); err != nil {
		return err
	}
	campaigns, err := r.campaigns(ctx, object.Namespace)
	if err != nil {
		return err
	}
	report(pass, object, planViolations(planned, campaigns, tenant.TimeZone))
	return nil
}

func sleep(ctx context.Context, object *v1alpha1.SendPolicy, tenant tenancy.Tenant) error {
	return tenant.DB.DormantSendPolicy(ctx, object.Name)
}

// campaigns are those of a namespace, by name.
func (r *Reconciler) campaigns(ctx context.Context, namespace string) ([]v1alpha1.Campaign, error) {
	list := &v1alpha1.CampaignList{}
	if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the campaigns: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.Campaign) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}
